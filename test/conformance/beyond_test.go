package conformance

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/testorigin"
)

// TestOriginHangsBeforeItsHeader: everybody is told so from one fetch, and nobody waits for more than the time that the origin has.
func TestOriginHangsBeforeItsHeader(t *testing.T) {
	slow(t)
	r := newRig(t, "--response-header-timeout", "1s")
	hold := make(chan struct{})
	r.origin.Handle("/hang", firstThen(testorigin.Response{Hold: hold}, testorigin.Response{Body: []byte("well again"), Header: fresh}))
	answers := r.many(20, func(int) answer { return r.get("/hang") })
	for i, a := range answers {
		if a.err != nil || a.code != http.StatusGatewayTimeout {
			t.Errorf("client %d: code %d, error %v, Cache-Status %q, want 504", i, a.code, a.err, a.header.Get("Cache-Status"))
		}
	}
	report(t, "origin hangs before its header x20", result{fetches: r.origin.Count("/hang"), took: slowest(answers)}, 1, 1, 1100*ms)
	well := time.Now()
	close(hold)
	// After a failure the shield asks again with back-off only.
	again := r.get("/hang")
	for deadline := time.Now().Add(10 * time.Second); again.code != http.StatusOK && time.Now().Before(deadline); again = r.get("/hang") {
		time.Sleep(50 * ms)
	}
	want(t, []answer{again}, 200, []byte("well again"))
	t.Logf("answered again %v after the origin was well", again.began.Sub(well).Round(ms))
}

// TestInvalidationDuringAFlight: who waits gets what the fetch brings; it may be older than the change, so nobody gets it afterwards.
func TestInvalidationDuringAFlight(t *testing.T) {
	slow(t)
	r := newRig(t)
	hold := make(chan struct{})
	r.origin.Handle("/change", func(q *http.Request, n int) testorigin.Response {
		p := testorigin.Response{Body: fmt.Append(nil, "version ", n), Header: fresh}
		switch {
		case n == 1:
			p.Hold = hold
		case q.Method == http.MethodPut:
			p = testorigin.Response{Status: http.StatusNoContent}
		}
		return p
	})
	waiting := r.later(0, 5, func(int) answer { return r.get("/change") })
	r.origin.Await(t, "/change", 1)
	if a := r.ask(t.Context(), http.MethodPut, "/change"); a.err != nil || a.code != http.StatusNoContent {
		t.Fatalf("PUT: code %d, error %v", a.code, a.err)
	}
	want(t, []answer{r.get("/change")}, 200, []byte("version 3"))
	close(hold)
	waitedFor(t, waiting(), "version 1", "version 3")
	r.quiet()
	want(t, r.many(5, func(int) answer { return r.get("/change") }), 200, []byte("version 3"))
	report(t, "changed by a PUT during a fetch", result{fetches: r.origin.Count("/change")}, 3, 3, ms)
}

// TestPurgeDuringAFlight is the same by an operator's word.
func TestPurgeDuringAFlight(t *testing.T) {
	slow(t)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, "--purge-token-file", file)
	hold := make(chan struct{})
	r.origin.Handle("/purge", func(_ *http.Request, n int) testorigin.Response {
		p := testorigin.Response{Body: fmt.Append(nil, "version ", n), Header: fresh}
		if n == 1 {
			p.Hold = hold
		}
		return p
	})
	waiting := r.later(0, 5, func(int) answer { return r.get("/purge") })
	r.origin.Await(t, "/purge", 1)
	purge, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.shield.admin+"/purge", strings.NewReader(`{"scope":"url","value":"`+r.shield.url+`/purge"}`))
	if err != nil {
		t.Fatal(err)
	}
	purge.Header.Set("Content-Type", "application/json")
	purge.Header.Set("Authorization", "Bearer secret")
	response, err := http.DefaultClient.Do(purge)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if said, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusOK {
		t.Fatalf("purge: %s: %s", response.Status, said)
	}
	want(t, []answer{r.get("/purge")}, 200, []byte("version 2"))
	close(hold)
	waitedFor(t, waiting(), "version 1", "version 2")
	r.quiet()
	want(t, r.many(5, func(int) answer { return r.get("/purge") }), 200, []byte("version 2"))
	report(t, "purged during a fetch", result{fetches: r.origin.Count("/purge")}, 2, 2, ms)
}

// waitedFor checks that who waited before a change got the old response, at least the one whose request the origin had; who came a moment
// after it, by the scheduler's will, rightly has the new one.
func waitedFor(t *testing.T, answers []answer, old, changed string) {
	t.Helper()
	before := 0
	for i, a := range answers {
		switch {
		case a.err == nil && a.code == 200 && string(a.body) == old:
			before++
		case a.err == nil && a.code == 200 && string(a.body) == changed:
		default:
			t.Errorf("client %d: code %d, %q, error %v", i, a.code, a.body, a.err)
		}
	}
	if before == 0 {
		t.Errorf("nobody got %q, for which somebody waited", old)
	}
}

