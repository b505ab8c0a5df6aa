package httpcache

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/testorigin"
)

const mib = 1 << 20

// slicesOf is the Range fields that the origin got, in any order.
func slicesOf(r *rig, path string) map[string]int {
	m := make(map[string]int)
	for _, q := range r.origin.Requests(path) {
		m[q.Header.Get("Range")]++
	}
	return m
}

// Twenty clients each want another part of an object that nobody has fetched:
// the origin sends the object once, in slices, and keeps nobody waiting for the
// parts before. What is stored then answers any range, and the whole.
func TestDifferentRangesOfAColdObject(t *testing.T) {
	r := newRig(t)
	body, hold := testorigin.Content(10*mib), make(chan struct{})
	r.origin.Serve("/s", testorigin.Response{Body: body, ETag: `"s"`, Ranges: true, Header: fresh, Hold: hold})
	ranged := func(i int) answer {
		return r.get("/s", "Range", fmt.Sprintf("bytes=%d-%d", i*mib/2, (i+1)*mib/2-1))
	}
	answers := r.start(20, ranged)
	r.awaitReaders("/s", 20)
	close(hold)
	for i, a := range answers() {
		wantAll(t, []answer{a}, 206, body[i*mib/2:(i+1)*mib/2])
		if want := fmt.Sprintf("bytes %d-%d/%d", i*mib/2, (i+1)*mib/2-1, len(body)); a.header.Get("Content-Range") != want {
			t.Fatalf("Content-Range %q, want %q", a.header.Get("Content-Range"), want)
		}
	}
	// One for a slice, or two where the second half was asked for first.
	fetches := r.origin.Count("/s")
	if fetches < 10 || fetches > 20 {
		t.Errorf("%d fetches", fetches)
	}
	r.await("the origin's count", func() bool { return r.origin.Sent("/s") >= int64(len(body)) })
	if n := r.origin.Sent("/s"); n != int64(len(body)) {
		t.Errorf("origin sent %d bytes of %d", n, len(body))
	}
	r.awaitQuiet()
	a := r.get("/s", "Range", "bytes=1000000-4000000")
	wantAll(t, []answer{a}, 206, body[1000000:4000001])
	wantStatus(t, a, "hit")
	a = r.get("/s", "Range", "bytes=-100")
	wantAll(t, []answer{a}, 206, body[len(body)-100:])
	a = r.get("/s")
	wantAll(t, []answer{a}, 200, body)
	wantStatus(t, a, "hit")
	if a.header.Get("Content-Length") != fmt.Sprint(len(body)) || a.header.Get("Content-Range") != "" {
		t.Errorf("header of the whole: %v", a.header)
	}
	if a = r.get("/s", "Range", "bytes=10485760-"); a.code != 416 || a.header.Get("Content-Range") != "bytes */10485760" {
		t.Errorf("beyond the end: code %d, %q", a.code, a.header.Get("Content-Range"))
	}
	a = r.get("/s", "Range", "bytes=0-0,5000000-5000009")
	if a.code != 206 || !strings.HasPrefix(a.header.Get("Content-Type"), "multipart/byteranges") || !bytes.Contains(a.body, body[5000000:5000010]) {
		t.Errorf("two ranges: code %d, %v", a.code, a.header)
	}
	if a = r.get("/s", "Range", "bytes=0-9", "If-Range", `"s"`); a.code != 206 {
		t.Errorf("If-Range: code %d", a.code)
	}
	if a = r.get("/s", "Range", "bytes=0-9", "If-Range", `"t"`); a.code != 200 || !bytes.Equal(a.body, body) {
		t.Errorf("If-Range of another: code %d, %d bytes", a.code, len(a.body))
	}
	if a = r.get("/s", "Range", "bytes=0-9", "If-None-Match", `"s"`); a.code != 304 {
		t.Errorf("If-None-Match: code %d", a.code)
	}
	if a = r.do("HEAD", "/s", "Range", "bytes=0-9"); a.code != 200 || a.header.Get("Content-Length") != fmt.Sprint(len(body)) {
		t.Errorf("HEAD: code %d, Content-Length %q", a.code, a.header.Get("Content-Length"))
	}
	wantFetches(t, r, "/s", fetches)
	if _, err := r.cache.Purge(PurgeRequest{Scope: PurgeURL, Value: r.server.URL + "/s"}); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, r.get("/s", "Range", "bytes=5000000-5000009"), "fwd=uri-miss")
}

