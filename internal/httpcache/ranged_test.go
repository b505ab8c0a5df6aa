package httpcache

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/surgewall/surgewall/internal/testorigin"
)

// wantParts checks a multipart/byteranges answer against the whole.
func wantParts(t *testing.T, a answer, whole []byte, spans ...[2]int) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if a.code != 206 || a.err != nil || err != nil || kind != "multipart/byteranges" || a.header.Get("Content-Range") != "" {
		t.Fatalf("code %d, Content-Type %q, Content-Range %q, errors %v, %v", a.code, a.header.Get("Content-Type"), a.header.Get("Content-Range"), a.err, err)
	}
	if want := fmt.Sprint(len(a.body)); a.header.Get("Content-Length") != want {
		t.Fatalf("Content-Length %q of %s bytes", a.header.Get("Content-Length"), want)
	}
	m := multipart.NewReader(bytes.NewReader(a.body), params["boundary"])
	for _, s := range spans {
		p, err := m.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(p)
		if err != nil || !bytes.Equal(got, whole[s[0]:s[1]+1]) {
			t.Fatalf("part %v: %d bytes, error %v", s, len(got), err)
		}
		if want := fmt.Sprintf("bytes %d-%d/%d", s[0], s[1], len(whole)); p.Header.Get("Content-Range") != want || p.Header.Get("Content-Type") != "video/mp4" {
			t.Fatalf("part's header %v, want Content-Range %q", p.Header, want)
		}
	}
	if _, err := m.NextRawPart(); err != io.EOF {
		t.Fatalf("another part, or %v", err)
	}
}

// Several ranges are one multipart answer, out of a body in flight and out of
// the store, in the order asked for (RFC 9110 section 15.3.7.2).
func TestSeveralRanges(t *testing.T) {
	r := newRig(t)
	body, gate := testorigin.Content(300<<10), make(chan struct{})
	header := map[string]string{"Cache-Control": "max-age=60", "Content-Type": "video/mp4"}
	r.origin.Serve("/m", testorigin.Response{Body: body, ETag: `"m"`, Header: header, Piece: 100 << 10, Gate: gate})
	first := r.start(1, func(int) answer { return r.get("/m") })
	r.await("the first piece", func() bool { return written(r, "/m") >= 100<<10 })
	inFlight := r.start(1, func(int) answer { return r.get("/m", "Range", "bytes=250000-250999,0-999") })
	r.awaitReaders("/m", 2)
	close(gate)
	wantAll(t, first(), 200, body)
	wantParts(t, inFlight()[0], body, [2]int{250000, 250999}, [2]int{0, 999})
	r.awaitQuiet()
	a := r.get("/m", "Range", "bytes=5000-5999,-10,70000-70010,5500-6999", "If-Range", `"m"`)
	wantStatus(t, a, "hit")
	wantParts(t, a, body, [2]int{5000, 6999}, [2]int{307190, 307199}, [2]int{70000, 70010})
	if a := r.get("/m", "Range", "bytes=0-9,1000-1009", "If-Range", `"other"`); a.code != 200 || len(a.body) != len(body) {
		t.Errorf("If-Range that names another: code %d, %d bytes", a.code, len(a.body))
	}
	if a := r.do("HEAD", "/m", "Range", "bytes=0-9,1000-1009"); a.code != 200 || a.header.Get("Content-Length") != "307200" {
		t.Errorf("HEAD: code %d, Content-Length %q", a.code, a.header.Get("Content-Length"))
	}
	// What costs more than the whole gets the whole.
	var many []string
	for i := range maxParts + 1 {
		many = append(many, fmt.Sprintf("%d-%d", i*1000, i*1000))
	}
	for _, spec := range []string{strings.Join(many, ","), "0-150000,150200-307199"} {
		if a := r.get("/m", "Range", "bytes="+spec); a.code != 200 || !bytes.Equal(a.body, body) {
			t.Errorf("%.40s: code %d, %d bytes", spec, a.code, len(a.body))
		}
	}
	wantFetches(t, r, "/m", 1)
}

