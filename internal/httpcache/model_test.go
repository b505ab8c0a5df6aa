package httpcache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/surgewall/surgewall/internal/httpcache/store"
)

// Random stories, one step at a time: clients come, pause and leave, the origin
// answers in any order, in pieces, and badly, and things are purged in between.
// Whatever happens, a client gets what it may have and nothing that was purged
// before it came; when all is over nothing is left behind. Where nothing fails,
// nobody is failed. SURGEWALL_STORIES sets how many are played, SURGEWALL_STORY
// the one to play and to tell, by its number.
func TestRandomStories(t *testing.T) {
	stories := uint64(4000)
	if testing.Short() {
		stories = 400
	}
	number := func(name string) (n uint64, set bool) {
		s := os.Getenv(name)
		if s == "" {
			return 0, false
		}
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("%s %q: want a number", name, s)
		}
		return n, true
	}
	if n, ok := number("SURGEWALL_STORY"); ok {
		playStory(t, n, true)
		return
	}
	if n, ok := number("SURGEWALL_STORIES"); ok {
		stories = n
	}
	t.Logf("%d stories", stories)
	for n := range stories {
		if !t.Run(strconv.FormatUint(n, 10), func(t *testing.T) { playStory(t, n, false) }) {
			return
		}
	}
}

const (
	storyPaths  = 2
	storyBlocks = 12
)

// story is one random course of events.
type story struct {
	*bubble
	rng      *rand.Rand
	calm     bool // nothing changes and nothing fails
	tell     bool
	version  [storyPaths]int // of the content
	purged   [storyPaths]int // version that every client gets at least that comes now
	widely   [storyPaths]int // the same, of a purge that reaches every query
	clients  []*storyClient
	feeds    []*storyFeed
	policies []string
	block    int // bytes
	put      *forgetful

	vary, tagged, ranges bool // of a calm one's answers
}

type storyClient struct {
	*client
	say     string
	path    int
	least   int // version
	variant string
	user    string
	left    bool
	checked bool
}

// storyFeed is a body that has not been sent in full.
type storyFeed struct {
	*feed
	rest []byte
}

func playStory(t *testing.T, number uint64, tell bool) {
	synctest.Test(t, func(t *testing.T) {
		s := &story{rng: rand.New(rand.NewPCG(number, 1)), tell: tell}
		s.calm, s.vary, s.tagged, s.ranges = number%4 == 0, s.rng.IntN(2) == 0, s.rng.IntN(2) == 0, s.rng.IntN(3) > 0
		s.version = [storyPaths]int{1, 1}
		s.policies = [][]string{
			{"max-age=600"}, {"max-age=600", "max-age=1, stale-while-revalidate=600", "max-age=0"},
			{"max-age=600", "max-age=1", "no-cache", "max-age=1, stale-if-error=600", "private, max-age=600", "no-store", "public, max-age=600"},
		}[s.rng.IntN(3)]
		s.block = []int{64, 64, 64, 64, 64, 8 << 10}[s.rng.IntN(6)] // contents within records, or beside them
		s.bubble = newBubble(t, func(o *Options) {
			s.put = &forgetful{Store: o.Store}
			o.Store = s.put
			size := int64(s.block)
			o.SliceBytes, o.RangeJoinBytes, o.KeepFillBytes = 4*size, 1, 4*size
			o.UncacheableMemory = 1
			o.PurgeRecords = 4
			if number%3 == 0 { // too large to be kept
				o.MaxObjectBytes = 8 * size
			}
		})
		for range 20 + s.rng.IntN(60) {
			s.step()
			if s.check(); t.Failed() {
				break
			}
		}
		s.finish()
	})
}

func (s *story) say(format string, args ...any) {
	if s.tell {
		s.t.Logf(format, args...)
	}
}

func (s *story) step() {
	synctest.Wait()
	s.mu.Lock()
	for _, c := range s.calls {
		if path, _ := strconv.Atoi(c.r.URL.Path[1:]); c.version == 0 {
			c.version = s.version[path]
		}
	}
	s.mu.Unlock()
	switch p := s.rng.IntN(100); {
	case p < 40:
		s.come()
	case p < 62:
		s.answer()
	case p < 80:
		s.feed()
	case p < 90:
		s.purge()
	case p < 93:
		if c := s.someone(); c != nil {
			c.left = true
			s.say("left: %s", c.say)
			c.cancel()
		}
	case p < 95:
		s.put.forget(s)
	case p < 97:
		if c := s.someone(); c != nil {
			if s.rng.IntN(2) == 0 {
				c.pause()
			} else {
				c.resume()
			}
		}
	default:
		time.Sleep(time.Duration(s.rng.IntN(1500)) * time.Millisecond)
	}
}

