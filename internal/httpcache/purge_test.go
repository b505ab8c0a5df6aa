package httpcache

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/testorigin"
)

// Each purge reaches what it names, on either tier and in all variants, and
// nothing else.
func TestPurgeReachesWhatItNames(t *testing.T) {
	type object struct{ host, path string }
	objects := []object{
		{"a.example", "/news/1"}, {"a.example", "/news/2?page=2"}, {"a.example", "/newspaper"}, {"a.example", "/shop"},
		{"b.example:8080", "/news/1"}, {"b.example:8080", "/shop"},
	}
	fields := map[string]map[string]string{
		"/news/1":    {"Cache-Control": "max-age=60", "Surrogate-Key": "news one", "Cache-Groups": `"g"`, "Vary": "X-V"},
		"/news/2":    {"Cache-Control": "max-age=60", "Xkey": "news", "Cache-Groups": `"g", "h"`},
		"/newspaper": {"Cache-Control": "max-age=60", "Cache-Tag": "paper, daily news"},
		"/shop":      {"Cache-Control": "max-age=60"},
	}
	for _, c := range []struct {
		request PurgeRequest
		gone    string // indices of objects
	}{
		{PurgeRequest{Scope: PurgeURL, Value: "https://A.example:443/news/1"}, "0"},
		{PurgeRequest{Scope: PurgeURL, Value: "http://a.example/news/2"}, ""},
		{PurgeRequest{Scope: PurgeURL, Value: "http://a.example/news/2?page=2"}, "1"},
		{PurgeRequest{Scope: PurgePrefix, Value: "http://a.example/news/"}, "01"},
		{PurgeRequest{Scope: PurgePrefix, Value: "https://a.example/news"}, "012"},
		{PurgeRequest{Scope: PurgePrefix, Value: "http://b.example:8080"}, "45"},
		{PurgeRequest{Scope: PurgeHost, Value: "A.Example"}, "0123"},
		{PurgeRequest{Scope: PurgeHost, Value: "b.example:8080"}, "45"},
		{PurgeRequest{Scope: PurgeHost, Value: "b.example"}, ""},
		{PurgeRequest{Scope: PurgeTag, Value: "news"}, "014"},
		{PurgeRequest{Scope: PurgeTag, Value: "news", Host: "a.example:80"}, "01"},
		{PurgeRequest{Scope: PurgeTag, Value: "daily news"}, "2"},
		{PurgeRequest{Scope: PurgeTag, Value: "g"}, ""},
		{PurgeRequest{Scope: PurgeGroup, Value: "g", Host: "a.example"}, "01"},
		{PurgeRequest{Scope: PurgeGroup, Value: "g", Host: "b.example:8080"}, "4"},
		{PurgeRequest{Scope: PurgeGroup, Value: "news", Host: "a.example"}, ""},
		{PurgeRequest{Scope: PurgeEverything}, "012345"},
	} {
		for _, mode := range []PurgeMode{PurgeHard, PurgeInvalidate, PurgeSoft} {
			c.request.Mode = mode
			t.Run(fmt.Sprint(c.request), func(t *testing.T) {
				r := newRig(t)
				for path, h := range fields {
					r.origin.Serve(path, testorigin.Response{Body: []byte(path), Header: h})
				}
				for _, o := range objects {
					r.get(o.path, "Host", o.host)
				}
				r.awaitQuiet()
				if _, err := r.cache.Purge(c.request); err != nil {
					t.Fatal(err)
				}
				gone := ""
				for i, o := range objects {
					if a := r.get(o.path, "Host", o.host); !strings.Contains(a.status(), "hit") {
						gone += strconv.Itoa(i)
					}
				}
				if gone != c.gone {
					t.Errorf("purged %q, want %q", gone, c.gone)
				}
				r.awaitQuiet()
				for _, o := range objects { // what was fetched since is not purged
					wantStatus(t, r.get(o.path, "Host", o.host), "hit")
				}
			})
		}
	}
}

