package conformance

import (
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/testorigin"
)

// result is what one row of the matrix measured.
type result struct {
	fetches int           // by the burst
	took    time.Duration // what the row's bar speaks of
	note    string
}

// report prints a row beside its bar. Counts are held to the bar. Times depend on the machine: they are printed beside the bar and held
// only to what tells a wait for the wrong thing from a busy machine.
func report(t *testing.T, row string, got result, least, most int, bar time.Duration) {
	t.Helper()
	mark := ""
	if got.took > bar {
		mark = "  over the bar"
	}
	t.Logf("row %-42s fetches %4d (bar %d)  %8.1f ms (bar %d ms)%s  %s", row, got.fetches, most,
		float64(got.took.Microseconds())/1000, bar.Milliseconds(), mark, got.note)
	if got.fetches < least || got.fetches > most {
		t.Errorf("row %s: %d fetches, want %d to %d", row, got.fetches, least, most)
	}
	// Who waits for a slow reader, or behind a response that it may not have, waits for seconds.
	if got.took > 5*bar+2*time.Second {
		t.Errorf("row %s: %v, want about %v", row, got.took, bar)
	}
}

// burst is a row in which clients come at once.
type burst struct {
	row     string
	clients int
	script  testorigin.Script
	before  func(*rig, string)
	ask     func(*rig, string, int) answer
	code    int           // of every answer; 0: see check
	fetches int           // the bar, exactly
	bar     time.Duration // of the slowest client
	// unkept is the origin's delay where the response answers only who waits for it: clients that a busy machine sends later than that
	// rightly open another fetch.
	unkept time.Duration
	check  func(*testing.T, []answer)
}

func always(p testorigin.Response) testorigin.Script {
	return func(*http.Request, int) testorigin.Response { return p }
}

func firstThen(first, then testorigin.Response) testorigin.Script {
	return func(_ *http.Request, n int) testorigin.Response {
		if n == 1 {
			return first
		}
		return then
	}
}

// personal answers each request with a body that no other request gets: its number, and whose it is.
func personal(p testorigin.Response) testorigin.Script {
	return func(r *http.Request, n int) testorigin.Response {
		p := p
		p.Body = fmt.Appendf(nil, "%06d for %s %01000d", n, r.Header.Get("Authorization"), 0)
		return p
	}
}

func plain(r *rig, path string, _ int) answer { return r.get(path) }

// stored asks once and waits until the fetch is over.
func stored(r *rig, path string) { r.get(path); r.quiet() }

// expired is stored, and then waits until a lifetime of one second is over; Date has a grain of a second.
func expired(r *rig, path string) { stored(r, path); time.Sleep(2100 * ms) }

// unshared checks that no two clients got one body.
func unshared(t *testing.T, answers []answer) {
	seen := make(map[string]int)
	for i, a := range answers {
		if j, ok := seen[string(a.body)]; ok {
			t.Errorf("LEAK: clients %d and %d got the same response, which must not be shared: %.20q", j, i, a.body)
			return
		}
		seen[string(a.body)] = i
	}
}