// forgetful is a store that evicts what the test wants.
type forgetful struct {
	store.Store
	mu   sync.Mutex
	keys []string
}

func (f *forgetful) Put(o *store.Object) bool {
	f.mu.Lock()
	f.keys = append(f.keys, o.Key)
	f.mu.Unlock()
	return f.Store.Put(o)
}

// forget evicts one of the objects.
func (f *forgetful) forget(s *story) {
	f.mu.Lock()
	keys := f.keys
	f.mu.Unlock()
	if len(keys) > 0 {
		key := keys[s.rng.IntN(len(keys))]
		s.say("evicted %q: %v", key, f.Delete(key))
	}
}

// someone is a client that is not done.
func (s *story) someone() *storyClient {
	for range 5 {
		if len(s.clients) > 0 {
			c := s.clients[s.rng.IntN(len(s.clients))]
			if _, done, _ := c.result(); !done {
				return c
			}
		}
	}
	return nil
}

func (s *story) come() {
	path := s.rng.IntN(storyPaths)
	c := &storyClient{path: path, least: s.purged[path], variant: strconv.Itoa(s.rng.IntN(2)), user: strconv.Itoa(s.rng.IntN(3))}
	fields := []string{"X-V", c.variant, "X-User", c.user}
	method, query := "GET", ""
	switch s.rng.IntN(12) {
	case 0:
		fields = append(fields, "Authorization", "Bearer "+c.user)
	case 1:
		fields = append(fields, "Cache-Control", "no-store")
	case 2:
		method = "HEAD"
	case 3:
		method = "POST"
	case 4: // as a player that waits for a part
		query, c.least = "?_HLS_msn=1", s.widely[path]
	case 5:
		fields = append(fields, "If-None-Match", `"none"`)
	}
	switch first := s.rng.IntN(storyBlocks); s.rng.IntN(6) {
	case 0, 1:
		last := first + 1 + s.rng.IntN(storyBlocks-first)
		fields = append(fields, "Range", fmt.Sprintf("bytes=%d-%d", first*s.block, last*s.block-1))
	case 2:
		fields = append(fields, "Range", fmt.Sprintf("bytes=%d-", first*s.block))
	case 3:
		fields = append(fields, "Range", fmt.Sprintf("bytes=-%d", (first+1)*s.block))
	}
	if method == "POST" {
		fields = fields[:4]
		if !s.calm {
			s.version[path]++
		}
	}
	c.say = fmt.Sprint(method, " /", path, " ", fields, " from version ", c.least)
	s.say("%s", c.say)
	c.client = s.start(method, "/"+strconv.Itoa(path)+query, fields...)
	s.clients = append(s.clients, c)
}

// content is what the origin has, for whoever it says.
func content(size, path, version int, variant, user string) []byte {
	var b []byte
	for i := range storyBlocks {
		b = append(b, fmt.Appendf(nil, "%-*s", size, fmt.Sprint(path, " ", version, " ", variant, " ", user, " ", i))...)
	}
	return b
}