// TestHTTP2StreamReset: a client that resets one stream keeps the others of its connection, and takes the response from nobody.
func TestHTTP2StreamReset(t *testing.T) {
	slow(t)
	r := newRig(t)
	plain := r.client
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	h2 := &http.Transport{Protocols: protocols, DisableCompression: true}
	defer h2.CloseIdleConnections()
	r.client = &http.Client{Transport: h2}
	p := twoSeconds(320 << 10)
	r.origin.Serve("/h2", p)
	ctx, reset := context.WithTimeout(t.Context(), time.Second) // half way: the others have come by then
	defer reset()
	first := r.later(0, 1, func(int) answer { return r.ask(ctx, "GET", "/h2") })
	same := r.later(200*ms, 10, func(int) answer { return r.get("/h2") })
	other := *r
	other.client = plain
	others := other.later(200*ms, 10, func(int) answer { return other.get("/h2") })()
	if first()[0].err == nil {
		t.Error("the first stream was not reset")
	}
	joined := append(same(), others...)
	want(t, joined, 200, p.Body)
	report(t, "HTTP/2: the first stream is reset, 20 others", result{fetches: r.origin.Count("/h2"), took: slowestFirstByte(joined)}, 1, 1, 5*ms)
	if a := r.get("/h2"); a.err != nil || a.header.Get("Cache-Status") == "" {
		t.Errorf("the connection after the reset: %v", a.err)
	}
}

// TestObjectLargerThanMemory: it is shared while it passes, in memory that does not grow with it.
func TestObjectLargerThanMemory(t *testing.T) {
	slow(t)
	r := newRig(t, "--cache-size", "16MiB")
	body := testorigin.Content(96 << 20)
	r.origin.Serve("/large", testorigin.Response{Body: body, Header: fresh, ETag: `"1"`, Ranges: true, Delay: 50 * ms})
	before := r.shield.memory("VmRSS")
	answers := r.many(5, func(int) answer { return r.get("/large") })
	want(t, answers, 200, body)
	grown := r.shield.memory("VmHWM") - before
	report(t, "96 MiB through a store of 16 MiB x5", result{fetches: r.origin.Count("/large"), took: slowest(answers),
		note: fmt.Sprintf("%d MiB of memory at most", grown>>20)}, 1, 5, time.Second)
	if grown > 64<<20 {
		t.Errorf("memory grew by %d MiB for an object of 96 MiB that cannot be stored in 16 MiB", grown>>20)
	}
}

// TestNotModifiedWithChangedFields: a 304's fields are everybody's from then on (RFC 9111 section 4.3.4), its lifetime included.
func TestNotModifiedWithChangedFields(t *testing.T) {
	slow(t)
	r := newRig(t)
	body := testorigin.Content(10 << 10)
	r.origin.Handle("/304", firstThen(
		testorigin.Response{Body: body, Header: map[string]string{"Cache-Control": "max-age=1", "X-Version": "1"}, ETag: `"1"`},
		testorigin.Response{Body: body, Header: map[string]string{"Cache-Control": "max-age=60", "X-Version": "2"}, ETag: `"1"`, Delay: 200 * ms}))
	expired(r, "/304")
	answers := r.many(50, func(int) answer { return r.get("/304") })
	r.quiet()
	answers = append(answers, r.get("/304"))
	want(t, answers, 200, body)
	for i, a := range answers {
		if a.header.Get("X-Version") != "2" || a.header.Get("Cache-Control") != "max-age=60" || a.header.Get("Content-Length") != fmt.Sprint(len(body)) {
			t.Fatalf("client %d got the fields %v", i, a.header)
		}
	}
	report(t, "304 with changed fields x50", result{fetches: r.origin.Count("/304") - 1, took: slowest(answers)}, 1, 1, 212*ms)
}

// TestEvictionDuringAFlight: what is validated may be evicted meanwhile, and what is fetched may find no room; those who wait get it all.
func TestEvictionDuringAFlight(t *testing.T) {
	slow(t)
	r := newRig(t, "--cache-size", "4MiB")
	body, hold := testorigin.Content(300<<10), make(chan struct{})
	r.origin.Handle("/stale", firstThen(testorigin.Response{Body: body, Header: cc("max-age=1"), ETag: `"1"`},
		testorigin.Response{Body: body, Header: fresh, ETag: `"1"`, Hold: hold}))
	r.origin.Serve("/cold", testorigin.Response{Body: body, Header: fresh, Hold: hold})
	expired(r, "/stale")
	stale := r.later(0, 10, func(int) answer { return r.get("/stale") })
	cold := r.later(0, 10, func(int) answer { return r.get("/cold") })
	r.origin.Await(t, "/stale", 2)
	r.origin.Await(t, "/cold", 1)
	for i := range 100 { // five times the store, each asked for twice
		path := fmt.Sprint("/fill/", i)
		r.origin.Serve(path, testorigin.Response{Body: body[:200<<10], Header: fresh})
		r.get(path)
		r.get(path)
	}
	close(hold)
	want(t, stale(), 200, body)
	want(t, cold(), 200, body)
	report(t, "evicted while it is validated x10", result{fetches: r.origin.Count("/stale") - 1}, 1, 1, ms)
	report(t, "no room while it is fetched x10", result{fetches: r.origin.Count("/cold")}, 1, 1, ms)
	if used, limit := r.shield.metric(`surgewall_store_bytes{what="used"}`), float64(4<<20); used > limit {
		t.Errorf("the store holds %.0f of %.0f bytes", used, limit)
	}
}

// TestShieldIsLostInMidBody: what a lost node had begun to send is visibly cut, with and without a length.
func TestShieldIsLostInMidBody(t *testing.T) {
	slow(t)
	r := newRig(t)
	for _, chunked := range []bool{false, true} {
		p := twoSeconds(320 << 10)
		p.Chunked = chunked
		r.origin.Serve(fmt.Sprint("/lost/", chunked), p)
	}
	answers := r.later(0, 20, func(i int) answer { return r.get(fmt.Sprint("/lost/", i%2 == 0)) })
	time.Sleep(500 * ms)
	r.shield.kill()
	for i, a := range answers() {
		if a.err == nil {
			t.Errorf("client %d got %d bytes and a clean end", i, len(a.body))
		}
	}
}