func bursts() []burst {
	body := testorigin.Content(10 << 10)
	vary := map[string]string{"Cache-Control": "max-age=60", "Vary": "X-V"}
	byVariant := func(r *rig, path string, i int) answer { return r.get(path, "X-V", fmt.Sprint(i%2)) }
	variants := func(r *http.Request, _ int) testorigin.Response {
		return testorigin.Response{Body: []byte("variant " + r.Header.Get("X-V")), Header: vary, Delay: 300 * ms}
	}
	ownVariant := func(t *testing.T, answers []answer) {
		for i, a := range answers {
			if want := fmt.Sprint("variant ", i%2); string(a.body) != want {
				t.Errorf("LEAK: client %d got %q, want %q", i, a.body, want)
			}
		}
	}
	swr, sie := cc("max-age=1, stale-while-revalidate=60"), cc("max-age=1, stale-if-error=60")
	noStore := testorigin.Response{Header: cc("no-store"), Delay: 200 * ms}
	return []burst{
		{row: "1 cold", clients: 50, script: always(testorigin.Response{Body: body, Header: fresh, Delay: 300 * ms}), fetches: 1, bar: 310 * ms},
		{row: "4 no-store, first burst", clients: 50, script: personal(noStore), fetches: 50, bar: 415 * ms, check: unshared},
		{row: "5 no-store, second burst", clients: 50, script: personal(noStore), before: stored, fetches: 50, bar: 210 * ms, check: unshared},
		{row: "6 private", clients: 50, script: personal(testorigin.Response{Header: cc("private, max-age=60"), Delay: 200 * ms}),
			fetches: 50, bar: 415 * ms, check: unshared},
		{row: "7 max-age=0", clients: 50, script: always(testorigin.Response{Body: body, Header: cc("max-age=0"), Delay: 200 * ms}),
			fetches: 1, bar: 210 * ms, unkept: 200 * ms},
		{row: "7 no-cache", clients: 50, script: personal(testorigin.Response{Header: cc("no-cache"), Delay: 200 * ms}),
			fetches: 50, bar: 415 * ms, check: unshared},
		{row: "8 Set-Cookie", clients: 20, script: func(r *http.Request, n int) testorigin.Response {
			return testorigin.Response{Header: map[string]string{"Cache-Control": "max-age=60", "Set-Cookie": fmt.Sprint("user=", n)},
				Body: fmt.Append(nil, "user=", n), Delay: 200 * ms}
		}, fetches: 20, bar: 415 * ms, check: func(t *testing.T, answers []answer) {
			unshared(t, answers)
			for i, a := range answers {
				if cookie := a.header.Get("Set-Cookie"); cookie != string(a.body) {
					t.Errorf("LEAK: client %d got the cookie %q with the body %q", i, cookie, a.body)
				}
			}
		}},
		{row: "9 Authorization", clients: 20, script: personal(testorigin.Response{Header: fresh, Delay: 200 * ms}),
			ask:     func(r *rig, path string, i int) answer { return r.get(path, "Authorization", fmt.Sprint("Bearer ", i)) },
			fetches: 20, bar: 210 * ms, check: func(t *testing.T, answers []answer) {
				for i, a := range answers {
					if want := fmt.Sprintf(" for Bearer %d ", i); len(a.body) < 30 || string(a.body[6:6+len(want)]) != want {
						t.Errorf("LEAK: client %d got %.30q", i, a.body)
					}
				}
			}},
		{row: "10 503", clients: 50, script: always(testorigin.Response{Status: 503, Delay: 200 * ms}), code: 503,
			fetches: 1, bar: 210 * ms, unkept: 200 * ms},
		{row: "11 cut at 30 %, strong validator", clients: 20, script: firstThen(
			testorigin.Response{Body: body, Header: fresh, ETag: `"1"`, Ranges: true, CutAt: 3 << 10, Delay: 200 * ms},
			testorigin.Response{Body: body, Header: fresh, ETag: `"1"`, Ranges: true}),
			fetches: 2, bar: 210 * ms, check: func(t *testing.T, answers []answer) { want(t, answers, 200, body) }},
		{row: "18 20 same ranges", clients: 20, script: always(testorigin.Response{Body: body, Header: fresh, ETag: `"1"`, Ranges: true, Delay: 100 * ms}),
			ask:  func(r *rig, path string, _ int) answer { return r.get(path, "Range", "bytes=5000-5999") },
			code: 206, fetches: 1, bar: 120 * ms, check: func(t *testing.T, answers []answer) { want(t, answers, 206, body[5000:6000]) }},
		{row: "21 20 HEAD and 20 GET", clients: 40, script: always(testorigin.Response{Body: body, Header: fresh, Delay: 300 * ms}),
			ask: func(r *rig, path string, i int) answer {
				return r.ask(r.t.Context(), []string{"GET", "HEAD"}[i%2], path)
			},
			fetches: 1, bar: 312 * ms},
		{row: "22 Vary, unknown", clients: 40, script: variants, ask: byVariant, fetches: 2, bar: 612 * ms, check: ownVariant},
		{row: "22 Vary, known", clients: 40, script: variants, before: stored, ask: byVariant, fetches: 2, bar: 312 * ms, check: ownVariant},
		{row: "23 expired with ETag", clients: 50, script: always(testorigin.Response{Body: body, Header: cc("max-age=1"), ETag: `"1"`, Delay: 200 * ms}),
			before: expired, fetches: 1, bar: 212 * ms},
		{row: "24 stale-while-revalidate", clients: 50, script: firstThen(testorigin.Response{Body: body, Header: swr},
			testorigin.Response{Body: body, Header: swr, Delay: 200 * ms}), before: expired, fetches: 1, bar: 6 * ms},
		{row: "25 stale-if-error, origin 503", clients: 50, script: firstThen(testorigin.Response{Body: body, Header: sie},
			testorigin.Response{Status: 503, Delay: 200 * ms}), before: expired, fetches: 1, bar: 212 * ms, unkept: 200 * ms,
			check: func(t *testing.T, answers []answer) { want(t, answers, 200, body) }},
		{row: "26 fresh, clients send no-cache", clients: 50, script: always(testorigin.Response{Body: body, Header: fresh}), before: stored,
			ask: func(r *rig, path string, _ int) answer { return r.get(path, "Cache-Control", "no-cache") }, fetches: 0, bar: 13 * ms},
		{row: "28 POST", clients: 10, script: personal(testorigin.Response{}),
			ask: func(r *rig, path string, _ int) answer { return r.ask(r.t.Context(), "POST", path) }, fetches: 10, bar: 20 * ms, check: unshared},
	}
}