// answer lets the origin answer one of the requests that it has.
func (s *story) answer() {
	s.mu.Lock()
	n := len(s.calls)
	s.mu.Unlock()
	if n == 0 {
		return
	}
	c := s.next(s.rng.IntN(n))
	if c == nil {
		return
	}
	if c.version == 0 { // it has only just come
		path, _ := strconv.Atoi(c.r.URL.Path[1:])
		c.version = s.version[path]
	}
	path, _ := strconv.Atoi(c.r.URL.Path[1:])
	h := c.r.Header
	if c.r.Method == "POST" {
		s.say("answer POST /%d", path)
		s.purged[path] = s.version[path] // the answer invalidates what is older
		c.answer(204, http.Header{}, 0).send(nil, io.EOF)
		return
	}
	cc := s.policies[s.rng.IntN(len(s.policies))]
	variant, user := "-", "-"
	header := http.Header{"Surrogate-Key": {"tag" + strconv.Itoa(path)}}
	if s.calm { // one representation, always in the same terms
		cc = s.policies[0]
	} else if strings.Contains(cc, "private") || strings.Contains(cc, "no-store") || strings.Contains(cc, "no-cache") || h.Get("Authorization") != "" && !strings.Contains(cc, "public") {
		user = h.Get("X-User")
	}
	if !s.calm && s.rng.IntN(4) == 0 || s.calm && s.vary {
		header.Set("Vary", "X-V")
		variant = h.Get("X-V")
	}
	header.Set("Cache-Control", cc)
	version := s.version[path]
	if s.rng.IntN(2) == 0 {
		version = c.version // an origin may be as slow as that
	}
	tag := fmt.Sprintf(`"%d %s %s"`, version, variant, user)
	tagged := s.rng.IntN(3) > 0
	if s.calm {
		tagged = s.tagged
	}
	switch {
	case !s.calm && s.rng.IntN(12) == 0:
		s.say("no answer to %s %s", c.r.URL.Path, h.Get("Range"))
		c.fail()
		return
	case !s.calm && s.rng.IntN(12) == 0:
		s.say("503 to %s %s", c.r.URL.Path, h.Get("Range"))
		c.answer(503, http.Header{}, 0).send(nil, io.EOF)
		return
	case tagged && h.Get("If-None-Match") == tag:
		s.say("304 to %s %s %s", c.r.URL.Path, h.Get("Range"), cc)
		header.Set("Etag", tag)
		c.answer(304, header, -1).send(nil, io.EOF)
		return
	}
	if tagged {
		header.Set("Etag", tag)
	}
	body := content(s.block, path, version, variant, user)
	status, from, end := 200, 0, len(body)
	if rng := h.Get("Range"); rng != "" && (s.calm && s.ranges || !s.calm && s.rng.IntN(3) > 0) && (h.Get("If-Range") == "" || tagged && h.Get("If-Range") == tag) {
		status = 206
		if suffix, ok := strings.CutPrefix(rng, "bytes=-"); ok {
			n, _ := strconv.Atoi(suffix)
			from = max(0, end-n)
		} else {
			last := -1
			_, _ = fmt.Sscanf(rng, "bytes=%d-%d", &from, &last)
			if last >= 0 {
				end = min(end, last+1)
			}
		}
		if from >= len(body) {
			c.answer(416, http.Header{"Content-Range": {fmt.Sprint("bytes */", len(body))}}, 0).send(nil, io.EOF)
			return
		}
		header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, end-1, len(body)))
	}
	body = body[from:end]
	length := int64(len(body))
	if status == 200 && s.rng.IntN(3) == 0 {
		length = -1
	}
	s.say("%d to %s %s %v: version %d, %s, length %d", status, c.r.URL.Path, h.Get("Range"), header, version, tag, length)
	f := c.answer(status, header, length)
	if c.r.Method == "HEAD" {
		f.send(nil, io.EOF)
		return
	}
	s.feeds = append(s.feeds, &storyFeed{f, body})
}

// feed lets some of a body arrive.
func (s *story) feed() {
	if len(s.feeds) == 0 {
		return
	}
	i := s.rng.IntN(len(s.feeds))
	f := s.feeds[i]
	n := len(f.rest)
	switch {
	case s.rng.IntN(2) == 0:
		n = s.rng.IntN(n + 1)
	case !s.calm && s.rng.IntN(6) == 0:
		s.say("body cut, %d left", len(f.rest))
		f.send(f.rest[:n/2], errors.New("connection reset"))
		s.feeds = append(s.feeds[:i], s.feeds[i+1:]...)
		return
	}
	var end error
	if n == len(f.rest) {
		end = io.EOF
		s.feeds = append(s.feeds[:i], s.feeds[i+1:]...)
	}
	s.say("body: %d of %d", n, len(f.rest))
	f.send(f.rest[:n], end)
	f.rest = f.rest[n:]
}

// purge makes something newer and says so.
func (s *story) purge() {
	path := s.rng.IntN(storyPaths)
	p := PurgeRequest{Mode: []PurgeMode{PurgeHard, PurgeHard, PurgeInvalidate, PurgeSoft}[s.rng.IntN(4)]}
	paths := []int{path}
	switch s.rng.IntN(6) {
	case 0, 1:
		p.Scope, p.Value = PurgeURL, "http://example.com/"+strconv.Itoa(path)
	case 2:
		p.Scope, p.Value = PurgeTag, "tag"+strconv.Itoa(path)
	case 3:
		p.Scope, p.Value = PurgePrefix, "http://example.com/"+strconv.Itoa(path)
	case 4:
		p.Scope, paths = PurgeEverything, []int{0, 1}
	default: // others, so that these are forgotten
		p.Scope, p.Value, paths = PurgeTag, strconv.Itoa(s.rng.IntN(10)), nil
	}
	for _, path := range paths {
		if !s.calm && s.rng.IntN(4) > 0 {
			s.version[path]++
		}
	}
	s.say("purge %+v: versions %v", p, s.version)
	if _, err := s.cache.Purge(p); err != nil {
		s.t.Fatal(err)
	}
	for _, path := range paths {
		if p.Mode != PurgeSoft {
			s.purged[path] = s.version[path]
			if p.Scope != PurgeURL {
				s.widely[path] = s.version[path]
			}
		}
	}
}

