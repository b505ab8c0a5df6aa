package httpcache

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/testorigin"
)

// block is the unit of a test body: each names who it is for, so that any
// aligned part of a body shows whether it reached the right client.
const block = 64

func tagged(user string, blocks int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "%-*s", block, "for "+user), blocks)
}

// Whatever clients ask, whatever the origin answers, in whatever order and
// however often somebody leaves: a body that arrives whole is for everybody or
// for the client that got it, and a body that is not whole never looks so.
// SURGEWALL_LEAK_REQUESTS sets how many requests are tried.
func TestNobodyGetsWhatIsForAnother(t *testing.T) {
	total := requestsToTry(t, 1000)
	t.Run("whole", func(t *testing.T) { inBatches(t, total, func(t *testing.T, b *batch) { leak(t, b, false) }) })
	t.Run("slices", func(t *testing.T) { inBatches(t, total, func(t *testing.T, b *batch) { leak(t, b, true) }) })
}

// requestsToTry is how many requests a random test makes.
func requestsToTry(t *testing.T, short int) int {
	if s := os.Getenv("SURGEWALL_LEAK_REQUESTS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("SURGEWALL_LEAK_REQUESTS %q: want a number", s)
		}
		return n
	}
	if testing.Short() {
		return short
	}
	return 10_000
}

// batch is a part of a run of random requests, by their numbers. Each has a rig of
// its own: origin and rig remember everything.
type batch struct {
	from, to int
	total    int
	began    time.Time
	said     *time.Time
}

func inBatches(t *testing.T, total int, play func(*testing.T, *batch)) {
	const size = 50_000
	now := time.Now()
	said := now
	for from := 0; from < total && !t.Failed(); from += size {
		b := &batch{from, min(from+size, total), total, now, &said}
		t.Run(fmt.Sprint("from ", from), func(t *testing.T) { play(t, b) })
	}
}

// hand gives the numbers to those who work, and says how far the run is: of a long
// one every half a minute.
func (b *batch) hand(t *testing.T, work chan<- int) {
	defer close(work)
	for i := b.from; i < b.to && !t.Failed(); i++ { // one failure is enough to look at
		work <- i
		if now := time.Now(); now.Sub(*b.said) > 30*time.Second {
			*b.said = now
			took := now.Sub(b.began)
			t.Logf("%d of %d after %v, about %v to go", i, b.total, took.Round(time.Second), (took / time.Duration(i+1) * time.Duration(b.total-i)).Round(time.Second))
		}
	}
}