// The end of an object that arrives slowly is there at once, and stays.
func TestFarRangeWaitsForNothing(t *testing.T) {
	for name, spec := range map[string]string{"by position": "bytes=10383360-10485759", "by suffix": "bytes=-102400"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			body, gate := testorigin.Content(10*mib), make(chan struct{})
			r.origin.Handle("/f", func(q *http.Request, _ int) testorigin.Response {
				p := testorigin.Response{Body: body, ETag: `"f"`, Ranges: true, Header: fresh}
				if q.Header.Get("Range") == "" {
					p.Piece, p.Gate = mib, gate
				}
				return p
			})
			whole := r.start(1, func(int) answer { return r.get("/f") })
			r.await("the first piece", func() bool { return written(r, "/f") == mib })
			for _, a := range r.many(10, func(int) answer { return r.get("/f", "Range", spec) }) {
				wantAll(t, []answer{a}, 206, body[10383360:])
			}
			wantFetches(t, r, "/f", 2)
			r.await("the slice", func() bool { _, flights := r.waiting("/f"); return flights == 1 })
			a := r.get("/f", "Range", spec)
			wantAll(t, []answer{a}, 206, body[10383360:])
			wantStatus(t, a, "; hit")
			a = r.get("/f", "Range", "bytes=10485000-")
			wantAll(t, []answer{a}, 206, body[10485000:])
			wantFetches(t, r, "/f", 2)
			close(gate)
			wantAll(t, whole(), 200, body)
		})
	}
}

// Nobody waits for what comes before, not even within a slice: it is fetched
// from where it is wanted, and the rest of the slice when that is wanted.
func TestSliceIsFetchedFromWhereItIsWanted(t *testing.T) {
	r := newRig(t)
	body := testorigin.Content(4 * mib)
	r.origin.Serve("/e", testorigin.Response{Body: body, ETag: `"e"`, Ranges: true, Header: fresh})
	for _, c := range []struct {
		spec, forwarded string
		from, to        int
	}{
		{"bytes=3000000-3000009", "bytes=2998272-3145727", 3000000, 3000010},
		{"bytes=3145000-3145009", "", 3145000, 3145010},
		{"bytes=2500000-2999999", "bytes=2490368-2998271", 2500000, 3000000},
		{"bytes=2097152-3145727", "bytes=2097152-2490367", 2 * mib, 3 * mib},
		{"bytes=-5000", "bytes=4177920-4194303", 4*mib - 5000, 4 * mib},
	} {
		n := r.origin.Count("/e")
		wantAll(t, []answer{r.get("/e", "Range", c.spec)}, 206, body[c.from:c.to])
		r.awaitQuiet()
		var got []string
		for _, q := range r.origin.Requests("/e")[n:] {
			got = append(got, q.Header.Get("Range"))
		}
		if strings.Join(got, " ") != c.forwarded {
			t.Errorf("%s: origin got %q, want %q", c.spec, got, c.forwarded)
		}
	}
	r.await("the origin's count", func() bool { return r.origin.Sent("/e") >= mib+16<<10 })
	if n := r.origin.Sent("/e"); n != mib+16<<10 {
		t.Errorf("origin sent %d bytes", n)
	}
}

// A long range comes slice by slice, with few under way at once.
func TestLongRangeReadsAhead(t *testing.T) {
	r := newRig(t)
	body := testorigin.Content(12*mib + 345)
	r.origin.Serve("/l", testorigin.Response{Body: body, ETag: `"l"`, Ranges: true, Header: fresh, Delay: 10 * time.Millisecond})
	a := r.get("/l", "Range", "bytes=2097152-")
	wantAll(t, []answer{a}, 206, body[2*mib:])
	if peak := r.origin.Peak("/l"); peak < 2 || peak > sliceAhead+1 {
		t.Errorf("%d slices under way at once", peak)
	}
	for spec, n := range slicesOf(r, "/l") {
		if n != 1 {
			t.Errorf("%d fetches of %q", n, spec)
		}
	}
	for i, q := range r.origin.Requests("/l") {
		if tag := q.Header.Get("If-Range"); (tag == `"l"`) != (i > 0) {
			t.Errorf("fetch %d with If-Range %q", i, tag)
		}
	}
	r.awaitQuiet()
	// The first slices are missing of the whole; nobody asked for them yet.
	wantAll(t, []answer{r.get("/l", "Range", "bytes=1048576-1048600")}, 206, body[mib:mib+25])
	wantAll(t, []answer{r.get("/l", "Range", "bytes=0-99")}, 206, body[:100])
	r.awaitQuiet()
	a = r.get("/l")
	wantAll(t, []answer{a}, 200, body)
	wantStatus(t, a, "hit")
}

