package conformance

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/testorigin"
)

// TestMatrixOfAnOutage is row 25 to its end: an origin that fails is asked less and less, and once it counts as down nobody waits for it.
func TestMatrixOfAnOutage(t *testing.T) {
	slow(t)
	r := newRig(t)
	body, down := testorigin.Content(10<<10), atomic.Bool{}
	var asked atomic.Int64
	script := func(*http.Request, int) testorigin.Response {
		asked.Add(1)
		if down.Load() {
			return testorigin.Response{Status: http.StatusServiceUnavailable, Delay: 200 * ms}
		}
		return testorigin.Response{Body: body, Header: cc("max-age=1, stale-if-error=60")}
	}
	path := func(kind string, i int) string {
		p := fmt.Sprint("/outage/", kind, i)
		r.origin.Handle(p, script)
		return p
	}
	stale, cold := path("stale", 0), path("cold", 0)
	r.get(stale)
	r.connect(50)
	expired(r, path("other", 0))
	down.Store(true)

	failing := r.many(20, func(i int) answer { return r.get(path("failing", i)) })
	for i, a := range failing {
		if a.code != http.StatusServiceUnavailable {
			t.Errorf("client %d of a failing origin: code %d", i, a.code)
		}
	}
	if r.shield.metric("surgewall_origin_breaker_open") != 1 || r.shield.metric("surgewall_origin_breaker_opened_total") < 1 {
		t.Fatalf("after %d failed fetches the breaker is not open", len(failing))
	}

	// One fetch may be let through to see how the origin is, if a second has passed, and another two, four, eight seconds later.
	steps := func(since time.Time) int { return 1 + int(math.Log2(time.Since(since).Seconds()+1)) }
	before, began := asked.Load(), time.Now()
	answers := r.many(50, func(int) answer { return r.get(stale) })
	most := steps(began)
	report(t, "25 the breaker is open: stale x50", result{fetches: int(asked.Load() - before), took: slowest(answers)}, 0, most, 6*ms)
	want(t, answers, http.StatusOK, body)
	detailed := 0
	for _, a := range answers {
		if cs := a.header.Get("Cache-Status"); containsDetail(cs, "breaker") {
			detailed++
		}
	}
	if detailed < 50-most {
		t.Errorf("%d of 50 answers say detail=breaker; the first: %q", detailed, answers[0].header.Get("Cache-Status"))
	}
	before, began = asked.Load(), time.Now()
	answers = r.many(50, func(int) answer { return r.get(cold) })
	report(t, "25 the breaker is open: nothing stored x50", result{fetches: int(asked.Load() - before), took: slowest(answers)}, 0, steps(began), 6*ms)
	for i, a := range answers {
		if a.code != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Fatalf("client %d: code %d, Retry-After %q, Cache-Status %q", i, a.code, a.header.Get("Retry-After"), a.header.Get("Cache-Status"))
		}
	}

	// Whatever clients ask for, the origin gets one fetch per step: after about 1 and 3 s in the next four. That it gets one at all shows when it is well.
	before, began = asked.Load(), time.Now()
	clients := 0
	for until := time.Now().Add(4 * time.Second); time.Now().Before(until); time.Sleep(20 * ms) {
		r.many(10, func(i int) answer { return r.get(path("flood", i)) })
		clients += 10
	}
	probed, most, took := int(asked.Load()-before), steps(began), time.Since(began) // a busy machine is not done at once with the last ones
	t.Logf("%d requests within %v of an outage: %d fetches", clients, took.Round(ms), probed)
	if probed > most {
		t.Errorf("%d fetches by %d requests within %v, want one per step: %d at most", probed, clients, took, most)
	}

	down.Store(false)
	well := time.Now()
	again := r.get(cold)
	for deadline := time.Now().Add(time.Minute); again.code != http.StatusOK && time.Now().Before(deadline); again = r.get(cold) {
		time.Sleep(50 * ms)
	}
	want(t, []answer{again}, http.StatusOK, body)
	t.Logf("answered again %v after the origin was well", time.Since(well).Round(ms))
	if r.shield.metric("surgewall_origin_breaker_open") != 0 {
		t.Error("the breaker is still open")
	}
}

func containsDetail(status, detail string) bool {
	return strings.HasSuffix(status, "; detail="+detail) || strings.Contains(status, "; detail="+detail+",")
}