// The length of a body in flight is not known: a closed range of it is a 206
// all the same once it is there, and the length is an asterisk (RFC 9110
// section 14.4). What may lie beyond the end waits for it.
func TestRangeOfUnknownLength(t *testing.T) {
	r := newRig(t)
	body, gate := testorigin.Content(300<<10), make(chan struct{})
	r.origin.Serve("/u", testorigin.Response{Body: body, Header: fresh, Chunked: true, Piece: 100 << 10, Gate: gate})
	first := r.start(1, func(int) answer { return r.get("/u") })
	r.await("the first piece", func() bool { return written(r, "/u") >= 100<<10 })
	a := r.get("/u", "Range", "bytes=1000-1999")
	wantAll(t, []answer{a}, 206, body[1000:2000])
	if got := a.header.Get("Content-Range"); got != "bytes 1000-1999/*" || a.header.Get("Content-Length") != "1000" {
		t.Fatalf("Content-Range %q, Content-Length %q", got, a.header.Get("Content-Length"))
	}
	next := r.start(1, func(int) answer { return r.get("/u", "Range", "bytes=150000-150009") })
	beyond := r.start(1, func(int) answer { return r.get("/u", "Range", "bytes=300000-399999") })
	none := r.start(1, func(int) answer { return r.get("/u", "Range", "bytes=310000-310009") })
	r.awaitReaders("/u", 4)
	gate <- struct{}{}
	a = next()[0]
	wantAll(t, []answer{a}, 206, body[150000:150010])
	close(gate)
	wantAll(t, first(), 200, body)
	a = beyond()[0]
	wantAll(t, []answer{a}, 206, body[300000:])
	if got := a.header.Get("Content-Range"); got != "bytes 300000-307199/307200" {
		t.Fatalf("Content-Range %q", got)
	}
	if a = none()[0]; a.code != 416 || a.header.Get("Content-Range") != "bytes */307200" {
		t.Fatalf("beyond the end: code %d, Content-Range %q", a.code, a.header.Get("Content-Range"))
	}
	wantFetches(t, r, "/u", 1)
}

// The origin dies after its header: those who have got nothing yet are served
// by one more fetch, and do not notice; with and without a validator.
func TestBreakBeforeTheFirstByteMovesReaders(t *testing.T) {
	r := newRig(t)
	body, hold := testorigin.Content(100<<10), make(chan struct{})
	r.origin.Handle("/b", func(_ *http.Request, n int) testorigin.Response {
		p := testorigin.Response{Body: body, Header: fresh}
		if n == 1 {
			p.Hold, p.CutAt = hold, 1000
		}
		return p
	})
	// They want what lies beyond the cut.
	answers := r.start(20, func(int) answer { return r.get("/b", "Range", "bytes=5000-") })
	r.awaitReaders("/b", 20)
	close(hold)
	wantAll(t, answers(), 206, body[5000:])
	wantFetches(t, r, "/b", 2)
	r.awaitQuiet()
	wantStatus(t, r.get("/b"), "hit")

	// It breaks off each time: an error, after a bounded number of attempts.
	r.origin.Serve("/c", testorigin.Response{Body: body, Header: fresh, CutAt: 1000})
	for _, a := range r.many(20, func(int) answer { return r.get("/c", "Range", "bytes=5000-") }) {
		if a.err == nil {
			t.Fatalf("code %d, %d bytes and no error", a.code, len(a.body))
		}
	}
	// Those who come late have a fetch of their own.
	if n := r.origin.Count("/c"); n > 20*(maxBreaks+1) {
		t.Errorf("%d fetches", n)
	}
}

// Trailers of a shared body go to who takes them, without those that would
// speak to one client only, and nowhere else (RFC 9110 section 6.5).
func TestTrailers(t *testing.T) {
	r := newRig(t)
	gate := make(chan struct{})
	r.origin.Serve("/t", testorigin.Response{Body: []byte("0123456789"), Header: fresh, Chunked: true, Piece: 5, Gate: gate,
		Trailer: map[string]string{"X-Checksum": "abc", "Set-Cookie": "id=1"}})
	ask := func(i int) http.Header {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.server.URL+"/t", nil)
		if err != nil {
			t.Error(err)
			return nil
		}
		if i == 0 {
			req.Header.Set("Te", "trailers")
		}
		resp, err := r.client.Do(req)
		if err != nil {
			t.Error(err)
			return nil
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "0123456789" {
			t.Errorf("body %q, error %v", body, err)
		}
		return resp.Trailer
	}
	got := make(chan http.Header)
	for i := range 2 {
		go func() { got <- ask(i) }()
		r.awaitReaders("/t", i+1)
	}
	close(gate)
	with, without := <-got, <-got
	if with == nil {
		with, without = without, with
	}
	if with.Get("X-Checksum") != "abc" || with.Get("Set-Cookie") != "" || without != nil {
		t.Fatalf("trailers %v and %v", with, without)
	}
	r.awaitQuiet()
	if a := r.get("/t"); len(a.body) != 10 {
		t.Fatalf("%d bytes from the store", len(a.body))
	}
}