func TestPurgeNamesWhatIsWrong(t *testing.T) {
	r := newRig(t)
	for want, p := range map[string]PurgeRequest{
		`scope ""`:                      {Value: "x"},
		`scope "path"`:                  {Scope: "path", Value: "x"},
		`mode "gentle"`:                 {Scope: PurgeTag, Value: "x", Mode: "gentle"},
		`value is empty`:                {Scope: PurgeTag},
		`scope all has none`:            {Scope: PurgeEverything, Value: "x"},
		`value "/path"`:                 {Scope: PurgeURL, Value: "/path"},
		`value "ftp://h/x"`:             {Scope: PurgeURL, Value: "ftp://h/x"},
		`value "http://"`:               {Scope: PurgeURL, Value: "http://"},
		`value "http://u@h/"`:           {Scope: PurgeURL, Value: "http://u@h/"},
		`value "http://h/#x"`:           {Scope: PurgeURL, Value: "http://h/#x"},
		`invalid character`:             {Scope: PurgeURL, Value: "http://a b/"},
		`a prefix has no query`:         {Scope: PurgePrefix, Value: "http://h/?x"},
		`value "h/x"`:                   {Scope: PurgeHost, Value: "h/x"},
		`host "h/x"`:                    {Scope: PurgeTag, Value: "t", Host: "h/x"},
		`only scopes tag and group`:     {Scope: PurgeURL, Value: "http://h/", Host: "h"},
		`host is empty`:                 {Scope: PurgeGroup, Value: "g"},
		`value of 9000 bytes`:           {Scope: PurgeTag, Value: strings.Repeat("x", 9000)},
		`missing protocol scheme`:       {Scope: PurgePrefix, Value: "://"},
		`want hard, invalidate or soft`: {Scope: PurgeEverything, Mode: "HARD"},
	} {
		if _, err := r.cache.Purge(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q in it", p, err, want)
		}
	}
}

// A soft purge ends freshness, and the response's own terms count from there.
func TestSoftPurge(t *testing.T) {
	r := newRig(t)
	serve := func(path, cc, tag string) {
		r.origin.Serve(path, testorigin.Response{Body: []byte(path), ETag: tag, Header: map[string]string{"Cache-Control": cc, "Surrogate-Key": "s"}})
	}
	serve("/swr", "max-age=600, stale-while-revalidate=10", "")
	serve("/sie", "max-age=600, stale-if-error=10", "")
	serve("/plain", "max-age=600", `"1"`)
	fetchAll := func() {
		for _, p := range []string{"/swr", "/sie", "/plain"} {
			r.get(p)
		}
		r.awaitQuiet()
	}
	fetchAll()
	r.advance(100 * time.Second)
	r.purge(PurgeTag, "s", soft)
	r.advance(5 * time.Second)
	r.origin.Serve("/sie", testorigin.Response{Status: 503})
	wantStatus(t, r.get("/swr"), "hit", "ttl=-", "detail=stale-while-revalidate")
	wantStatus(t, r.get("/sie"), "fwd=stale", "fwd-status=503", "detail=stale-if-error")
	wantStatus(t, r.get("/plain"), "fwd=stale", "fwd-status=304")
	r.awaitQuiet()
	wantStatus(t, r.get("/swr"), "hit; ttl=")
	wantStatus(t, r.get("/plain"), "hit; ttl=")

	r.purge(PurgePrefix, r.server.URL+"/s", soft)
	r.advance(20 * time.Second)
	wantStatus(t, r.get("/swr"), "fwd=stale", "fwd-status=200")
	if a := r.get("/sie"); a.code != 503 {
		t.Errorf("%d long after the purge, %q", a.code, a.status())
	}
}

// What was invalidated is kept for its validator's sake alone.
func TestInvalidatedIsValidated(t *testing.T) {
	r := newRig(t)
	terms := map[string]string{"Cache-Control": "max-age=60, stale-while-revalidate=60, stale-if-error=60", "Cache-Groups": `"g"`}
	r.origin.Serve("/i", testorigin.Response{Body: []byte("i"), ETag: `"1"`, Header: terms})
	r.get("/i")
	r.awaitQuiet()
	r.purge(PurgeEverything, "", invalid)
	wantStatus(t, r.get("/i"), "fwd=stale", "fwd-status=304")
	r.awaitQuiet()
	wantStatus(t, r.get("/i"), "hit")

	// RFC 9875 section 3: an unsafe method's response invalidates a group of its origin.
	r.origin.Serve("/form", testorigin.Response{Header: map[string]string{"Cache-Group-Invalidation": `"g"`}})
	r.get("/form")
	wantStatus(t, r.get("/i"), "hit")
	r.do("POST", "/form", "Host", "other.example")
	wantStatus(t, r.get("/i"), "hit")
	r.do("POST", "/form")
	r.origin.Serve("/i", testorigin.Response{Status: 503})
	if a := r.get("/i"); a.code != 503 {
		t.Errorf("invalidated and not to be validated: %d, %q", a.code, a.status())
	}
}