// check judges what clients have by now.
func (s *story) check() {
	for _, c := range s.clients {
		body, done, aborted := c.result()
		if c.checked {
			continue
		}
		if c.code == 200 || c.code == 206 {
			s.checkBody(c, body, done && !aborted && !c.left)
		}
		if done {
			c.checked = true
			if s.calm && !c.left && (aborted || c.code >= 500 || c.code == 0) {
				s.t.Errorf("%s: code %d, aborted %v, %q although nothing failed", c.say, c.code, aborted, c.status())
			}
		}
	}
}

func (s *story) checkBody(c *storyClient, body []byte, whole bool) {
	first, want := 0, storyBlocks*s.block
	if c.code == 206 {
		var last, total int
		if n, _ := fmt.Sscanf(c.sent.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &total); n < 2 || n == 3 && total != storyBlocks*s.block {
			s.t.Errorf("%s: Content-Range %q", c.say, c.sent.Get("Content-Range"))
			return
		}
		want = last + 1 - first
	}
	if c.r.Method == "HEAD" {
		want = 0
	}
	if whole && len(body) != want {
		s.t.Errorf("%s: %d of %d bytes and a clean end; %d %q", c.say, len(body), want, c.code, c.status())
	}
	var head string
	for at := 0; at+s.block <= len(body); at += s.block {
		text := string(bytes.TrimRight(body[at:at+s.block], " "))
		var path, version, index int
		var variant, user string
		if n, _ := fmt.Sscanf(text, "%d %d %s %s %d", &path, &version, &variant, &user, &index); n != 5 {
			s.t.Errorf("%s: block %q", c.say, text)
			return
		}
		what := fmt.Sprint(path, " ", version, " ", variant, " ", user)
		if head == "" {
			head = what
		}
		problem := ""
		switch {
		case path != c.path:
			problem = "what is of another path"
		case version < c.least:
			problem = "what was purged before it came"
		case variant != "-" && variant != c.variant:
			problem = "another variant"
		case user != "-" && user != c.user:
			problem = "what is for another"
		case index != (first+at)/s.block:
			problem = "what is from another place"
		case what != head:
			problem = "a mix with " + head
		}
		if problem != "" {
			s.t.Errorf("%s got %s: %q; %d %q", c.say, problem, text, c.code, c.status())
			return
		}
	}
}

// finish lets everything come to its end, and looks for what is left behind.
func (s *story) finish() {
	s.say("the end")
	calm := s.calm
	for range 1000 {
		for _, c := range s.clients {
			c.resume()
		}
		synctest.Wait()
		s.mu.Lock()
		calls := len(s.calls)
		s.mu.Unlock()
		if calls == 0 && len(s.feeds) == 0 {
			break
		}
		s.answer()
		for len(s.feeds) > 0 {
			s.feed()
		}
	}
	time.Sleep(2 * time.Second)
	s.check()
	for _, c := range s.clients {
		if _, done, _ := c.result(); !done {
			s.t.Errorf("%s: waits for ever", c.say)
			c.cancel()
		}
	}
	s.calm = calm
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	if err := s.cache.Close(ctx); err != nil {
		s.t.Error(err)
	}
	synctest.Wait()
	for i := range s.cache.shards {
		if sh := &s.cache.shards[i]; len(sh.flights)+len(sh.live)+len(sh.layouts)+len(sh.guessed) > 0 {
			s.t.Errorf("left behind: %d flights, %d live, %d layouts, %d guesses", len(sh.flights), len(sh.live), len(sh.layouts), len(sh.guessed))
		}
	}
	if n := s.cache.background.Load(); n != 0 {
		s.t.Errorf("%d flights in the background left", n)
	}
	if n := len(s.cache.releases); n != 0 {
		s.t.Errorf("%d turns of released requests left", n)
	}
}