// run does a row and reports it.
func (b burst) run(t *testing.T, shared *rig) {
	r := *shared
	r.t = t
	path := fmt.Sprintf("/%d/%s", b.clients, b.row[:2])
	path = fmt.Sprintf("%s/%d", path[:len(path)-1], time.Now().UnixNano())
	r.origin.Handle(path, b.script)
	if b.before != nil {
		b.before(&r, path)
	}
	if b.ask == nil {
		b.ask = plain
	}
	if b.code == 0 {
		b.code = 200
	}
	r.connect(b.clients)
	before := r.origin.Count(path)
	answers := r.many(b.clients, func(i int) answer { return b.ask(&r, path, i) })
	r.quiet()
	got := result{fetches: r.origin.Count(path) - before, took: slowest(answers)}
	for i, a := range answers {
		if a.err != nil || a.code != b.code {
			t.Fatalf("row %s: client %d: code %d, Cache-Status %q, error %v", b.row, i, a.code, a.header.Get("Cache-Status"), a.err)
		}
	}
	most := b.fetches
	if b.unkept > 0 {
		first, last := answers[0].began, answers[0].began
		for _, a := range answers {
			if a.began.Before(first) {
				first = a.began
			}
			if a.began.After(last) {
				last = a.began
			}
		}
		if late := int((last.Sub(first) + 100*ms) / b.unkept); late > 0 {
			most += late
			got.note = fmt.Sprintf("(clients came over %v) ", last.Sub(first).Round(ms))
		}
	}
	hit := fmt.Sprint("/hit/", b.clients)
	r.origin.Serve(hit, testorigin.Response{Body: []byte("hit"), Header: fresh})
	r.get(hit)
	got.note += asHits(slowest(r.many(b.clients, func(int) answer { return r.get(hit) })))
	report(t, fmt.Sprintf("%s x%d", b.row, b.clients), got, min(b.fetches, most), most, b.bar)
	if b.check != nil {
		b.check(t, answers)
	}
}

// TestMatrix is the cases of request collapsing in which clients come at once, with the settings that a shield has by default.
func TestMatrix(t *testing.T) {
	slow(t)
	r := newRig(t)
	for _, b := range bursts() {
		t.Run(b.row, func(t *testing.T) { b.run(t, r) })
	}
}

// TestMatrixOfAThousand is the rows whose cost could grow with the crowd.
func TestMatrixOfAThousand(t *testing.T) {
	slow(t)
	if os.Getenv("SURGEWALL_MATRIX_1000") != "1" {
		t.Skip("1,000 clients take a machine that does nothing else: SURGEWALL_MATRIX_1000=1")
	}
	r := newRig(t, "--origin-concurrency", "2048")
	for _, b := range bursts() {
		switch b.row[:2] {
		case "1 ", "4 ", "5 ", "10", "23":
			t.Run(b.row, func(t *testing.T) {
				if b.fetches == b.clients {
					b.fetches = 1000
				}
				b.clients = 1000
				b.run(t, r)
			})
		}
	}
}

// slow skips what takes seconds of real time.
func slow(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts shields and takes seconds of real time: not with -short")
	}
}