// A purge by tag while the tag is still on its way: those who wait get the
// response, those who come later do not, and it is not stored.
func TestPurgeByTagDuringFlight(t *testing.T) {
	for _, purges := range []int{1, 2} {
		r := newRig(t)
		hold := make(chan struct{})
		r.origin.Handle("/g", func(_ *http.Request, n int) testorigin.Response {
			p := testorigin.Response{Body: []byte{byte('0' + n)}, Header: map[string]string{"Cache-Control": "max-age=60", "Surrogate-Key": "t"}}
			if n == 1 {
				p.Hold = hold
			}
			return p
		})
		old := r.start(5, func(int) answer { return r.get("/g") })
		r.awaitReaders("/g", 5)
		r.origin.Await(t, "/g", 1)
		for range purges {
			r.purge(PurgeTag, "t")
			r.purge(PurgeTag, "another")
		}
		late := r.start(5, func(int) answer { return r.get("/g") })
		r.awaitReaders("/g", 10)
		close(hold)
		wantAll(t, late(), 200, []byte("2"))
		if purges == 1 {
			wantAll(t, old(), 200, []byte("1"))
		} else if a := old(); a[0].code != 200 { // some wait once more; none is wrong
			t.Errorf("code %d", a[0].code)
		}
		r.awaitQuiet()
		wantAll(t, []answer{r.get("/g")}, 200, []byte("2"))
		wantFetches(t, r, "/g", 2)
	}
}

// More purges than are remembered: what they may have reached is validated,
// not dropped and not trusted.
func TestForgottenPurges(t *testing.T) {
	r := newRig(t, func(o *Options) { o.PurgeRecords = 10 })
	r.origin.Serve("/f", testorigin.Response{Body: []byte("f"), ETag: `"1"`, Header: map[string]string{"Cache-Control": "max-age=60", "Surrogate-Key": "f"}})
	r.get("/f")
	r.awaitQuiet()
	r.purge(PurgeTag, "f")
	for i := range 4 {
		r.purge(PurgeTag, fmt.Sprint(i))
	}
	wantStatus(t, r.get("/f"), "fwd=uri-miss", "stored")
	r.awaitQuiet()
	wantStatus(t, r.get("/f"), "hit")
	for i := range 100 {
		r.purge(PurgeTag, fmt.Sprint(i))
	}
	wantStatus(t, r.get("/f"), "fwd=stale", "fwd-status=304")
	r.awaitQuiet()
	wantStatus(t, r.get("/f"), "hit")
	for i := range 2 * maxPrefixes {
		r.purge(PurgePrefix, fmt.Sprint("http://other.example/", i, "/"))
	}
	wantStatus(t, r.get("/f"), "fwd=stale", "fwd-status=304")
	if n := len(r.cache.purges.prefixes); n > maxPrefixes {
		t.Errorf("%d prefixes kept", n)
	}
	if n := len(r.cache.purges.young) + len(r.cache.purges.old); n > 10 {
		t.Errorf("%d records kept", n)
	}
}

// A response with more tags than are kept is reached by each purge of a tag.
func TestManyTags(t *testing.T) {
	r := newRig(t)
	tags := make([]string, maxLabels+1)
	for i := range tags {
		tags[i] = fmt.Sprint("tag", i)
	}
	r.origin.Serve("/m", testorigin.Response{Body: []byte("m"), ETag: `"1"`, Header: map[string]string{"Cache-Control": "max-age=60", "Cache-Tag": strings.Join(tags, ",")}})
	r.get("/m")
	r.awaitQuiet()
	wantStatus(t, r.get("/m"), "hit")
	r.purge(PurgeTag, tags[maxLabels])
	wantStatus(t, r.get("/m"), "fwd-status=304")
}

// Fields for caches go to the next cache and not to clients; tags survive a
// validation whose 304 does not repeat them.
func TestSurrogateFields(t *testing.T) {
	for _, strip := range []bool{false, true} {
		r := newRig(t, func(o *Options) { o.StripSurrogate = strip })
		h := map[string]string{"Surgewall-Cache-Control": "max-age=60", "Cache-Control": "no-store", "Surrogate-Key": "s", "Xkey": "x", "Cache-Tag": "c",
			"Cdn-Cache-Control": "max-age=9", "Cache-Groups": `"g"`}
		r.origin.Serve("/s", testorigin.Response{Body: []byte("s"), ETag: `"1"`, Header: h})
		check := func(a answer) {
			t.Helper()
			for name := range h {
				surrogate := name != "Cache-Control" && name != "Cdn-Cache-Control" && name != "Cache-Groups"
				if got := a.header.Get(name) != ""; got != (!surrogate || !strip) {
					t.Errorf("strip %v: %s sent: %v", strip, name, got)
				}
			}
		}
		check(r.get("/s"))
		check(r.do("POST", "/s"))
		check(r.get("/s"))
		r.awaitQuiet()
		check(r.get("/s"))
		r.advance(61 * time.Second)
		check(r.get("/s"))
		r.awaitQuiet()
		wantStatus(t, r.get("/s"), "hit")
		r.purge(PurgeTag, "c")
		wantStatus(t, r.get("/s"), "fwd=uri-miss")
	}
}