func leak(t *testing.T, b *batch, sliced bool) {
	r := newRig(t, func(o *Options) {
		// Without a memory of what is uncacheable every crowd waits for one response first.
		o.UncacheableMemory = 1
		if sliced { // ten of them in a body
			o.SliceBytes, o.RangeJoinBytes = 4*block, 1
		}
	})
	const paths, blocks = 4, 40
	for p := range paths {
		r.origin.Handle(fmt.Sprint("/", p), func(q *http.Request, n int) testorigin.Response {
			rng := rand.New(rand.NewPCG(uint64(p), uint64(n)))
			me, all := tagged(q.Header.Get("X-User"), blocks), tagged("all", blocks)
			a := testorigin.Response{Body: all, Header: map[string]string{"Cache-Control": "max-age=60", "Surrogate-Key": "all " + q.Header.Get("X-User")}, Chunked: rng.IntN(3) == 0, Ranges: true,
				Delay: time.Duration(rng.IntN(3)) * time.Millisecond}
			policy := rng.IntN(10)
			switch policy {
			case 0:
				a.Body, a.Header["Cache-Control"] = me, "max-age=60, no-store"
			case 1:
				a.Body, a.Header["Cache-Control"] = me, "private, max-age=60"
			case 2:
				a.Body, a.Header["Set-Cookie"] = me, "id=1"
			case 3:
				a.Body, a.Header["Vary"] = me, "X-User"
			case 4:
				a.Body, a.Header["Vary"] = me, "*"
			case 5:
				a.Body, a.Header["Cache-Control"] = me, "no-cache"
			case 6: // the page differs for who has a cookie, and relies on being asked
				a.Header["Cache-Control"] = "max-age=0"
				if q.Header.Get("Cookie") != "" {
					a.Body = me
				}
			case 7:
				a.ETag, a.Header["Cache-Control"] = `"all"`, "max-age=0.005, stale-while-revalidate=0.01"
			case 8:
				a.Status = 503
				delete(a.Header, "Cache-Control")
			}
			if q.Header.Get("Authorization") != "" && policy != 8 {
				a.Body, a.ETag = me, ""
			}
			if sliced && rng.IntN(4) > 0 {
				// Parts may be put together: by a tag that says whose they are.
				a.ETag = `"` + strings.Fields(string(a.Body[:block]))[1] + `"`
			}
			if rng.IntN(10) == 0 {
				a.CutAt = 1 + rng.IntN(len(a.Body)-1)
			}
			return a
		})
	}
	var mu sync.Mutex
	complete, broken := 0, 0
	work := make(chan int)
	var wg sync.WaitGroup
	for range 48 {
		wg.Go(func() {
			for i := range work {
				rng := rand.New(rand.NewPCG(7, uint64(i)))
				user := fmt.Sprint("user", rng.IntN(20))
				fields := []string{"X-User", user}
				if rng.IntN(4) == 0 {
					fields = append(fields, "Authorization", "Bearer "+user)
				}
				if rng.IntN(4) == 0 {
					fields = append(fields, "Cookie", "id="+user)
				}
				if rng.IntN(6) == 0 || sliced && rng.IntN(2) == 0 {
					first := rng.IntN(blocks - 1)
					fields = append(fields, "Range", fmt.Sprintf("bytes=%d-%d", first*block, (first+1+rng.IntN(blocks-first))*block-1))
				}
				if rng.IntN(10) == 0 {
					fields = append(fields, "Cache-Control", "no-store")
				}
				ctx, cancel := context.WithCancel(t.Context())
				if rng.IntN(8) == 0 {
					time.AfterFunc(time.Duration(rng.IntN(3000))*time.Microsecond, cancel)
				}
				if rng.IntN(200) == 0 {
					url, mode := fmt.Sprint(r.server.URL, "/", rng.IntN(paths)), func(p *PurgeRequest) { p.Mode = []PurgeMode{PurgeHard, PurgeSoft, PurgeInvalidate}[rng.IntN(3)] }
					switch rng.IntN(4) {
					case 0:
						r.purge(PurgeURL, url, mode)
					case 1:
						r.purge(PurgePrefix, url, mode)
					case 2:
						r.purge(PurgeTag, user, mode)
					default:
						r.purge(PurgeTag, "all", mode)
					}
				}
				path := fmt.Sprint("/", rng.IntN(paths))
				if rng.IntN(8) == 0 { // as a player that waits for a part
					path += "?_HLS_msn=1"
				}
				a := r.doContext(ctx, "GET", path, nil, fields...)
				cancel()
				mu.Lock()
				if a.err != nil {
					broken++
				} else {
					complete++
				}
				mu.Unlock()
				if problem := misdelivered(a, user, blocks*block); problem != "" {
					t.Errorf("request %d of %s %v: %s; Cache-Status %q", i, user, fields, problem, a.status())
				}
			}
		})
	}
	b.hand(t, work)
	wg.Wait()
	t.Logf("requests %d to %d: %d answers complete, %d visibly broken or left, none misdelivered: %v", b.from, b.to, complete, broken, !t.Failed())
	if tried := b.to - b.from; complete < tried/2 && !t.Failed() {
		t.Errorf("only %d of %d answers were complete", complete, tried)
	}
}

// misdelivered says what is wrong with a complete answer, or nothing.
func misdelivered(a answer, user string, size int) string {
	if a.err != nil {
		return ""
	}
	switch a.code {
	case 200, 503:
		if len(a.body) != size {
			if a.code == 503 || strings.Contains(a.status(), "detail=upstream") {
				return ""
			}
			return fmt.Sprintf("%d of %d bytes and a clean end", len(a.body), size)
		}
	case 206:
		var first, last, total int
		n, _ := fmt.Sscanf(a.header.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &total)
		if n != 3 && !strings.HasSuffix(a.header.Get("Content-Range"), "/*") || len(a.body) != last-first+1 || n == 3 && total != size {
			return fmt.Sprintf("%d bytes of %q", len(a.body), a.header.Get("Content-Range"))
		}
	case 502:
		return ""
	default:
		return fmt.Sprint("code ", a.code)
	}
	for len(a.body) >= block {
		owner := strings.TrimSpace(strings.TrimPrefix(string(a.body[:block]), "for "))
		if owner != "all" && owner != user {
			return "got what is for " + owner
		}
		a.body = a.body[block:]
	}
	return ""
}