// The content changes while it is read slice by slice: who has got a part of
// the old one is cut off, who comes then gets the new one, nobody gets a mix.
func TestSlicesAreNeverMixed(t *testing.T) {
	r := newRig(t)
	old := testorigin.Content(12 * mib)
	fresh2 := bytes.ToUpper(old)
	changed := make(chan struct{})
	r.origin.Handle("/x", func(*http.Request, int) testorigin.Response {
		select {
		case <-changed:
			return testorigin.Response{Body: fresh2, ETag: `"2"`, Ranges: true, Header: fresh}
		default:
			return testorigin.Response{Body: old, ETag: `"1"`, Ranges: true, Header: fresh}
		}
	})
	wantAll(t, []answer{r.get("/x", "Range", "bytes=2000000-2000099")}, 206, old[2000000:2000100])
	r.awaitQuiet()
	close(changed)
	// The first slice of this range is stored, the next is not the origin's any more.
	a := r.get("/x", "Range", "bytes=2000000-5000000")
	if a.err == nil {
		t.Fatalf("code %d, %d bytes and no error", a.code, len(a.body))
	}
	if !bytes.Equal(a.body, old[2000000:2000000+len(a.body)]) {
		t.Fatal("a mix")
	}
	a = r.get("/x", "Range", "bytes=2000000-5000000")
	wantAll(t, []answer{a}, 206, fresh2[2000000:5000001])
	r.awaitQuiet()
	wantAll(t, []answer{r.get("/x", "Range", "bytes=2000000-2000099")}, 206, fresh2[2000000:2000100])
}

// A crowd of first slices, two generations of the content among the answers:
// each client gets one of them whole.
func TestColdSlicesOfTwoRepresentations(t *testing.T) {
	r := newRig(t)
	body := testorigin.Content(8 * mib)
	upper := bytes.ToUpper(body)
	r.origin.Handle("/g", func(_ *http.Request, n int) testorigin.Response {
		if n <= 4 {
			return testorigin.Response{Body: body, ETag: `"1"`, Ranges: true, Header: fresh, Delay: time.Duration(n) * time.Millisecond}
		}
		return testorigin.Response{Body: upper, ETag: `"2"`, Ranges: true, Header: fresh, Delay: time.Millisecond}
	})
	for i, a := range r.many(16, func(i int) answer {
		return r.get("/g", "Range", fmt.Sprintf("bytes=%d-%d", i*mib/2, i*mib/2+600_000))
	}) {
		want := body
		if a.header.Get("Etag") == `"2"` {
			want = upper
		}
		end := min(i*mib/2+600_001, len(want))
		if a.err == nil && (a.code != 206 || !bytes.Equal(a.body, want[i*mib/2:end])) {
			t.Errorf("client %d: code %d, %d bytes of Etag %s", i, a.code, len(a.body), a.header.Get("Etag"))
		}
	}
	r.awaitQuiet()
	wantAll(t, []answer{r.get("/g", "Range", "bytes=100-7000000")}, 206, upper[100:7000001])
}

// An origin that takes no ranges sends the whole, which then is one fetch for
// all, whatever part they want.
func TestOriginWithoutRanges(t *testing.T) {
	r := newRig(t)
	body, hold := testorigin.Content(6*mib), make(chan struct{})
	r.origin.Serve("/n", testorigin.Response{Body: body, ETag: `"n"`, Header: fresh, Hold: hold})
	answers := r.start(12, func(i int) answer {
		return r.get("/n", "Range", fmt.Sprintf("bytes=%d-%d", i*mib/2, i*mib/2+999))
	})
	r.awaitReaders("/n", 12)
	close(hold)
	for i, a := range answers() {
		wantAll(t, []answer{a}, 206, body[i*mib/2:i*mib/2+1000])
	}
	r.awaitQuiet()
	if n := r.origin.Count("/n"); n > 12 {
		t.Errorf("%d fetches", n)
	}
	n := r.origin.Count("/n")
	wantStatus(t, r.get("/n", "Range", "bytes=-5"), "hit")
	wantAll(t, []answer{r.get("/n")}, 200, body)
	wantFetches(t, r, "/n", n)
}