// Whatever is fetched, shared and purged in whatever order: once a hard purge
// is complete, nobody who comes later gets what is older.
func TestNobodyGetsWhatWasPurged(t *testing.T) {
	total := requestsToTry(t, 1500)
	t.Run("whole", func(t *testing.T) { inBatches(t, total, func(t *testing.T, b *batch) { purgeRace(t, b, false, 0) }) })
	t.Run("slices", func(t *testing.T) { inBatches(t, total, func(t *testing.T, b *batch) { purgeRace(t, b, true, 1) }) })
	t.Run("slices of what takes no ranges at times", func(t *testing.T) { inBatches(t, total, func(t *testing.T, b *batch) { purgeRace(t, b, true, 0.5) }) })
}

// purgeRace asks for slices if sliced, of an origin that sends them in that share of its answers.
func purgeRace(t *testing.T, b *batch, sliced bool, ranges float64) {
	r := newRig(t, func(o *Options) {
		if sliced {
			o.SliceBytes, o.RangeJoinBytes = 4*block, 1
		}
	})
	const paths, blocks = 4, 12
	var version [paths]atomic.Int64 // of the content, at the origin
	for p := range paths {
		r.origin.Handle(fmt.Sprint("/", p), func(q *http.Request, n int) testorigin.Response {
			rng := rand.New(rand.NewPCG(uint64(p), uint64(n)))
			v := version[p].Load()
			a := testorigin.Response{Ranges: rng.Float64() < ranges, Body: bytes.Repeat(fmt.Appendf(nil, "%-*d", block, v), blocks), Header: map[string]string{"Surrogate-Key": fmt.Sprint("all tag", p)},
				Delay: time.Duration(rng.IntN(3)) * time.Millisecond}
			if rng.IntN(2) == 0 { // on its way for long enough to be joined
				a.Piece, a.Pace = blocks*block/2, 3*time.Millisecond
			}
			a.Header["Cache-Control"] = []string{"max-age=60", "max-age=0.002", "max-age=0.002, stale-while-revalidate=60, stale-if-error=60", "max-age=0", "no-cache"}[rng.IntN(5)]
			if rng.IntN(2) == 0 {
				a.Header["Cache-Groups"] = fmt.Sprintf(`"group%d"`, p)
			}
			if rng.IntN(3) == 0 {
				a.Header["Vary"] = "X-V"
			}
			switch rng.IntN(4) {
			case 0:
				a.ETag = fmt.Sprintf(`"%d"`, v)
			case 1:
				a.Chunked = true
			case 2:
				if rng.IntN(5) == 0 {
					a.Status = 503
				}
			}
			return a
		})
	}
	host := strings.TrimPrefix(r.server.URL, "http://")
	var purged [paths]atomic.Int64 // version that a complete purge guarantees
	var wg sync.WaitGroup
	work := make(chan int)
	var stale, served atomic.Int64
	for range 32 {
		wg.Go(func() {
			for i := range work {
				rng := rand.New(rand.NewPCG(11, uint64(i)))
				p := rng.IntN(paths)
				path := fmt.Sprint("/", p)
				if rng.IntN(12) == 0 {
					v := version[p].Add(1)
					switch rng.IntN(7) {
					case 0:
						r.purge(PurgeURL, r.server.URL+path)
					case 5: // invalidates, as an unsafe method does (RFC 9111 section 4.4)
						if a := r.do("POST", path); a.code != 200 {
							continue
						}
					case 1:
						r.purge(PurgeTag, fmt.Sprint("tag", p))
					case 2:
						r.purge(PurgeTag, "all", on(host))
					case 3:
						r.purge(PurgePrefix, r.server.URL+path)
					case 4:
						r.purge(PurgeHost, host)
					default:
						r.purge(PurgeEverything, "")
					}
					for {
						old := purged[p].Load()
						if old >= v || purged[p].CompareAndSwap(old, v) {
							break
						}
					}
					continue
				}
				want := purged[p].Load()
				fields := []string{"X-V", fmt.Sprint(rng.IntN(2))}
				if sliced && rng.IntN(3) > 0 {
					first := rng.IntN(blocks)
					fields = append(fields, "Range", fmt.Sprintf("bytes=%d-%d", first*block, (first+1+rng.IntN(blocks-first))*block-1))
				}
				a := r.get(path, fields...)
				if a.err != nil || a.code != 200 && a.code != 206 {
					continue
				}
				served.Add(1)
				for at := 0; at < len(a.body); at += block {
					text := strings.TrimSpace(string(a.body[at:min(at+block, len(a.body))]))
					if got, err := strconv.ParseInt(text, 10, 64); err != nil || got < want {
						stale.Add(1)
						t.Errorf("request %d %v: version %s after a purge of all before %d; Cache-Status %q", i, fields, text, want, a.status())
						break
					}
				}
			}
		})
	}
	b.hand(t, work)
	wg.Wait()
	t.Logf("requests %d to %d: %d answers, %d purges, %d older than a purge", b.from, b.to, served.Load(), r.cache.purges.last.Load(), stale.Load())
}
