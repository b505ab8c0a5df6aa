package faults

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fault is one row of the table. A row without a test says why.
type fault struct {
	n     int
	name  string
	later string
	how   trait
}

type trait uint8

const (
	long trait = 1 << iota // not in the quick half
	own                    // breaks or loads the whole broker, and so has one of its own
)

// table lists the faults that are promised to be borne. A row that has a test and still a reason why not has shown a part.
var table = []fault{
	{1, "broker down at start", "", own},
	{2, "broker crash and restart", "", own},
	{3, "silent partition between an edge and the broker", "", long},
	{4, "silent partition between the controller and the broker", "", 0},
	{5, "memory alarm: publishers are blocked", "", own},
	{6, "slow controller", "", long | own},
	{7, "duplicate messages", "", 0},
	{8, "out of order", "", 0},
	{9, "late messages", "", long},
	{10, "malformed, oversized, unknown", "", 0},
	{11, "hostile edge with a valid credential", "", long},
	{12, "poison work item", "", 0},
	{13, "clocks of edges off by an hour", "", 0},
	{14, "controller crash between decision and write", "", 0},
	{15, "controller crash after the write", "", 0},
	{16, "two leaders", "", 0},
	{17, "API server down", "", 0},
	{18, "409: somebody else writes the scale", "", 0},
	{19, "429: API server throttles", "", 0},
	{20, "stale watch", "", 0},
	{21, "ConfigMap with bad values", "", 0},
	{22, "ConfigMap deleted", "", 0},
	{23, "one edge crashes, one hangs", "", 0},
	{24, "all edges silent", "", 0},
	{25, "traffic really falls to zero", "", 0},
	{26, "maximum reached, quota, unschedulable pods", "needs the shield's tighter admission when a fleet cannot grow", 0},
	{27, "target Deployment deleted", "", 0},
	{28, "another autoscaler owns the target", "", 0},
	{29, "credentials rotated", "", long | own},
	{30, "topology missing or different", "", 0},
	{31, "purge published while a replica is cut off", "", 0},
	{32, "content log truncated or recreated", "", 0},
	{33, "purge races a fetch", "held elsewhere: TestPurgeDuringFlight and TestPurgeByTagDuringFlight in internal/httpcache, TestPurgeDuringAFlight in test/conformance", 0},
	{34, "shield lost while it collapses", "", 0},
	{35, "SIGTERM", "", 0},
}

// full says that the promises' own times are wanted.
func full() bool { return os.Getenv("SURGEWALL_FAULTS") == "full" }

// times returns the first with SURGEWALL_FAULTS=full, else the second.
func times[T any](long, short T) T {
	if full() {
		return long
	}
	return short
}

// row is a test under way.
type row struct {
	*testing.T
	fault
}

// outcomes is what the report is made of.
var outcomes struct {
	sync.Mutex
	state map[int]string
	shown map[int][]string
	took  map[int]time.Duration
}

// begin names the row that a test is of.
func begin(t *testing.T, n int) *row {
	t.Helper()
	i := slices.IndexFunc(table, func(f fault) bool { return f.n == n })
	if want := fmt.Sprintf("TestRow%02d", n); i < 0 || !strings.HasPrefix(t.Name(), want) {
		t.Fatalf("the test of row %d is not named %s…", n, want)
	}
	if testing.Short() && os.Getenv("SURGEWALL_REQUIRE_ALL") != "1" {
		t.Skip("SKIPPED with -short: breaks a real broker and a real API server; make test-faults runs it")
	}
	if table[i].how&long != 0 && os.Getenv("SURGEWALL_FAULTS") == "" {
		t.Skip("SKIPPED in the quick half: SURGEWALL_FAULTS=short or make test-faults runs it")
	}
	// The full run shows times, so each of its rows has the machine for itself.
	if !full() {
		t.Parallel()
	}
	start := time.Now()
	r := &row{t, table[i]}
	t.Cleanup(func() {
		outcomes.Lock()
		defer outcomes.Unlock()
		state := "passed"
		switch {
		case t.Failed():
			state = "FAILED"
		case t.Skipped():
			state = "skipped"
		}
		if outcomes.state == nil {
			outcomes.state, outcomes.took = map[int]string{}, map[int]time.Duration{}
		}
		outcomes.state[n], outcomes.took[n] = state, time.Since(start)
	})
	return r
}

// show adds to what the report says of the row.
func (r *row) show(format string, args ...any) {
	r.Helper()
	text := fmt.Sprintf(format, args...)
	r.Log(text)
	outcomes.Lock()
	defer outcomes.Unlock()
	if outcomes.shown == nil {
		outcomes.shown = map[int][]string{}
	}
	outcomes.shown[r.n] = append(outcomes.shown[r.n], text)
}

// promise shows a time beside the one that is promised. A machine that is busy with something else is no broken promise, so the test fails only
// beyond five times that, or ten seconds more: there something hangs.
func (r *row) promise(what string, took, want time.Duration) {
	r.Helper()
	r.show("%s: %v (promised %v)", what, took.Round(10*time.Millisecond), want)
	if took > max(5*want, want+10*time.Second) {
		r.Errorf("%s took %v, promised are %v", what, took, want)
	}
}

// calmly shows what requests took before and under a fault, and fails where some waited for it.
func (r *row) calmly(during string, before, under []time.Duration) {
	r.Helper()
	a, b := p99(before), p99(under)
	r.show("p99 of %d requests before: %v, of %d %s: %v; ratio %.2f (promised: within the noise)", len(before), a, len(under), during, b, float64(b)/float64(max(a, 1)))
	if b > max(10*a, time.Second) {
		r.Errorf("p99 was %v before and %v %s: requests wait for the broker", a, b, during)
	}
}

// report prints one line for each row, once at least one has run.
func report(w io.Writer) {
	outcomes.Lock()
	defer outcomes.Unlock()
	if len(outcomes.state) == 0 {
		return
	}
	passed, partly := 0, 0
	fmt.Fprintf(w, "\nFault report (%s)\n", times("full", "short times"))
	for _, f := range table {
		state := outcomes.state[f.n]
		switch {
		case state == "passed" && f.later != "":
			partly++
			state = "passed in part: " + f.later
		case state == "passed":
			passed++
		case state == "" && strings.HasPrefix(f.later, "held elsewhere"):
			state = f.later
		case f.later != "" && state == "":
			state = "not yet: " + f.later
		case state == "":
			state = "not run"
		}
		fmt.Fprintf(w, "%3d  %-55s %s", f.n, f.name, state)
		if took := outcomes.took[f.n]; took > 0 {
			fmt.Fprintf(w, " (%.0f s)", took.Seconds())
		}
		fmt.Fprintln(w)
		for _, line := range outcomes.shown[f.n] {
			fmt.Fprintf(w, "       %s\n", line)
		}
	}
	fmt.Fprintf(w, "%d of %d rows passed, %d in part\n\n", passed, len(table), partly)
}