// A small object is whole in its first slice.
func TestRangeOfASmallObject(t *testing.T) {
	r := newRig(t)
	body := testorigin.Content(10 << 10)
	r.origin.Serve("/small", testorigin.Response{Body: body, Ranges: true, Header: fresh})
	a := r.get("/small", "Range", "bytes=5000-5999")
	wantAll(t, []answer{a}, 206, body[5000:6000])
	r.awaitQuiet()
	a = r.get("/small")
	wantAll(t, []answer{a}, 200, body)
	wantStatus(t, a, "hit")
	wantFetches(t, r, "/small", 1)
	// A failure is not a slice, and shared as any other.
	r.origin.Serve("/503", testorigin.Response{Status: 503, Delay: 50 * time.Millisecond})
	for _, a := range r.many(10, func(int) answer { return r.get("/503", "Range", "bytes=5000-5999") }) {
		if a.code != 503 {
			t.Errorf("code %d", a.code)
		}
	}
	if n := r.origin.Count("/503"); n > 2 {
		t.Errorf("%d fetches", n)
	}
	r.origin.Serve("/416", testorigin.Response{Body: body, Ranges: true, Header: fresh})
	if a := r.get("/416", "Range", "bytes=20000000-"); a.code != 416 {
		t.Errorf("code %d", a.code)
	}
	wantAll(t, []answer{r.get("/416")}, 200, body)
}

// Without a strong validator a slice stands for itself: it is shared and
// stored, and a range that needs more than one is forwarded as it is.
func TestSlicesWithoutValidator(t *testing.T) {
	r := newRig(t)
	body := testorigin.Content(5 * mib)
	r.origin.Serve("/w", testorigin.Response{Body: body, ETag: `W/"w"`, Ranges: true, Header: fresh})
	for _, a := range r.many(5, func(int) answer { return r.get("/w", "Range", "bytes=2500000-2500099") }) {
		wantAll(t, []answer{a}, 206, body[2500000:2500100])
	}
	wantFetches(t, r, "/w", 1)
	r.awaitQuiet()
	a := r.get("/w", "Range", "bytes=2600000-2600099")
	wantAll(t, []answer{a}, 206, body[2600000:2600100])
	wantStatus(t, a, "hit")
	a = r.get("/w", "Range", "bytes=2600000-3600099")
	wantAll(t, []answer{a}, 206, body[2600000:3600100])
	wantStatus(t, a, "detail=range")
	if got := r.origin.Requests("/w")[1].Header.Get("Range"); got != "bytes=2600000-3600099" {
		t.Errorf("forwarded Range %q", got)
	}
	r.advance(61 * time.Second)
	wantStatus(t, r.get("/w", "Range", "bytes=2500000-2500099"), "fwd=")
}

// Slices grow stale together, and one 304 makes all of them fresh again.
func TestStaleSlicesAreValidatedOnce(t *testing.T) {
	r := newRig(t)
	body := testorigin.Content(6 * mib)
	down := make(chan struct{})
	r.origin.Handle("/v", func(*http.Request, int) testorigin.Response {
		p := testorigin.Response{Body: body, ETag: `"v"`, Ranges: true, Header: map[string]string{"Cache-Control": "max-age=60, stale-if-error=600"}, Delay: 20 * time.Millisecond}
		select {
		case <-down:
			return testorigin.Response{Status: 503}
		default:
			return p
		}
	})
	wantAll(t, []answer{r.get("/v", "Range", "bytes=2000000-4999999")}, 206, body[2000000:5000000])
	r.awaitQuiet()
	n := r.origin.Count("/v")
	r.advance(61 * time.Second)
	for i, a := range r.many(10, func(i int) answer {
		return r.get("/v", "Range", fmt.Sprintf("bytes=%d-%d", 2000000+i*mib/4, 2000099+i*mib/4))
	}) {
		wantAll(t, []answer{a}, 206, body[2000000+i*mib/4:2000100+i*mib/4])
	}
	if got := r.origin.Count("/v") - n; got != 1 {
		t.Errorf("%d validations", got)
	}
	r.awaitQuiet()
	wantStatus(t, r.get("/v", "Range", "bytes=2000000-2000009"), "; hit")
	r.advance(61 * time.Second)
	close(down)
	a := r.get("/v", "Range", "bytes=2000000-2000009")
	wantAll(t, []answer{a}, 206, body[2000000:2000010])
	wantStatus(t, a, "detail=stale-if-error")
}

// A slice that is for one user only reaches nobody else, and leaves nothing.
func TestPrivateSlices(t *testing.T) {
	r := newRig(t)
	size := 3 * mib
	r.origin.Handle("/p", func(q *http.Request, _ int) testorigin.Response {
		return testorigin.Response{Body: tagged(q.Header.Get("X-User"), size/block), ETag: `"p"`, Ranges: true,
			Header: map[string]string{"Cache-Control": "private, max-age=60"}, Delay: 10 * time.Millisecond}
	})
	for i, a := range r.many(20, func(i int) answer {
		return r.get("/p", "Range", fmt.Sprintf("bytes=%d-%d", 2*mib, 2*mib+block-1), "X-User", fmt.Sprint(i))
	}) {
		wantAll(t, []answer{a}, 206, tagged(fmt.Sprint(i), 1))
	}
	r.awaitQuiet()
	if n := r.store.Stats().Objects; n != 0 {
		t.Errorf("%d objects stored", n)
	}
}

// The second variant finds its own slices once Vary is known.
func TestSlicesOfVariants(t *testing.T) {
	r := newRig(t)
	r.origin.Handle("/y", func(q *http.Request, _ int) testorigin.Response {
		v := q.Header.Get("X-V")
		return testorigin.Response{Body: tagged(v, 4*mib/block), ETag: `"` + v + `"`, Ranges: true,
			Header: map[string]string{"Cache-Control": "max-age=60", "Vary": "X-V"}, Delay: 5 * time.Millisecond}
	})
	for range 3 {
		for i, a := range r.many(20, func(i int) answer {
			return r.get("/y", "Range", fmt.Sprintf("bytes=%d-%d", mib/2, 3*mib-1), "X-V", fmt.Sprint(i%2))
		}) {
			wantAll(t, []answer{a}, 206, tagged(fmt.Sprint(i%2), 5*mib/2/block))
		}
		r.awaitQuiet()
	}
	n := r.origin.Count("/y")
	wantStatus(t, r.get("/y", "Range", "bytes=1000000-1000009", "X-V", "1"), "; hit")
	wantFetches(t, r, "/y", n)
}

// The origin breaks off a slice: it is resumed within the slice.
func TestCutSliceIsResumed(t *testing.T) {
	r := newRig(t)
	body := testorigin.Content(4 * mib)
	r.origin.Handle("/c", func(_ *http.Request, n int) testorigin.Response {
		p := testorigin.Response{Body: body, ETag: `"c"`, Ranges: true, Header: fresh}
		if n == 1 {
			p.CutAt = 300_000
		}
		return p
	})
	a := r.get("/c", "Range", "bytes=2097152-3145727")
	wantAll(t, []answer{a}, 206, body[2*mib:3*mib])
	if got := r.origin.Requests("/c")[1].Header; got.Get("Range") != "bytes=2397152-3145727" || got.Get("If-Range") != `"c"` {
		t.Errorf("resumed with Range %q, If-Range %q", got.Get("Range"), got.Get("If-Range"))
	}
	wantFetches(t, r, "/c", 2)
}

// What one user's credentials keep from being shared says nothing of what others get.
func TestCredentialsDoNotMarkSlicesAsUncacheable(t *testing.T) {
	for name, fields := range map[string][]string{"credentials": {"Authorization", "Bearer a"}, "no-store": {"Cache-Control", "no-store"}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			body := testorigin.Content(4 * mib)
			r.origin.Handle("/a", func(q *http.Request, _ int) testorigin.Response {
				p := testorigin.Response{Body: body, ETag: `"a"`, Ranges: true, Header: map[string]string{"Cache-Control": "public, max-age=60"}}
				if q.Header.Get("Authorization") != "" {
					p.Header = fresh
				}
				return p
			})
			ask := func(slice int, fields ...string) answer {
				a := r.get("/a", append(fields, "Range", fmt.Sprintf("bytes=%d-%d", slice*mib, slice*mib+9))...)
				wantAll(t, []answer{a}, 206, body[slice*mib:slice*mib+10])
				r.awaitQuiet()
				return a
			}
			ask(3)
			ask(2, fields...)
			ask(1)
			wantStatus(t, ask(1), "hit")
		})
	}
}
