package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/controllers/autoscale"
	"github.com/surgewall/surgewall/controllers/ingest"
	"github.com/surgewall/surgewall/controllers/policy"
	"github.com/surgewall/surgewall/events"
)

type apiError string

func (e apiError) Error() string  { return string(e) }
func (e apiError) Conflict() bool { return e == "conflict" }
func (e apiError) NotFound() bool { return e == "not found" }

// cluster is one Deployment whose scale has a version, as in Kubernetes.
type cluster struct {
	mu       sync.Mutex
	replicas int
	version  int
	lag      int // replicas that the watch still shows; 0: it is up to date
	down     error
	missing  bool
	early    bool             // nothing was seen yet
	before   func(c *cluster) // runs once before the next write
	writes   []int

	annotations map[string]string
	others      []autoscale.Autoscaler
	hpa         *autoscale.Autoscaler
	floors      []int // written to it
	pending     int
	rollout     bool
}

func (c *cluster) Deployment(string) (autoscale.Target, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.missing {
		return autoscale.Target{}, apiError("not found")
	}
	if c.early {
		return autoscale.Target{}, tooEarly{}
	}
	t := autoscale.Target{Spec: c.replicas, Ready: c.replicas, Annotations: c.annotations, Rollout: c.rollout, Autoscalers: c.others}
	if c.lag > 0 {
		t.Spec, t.Ready = c.lag, c.lag
	}
	if c.hpa != nil {
		t.Autoscalers = append(slices.Clone(t.Autoscalers), *c.hpa)
	}
	return t, nil
}

func (c *cluster) Floor(_ context.Context, name string) (int, string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hpa == nil || name != c.hpa.Name {
		return 0, "", apiError("not found")
	}
	return c.hpa.Min, fmt.Sprint(c.version), c.down
}

// SetFloor is followed at once, as from Kubernetes 1.37 on.
func (c *cluster) SetFloor(_ context.Context, _, version string, replicas int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if version != fmt.Sprint(c.version) {
		return apiError("conflict")
	}
	if replicas > c.hpa.Max {
		return apiError("minReplicas is more than maxReplicas")
	}
	c.hpa.Min, c.replicas, c.version = replicas, max(c.replicas, replicas), c.version+1
	c.floors = append(c.floors, replicas)
	return nil
}

func (c *cluster) Pending(string) (int, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pending, "edge-7: Unschedulable: 0/3 nodes are available"
}

func (c *cluster) Scale(context.Context, string) (int, string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.replicas, fmt.Sprint(c.version), c.down
}

func (c *cluster) SetScale(_ context.Context, _, version string, replicas int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.before; f != nil {
		c.before = nil
		f(c)
	}
	if version != fmt.Sprint(c.version) {
		return fmt.Errorf("update: %w", apiError("conflict"))
	}
	c.replicas, c.version = replicas, c.version+1
	c.writes = append(c.writes, replicas)
	return nil
}

func (c *cluster) StartTime(string) time.Duration { return 10 * time.Second }

func (c *cluster) written() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.writes)
}

// edit is somebody else's write.
func (c *cluster) edit(replicas int) { c.replicas, c.version = replicas, c.version+1 }

type load struct {
	mu      sync.Mutex
	reading ingest.Reading

	p50, p99 time.Duration
}

func (l *load) Read(string, ingest.Clamp) ingest.Reading {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reading
}

func (l *load) Latency(string, float64) (p50, p99 time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.p50, l.p99
}

func (l *load) set(signal autoscale.Signal, rps float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reading = ingest.Reading{Signal: signal, Known: 4, Live: 4, Offered: rps, Window: 1}
}

type lease struct {
	mu      sync.Mutex
	leading bool
}

func (l *lease) Leading() bool    { l.mu.Lock(); defer l.mu.Unlock(); return l.leading }
func (l *lease) Leader() string   { return "c-1" }
func (l *lease) Identity() string { return "c-1" }
func (l *lease) set(leading bool) { l.mu.Lock(); defer l.mu.Unlock(); l.leading = leading }

type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) OnDeployment(name string, warning bool, reason, message string) {
	d.add("Deployment/"+name, warning, reason, message)
}

func (d *diary) OnPolicy(name string, warning bool, reason, message string) {
	d.add("ConfigMap/"+name, warning, reason, message)
}

func (d *diary) add(object string, warning bool, reason, message string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf("%s %v %s %s", object, warning, reason, message))
}

func (d *diary) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	lines := d.lines
	d.lines = nil
	return lines
}

type wire struct {
	mu       sync.Mutex
	messages []events.Message
}

func (w *wire) Publish(m events.Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.messages = append(w.messages, m)
}

// room is a Manager with everything around it in the test's hand.
type room struct {
	*Manager
	cluster *cluster
	load    *load
	lease   *lease
	diary   *diary
	wire    *wire
	now     time.Time
}

func newRoom() *room {
	r := &room{
		cluster: &cluster{replicas: 4}, load: &load{}, lease: &lease{leading: true}, diary: &diary{}, wire: &wire{},
		now: time.Date(2026, 6, 14, 20, 0, 0, 0, time.UTC),
	}
	r.load.set(autoscale.Live, 390)
	r.Manager = NewManager(Options{
		Namespace: "cdn", Scaler: r.cluster, Signals: r.load, Leadership: r.lease, Recorder: r.diary, Publisher: r.wire,
		Sender: ingest.NewSender("c-1", "boot-0001"), Now: func() time.Time { return r.now }, Logger: zerolog.Nop(),
	})
	return r
}

// ticks passes seconds with one decision each, and returns the last error.
func (r *room) ticks(n int) (err error) {
	for range n {
		r.now = r.now.Add(time.Second)
		err = r.fleet("edge").RunOnce(context.Background())
	}
	return err
}

func TestALoadThatGrowsIsWrittenOnceAndExplained(t *testing.T) {
	r := newRoom()
	r.SetPolicy("edge", "7", nil)
	r.ticks(20)
	if len(r.cluster.writes) != 0 {
		t.Fatalf("wrote %v for a load that fits", r.cluster.writes)
	}
	r.load.set(autoscale.Live, 1000)
	r.ticks(1)
	if !slices.Equal(r.cluster.writes, []int{10}) {
		t.Fatalf("wrote %v, want 10 once", r.cluster.writes)
	}
	want := "Deployment/edge false SuccessfulRescale New size: 10 (was 4); reason: shift: 1000 rps is 2.6 times the 390 rps before needs 10 edges at 100 rps"
	if got := r.diary.take(); !slices.Equal(got, []string{want}) {
		t.Errorf("events %q, want %q", got, want)
	}
	if len(r.wire.messages) != 1 {
		t.Fatalf("%d decisions published", len(r.wire.messages))
	}
	event, err := events.Decode(func() events.Message { m := r.wire.messages[0]; m.UserID = "controller"; return m }())
	if err != nil {
		t.Fatal(err)
	}
	if d := event.Body.(*events.Decision); d.To != 10 || !d.Written || d.Path != "shift" {
		t.Errorf("published %+v", d)
	}
	s, _ := r.Status("edge")
	if s.LastChange == nil || s.LastChange.To != 10 || s.Replicas != (Replicas{Desired: 10, Spec: 10, Ready: 4}) {
		t.Errorf("last change %+v, replicas %+v", s.LastChange, s.Replicas)
	}
	r.ticks(5)
	if len(r.cluster.writes) != 1 {
		t.Errorf("wrote again: %v", r.cluster.writes)
	}
}

func TestAWatchThatLagsCausesNoSecondWrite(t *testing.T) {
	r := newRoom()
	r.SetPolicy("edge", "7", nil)
	r.ticks(20)
	r.cluster.lag = 4
	r.load.set(autoscale.Live, 1000)
	r.ticks(10)
	if !slices.Equal(r.cluster.writes, []int{10}) {
		t.Errorf("wrote %v", r.cluster.writes)
	}
}

func TestAConflictIsDecidedAnew(t *testing.T) {
	r := newRoom()
	r.SetPolicy("edge", "7", nil)
	r.ticks(20)
	r.load.set(autoscale.Live, 1000)
	r.cluster.before = func(c *cluster) { c.edit(15) } // somebody is quicker, and asks for more
	if err := r.ticks(1); err != nil {
		t.Fatal(err)
	}
	if len(r.cluster.writes) != 0 || r.cluster.replicas != 15 {
		t.Errorf("wrote %v over the edit of somebody else", r.cluster.writes)
	}

	r.load.set(autoscale.Live, 1900)
	r.cluster.before = func(c *cluster) { c.edit(16) } // and for too little
	r.ticks(1)
	if !slices.Equal(r.cluster.writes, []int{19}) {
		t.Errorf("wrote %v, want 19 decided on the new replicas", r.cluster.writes)
	}
}

func TestAnAPIServerThatIsAwayGetsOneWriteOfTheCurrentDecision(t *testing.T) {
	r := newRoom()
	r.SetPolicy("edge", "7", map[string]string{"max-replicas": "30"})
	r.ticks(20)
	r.cluster.down = errors.New("connection refused")
	for _, rps := range []float64{1000, 1500, 2200} {
		r.load.set(autoscale.Live, rps)
		if err := r.ticks(10); err == nil {
			t.Fatal("no error")
		}
	}
	if lines := r.diary.take(); len(lines) == 0 || !strings.Contains(lines[0], "true FailedRescale") || !strings.Contains(lines[0], "connection refused") {
		t.Errorf("events %q", lines)
	}
	if c := find(t, r, ScaleWritten); c.Status != "False" || c.Reason != "WriteFailed" {
		t.Errorf("condition %+v", c)
	}
	r.cluster.down = nil
	r.ticks(5)
	if len(r.cluster.writes) != 1 || r.cluster.writes[0] < 22 {
		t.Errorf("wrote %v, want the current need once", r.cluster.writes)
	}
}

func find(t *testing.T, r *room, kind string) Condition {
	t.Helper()
	s, _ := r.Status("edge")
	for _, c := range s.Conditions {
		if c.Type == kind {
			return c
		}
	}
	t.Fatalf("no condition %s in %+v", kind, s.Conditions)
	return Condition{}
}

func TestAStandbyDecidesAndWritesNothingUntilItLeads(t *testing.T) {
	r := newRoom()
	r.lease.set(false)
	r.SetPolicy("edge", "7", nil)
	r.ticks(20)
	r.load.set(autoscale.Live, 1000)
	r.ticks(3)
	if len(r.cluster.writes) != 0 || len(r.wire.messages) != 0 || len(r.diary.take()) != 0 {
		t.Fatal("a standby acted")
	}
	if c := find(t, r, ScaleWritten); c.Reason != "Standby" {
		t.Errorf("condition %+v", c)
	}
	r.lease.set(true)
	r.ticks(1)
	if !slices.Equal(r.cluster.writes, []int{10}) {
		t.Errorf("the new leader wrote %v in its first second", r.cluster.writes)
	}
}

func TestAStandbyAnswersWithTheDecisionsOfTheLeader(t *testing.T) {
	r := newRoom()
	r.lease.set(false)
	r.SetPolicy("edge", "7", nil)
	r.ticks(1)
	d := events.Decision{At: r.now, Fleet: "edge", From: 4, To: 9, Path: "spike", Written: true, WrittenAt: r.now}
	r.Heard("c-2", d)
	r.Heard("c-1", d) // an echo of itself
	r.Heard("c-2", events.Decision{At: r.now, Fleet: "other"})
	records, _ := r.Decisions("edge", time.Time{})
	if len(records) != 1 || records[0].To != 9 {
		t.Errorf("decisions %+v", records)
	}
	if later, _ := r.Decisions("edge", r.now); len(later) != 0 {
		t.Errorf("after now: %+v", later)
	}
}

func TestObserveModeExplainsAndWritesNothing(t *testing.T) {
	r := newRoom()
	r.SetPolicy("edge", "7", map[string]string{"mode": "observe"})
	r.ticks(20)
	r.load.set(autoscale.Live, 1000)
	r.ticks(30)
	if len(r.cluster.writes) != 0 {
		t.Errorf("wrote %v", r.cluster.writes)
	}
	lines := r.diary.take()
	if len(lines) == 0 || !strings.Contains(lines[0], "ObservedRescale Would change size to 10 (is 4; mode observe)") {
		t.Errorf("events %q", lines)
	}
	if len(lines) > 3 {
		t.Errorf("%d events for one change of mind: %q", len(lines), lines)
	}
}

func TestABadPolicyLeavesTheLastGoodOneAndSaysWhy(t *testing.T) {
	r := newRoom()
	r.SetPolicy("edge", "7", map[string]string{"target-rps-per-edge": "50"})
	r.ticks(1)
	r.diary.take()
	r.SetPolicy("edge", "8", map[string]string{"target-rps-per-edge": "40", "max-replicas": "banana"})
	r.ticks(1)
	s, _ := r.Status("edge")
	if s.Policy.Values["target-rps-per-edge"] != "50" || s.Policy.ResourceVersion != "7" || s.Policy.Error == "" {
		t.Errorf("policy %+v", s.Policy)
	}
	want := `ConfigMap/edge true PolicyRejected refused, the policy before stays in force: max-replicas: "banana" is not a whole number; allowed: 1 to 5000 replicas`
	if got := r.diary.take(); !slices.Contains(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
	r.SetPolicy("edge", "9", map[string]string{"target-rps-per-edge": "40"})
	r.ticks(1)
	want = `ConfigMap/edge false PolicyAccepted in force: target-rps-per-edge: "50" -> "40"`
	if got := r.diary.take(); !slices.Contains(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
	r.DeletePolicy("edge")
	r.ticks(1)
	if s, _ := r.Status("edge"); s.Policy.Values["target-rps-per-edge"] != "40" || !strings.Contains(s.Policy.Error, "deleted") {
		t.Errorf("policy %+v", s.Policy)
	}
}

func TestABadPolicyAtTheStartObserves(t *testing.T) {
	r := newRoom()
	r.SetPolicy("edge", "7", map[string]string{"mode": "direct", "colour": "red"})
	r.load.set(autoscale.Live, 5000)
	r.ticks(20)
	if s, _ := r.Status("edge"); s.Mode != "observe" || len(r.cluster.writes) != 0 {
		t.Errorf("mode %s, wrote %v", s.Mode, r.cluster.writes)
	}
	if lines := r.diary.take(); len(lines) == 0 || !strings.Contains(lines[0], "PolicyRejected refused, safe defaults in observe mode") {
		t.Errorf("events %q", lines)
	}
}

// TestABadPolicyAtTheStartSaysWhyWithoutATarget: the safe defaults name the Deployment like the fleet, which need not exist.
func TestABadPolicyAtTheStartSaysWhyWithoutATarget(t *testing.T) {
	r := newRoom()
	r.cluster.missing = true
	r.SetPolicy("edge", "7", map[string]string{"target-deployment": "surgewall-edge", "colour": "red"})
	r.ticks(1)
	if lines := r.diary.take(); len(lines) == 0 || !strings.Contains(lines[0], "ConfigMap/edge true PolicyRejected refused, safe defaults in observe mode") {
		t.Errorf("events %q", lines)
	}
}

// TestANewLeaderTellsNoOldNews edits the policy long before the standby takes over: the leader of that time has shown it.
func TestANewLeaderTellsNoOldNews(t *testing.T) {
	r := newRoom()
	r.lease.set(false)
	r.SetPolicy("edge", "7", nil)
	r.SetPolicy("edge", "8", map[string]string{"max-replicas": "30"})
	r.ticks(600)
	r.lease.set(true)
	r.ticks(2)
	for _, line := range r.diary.take() {
		if strings.HasPrefix(line, "ConfigMap/") {
			t.Errorf("ten minutes later: %s", line)
		}
	}
}

func TestAMissingTargetIsACondition(t *testing.T) {
	r := newRoom()
	r.cluster.missing = true
	r.SetPolicy("edge", "7", nil)
	r.ticks(3)
	if c := find(t, r, TargetMissing); c.Status != "True" || c.Reason != "TargetMissing" || r.TargetFound("edge") {
		t.Errorf("condition %+v", c)
	}
	if lines := r.diary.take(); len(lines) != 1 {
		t.Errorf("events %q, want one", lines)
	}
	r.cluster.missing = false
	r.ticks(1)
	if c := find(t, r, TargetMissing); c.Status != "False" || !r.TargetFound("edge") {
		t.Errorf("condition %+v", c)
	}
}

func TestTheLoopDecidesEachSecondAndSoonAfterAPoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom()
		r.options.Now = time.Now
		r.SetPolicy("edge", "7", map[string]string{"min-replicas": "1"})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		time.Sleep(20*time.Second + 300*time.Millisecond)
		r.load.set(autoscale.Live, 1500)
		r.Poke("edge")
		time.Sleep(pokeGap + time.Millisecond)
		if got := r.cluster.written(); len(got) != 1 {
			t.Errorf("wrote %v %v after the poke", got, pokeGap)
		}
		// A policy edit is taken without waiting for the second.
		r.SetPolicy("edge", "8", map[string]string{"min-replicas": "18"})
		time.Sleep(pokeGap + time.Millisecond)
		if got := r.cluster.written(); got[len(got)-1] != 18 {
			t.Errorf("wrote %v after the edit", got)
		}
		cancel()
		<-done
		r.SetPolicy("late", "1", nil) // must not start anything
	})
}

func TestHTTP(t *testing.T) {
	r := newRoom()
	r.SetPolicy("edge", "7", nil)
	r.ticks(20)
	r.load.set(autoscale.Live, 1000)
	r.ticks(1)
	for _, tc := range []struct {
		path string
		code int
		want []string
	}{
		{"/v1/fleets", 200, []string{`"fleets":[{"fleet":"edge","namespace":"cdn"`}},
		{"/v1/fleets/edge", 200, []string{`"is_leader":true`, `"resource_version":"7"`, `"spike-ratio":"1.4"`, `"state":"LIVE"`, `"type":"Blind","status":"False","reason":"LIVE"`, `"desired":10`, `"hit_ratio":0`}},
		{"/v1/fleets/edge/decisions", 200, []string{`"from":4,"to":10`, `"written":true`}},
		{"/v1/fleets/edge/decisions?since=2030-01-01T00:00:00Z", 200, []string{`{"decisions":[]}`}},
		{"/v1/fleets/edge/decisions?since=yesterday", 400, []string{"RFC 3339"}},
		{"/v1/fleets/none", 404, []string{"no policy ConfigMap names the fleet none"}},
		{"/", 404, []string{"GET /v1/fleets"}},
	} {
		w := httptest.NewRecorder()
		r.Handler(nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, tc.path, nil))
		if w.Code != tc.code || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: %d %s", tc.path, w.Code, w.Body)
		}
		for _, want := range tc.want {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s lacks %s: %s", tc.path, want, w.Body)
			}
		}
	}
}

func TestTheRingKeepsTheLatest(t *testing.T) {
	var r ring
	start := time.Now()
	for i := range ringSize + 10 {
		r.add(Record{At: start.Add(time.Duration(i) * time.Second), To: i})
	}
	got := r.since(time.Time{})
	if len(got) != ringSize || got[0].To != 10 || got[len(got)-1].To != ringSize+9 {
		t.Errorf("%d records, %d to %d", len(got), got[0].To, got[len(got)-1].To)
	}
}

func TestAnEdgeIsClampedAlikeByEveryMetric(t *testing.T) {
	p := policy.Policy{TargetRPSPerEdge: 100, TargetInFlightPerEdge: 40}
	if got, want := clampOf(p), (ingest.Clamp{RPS: 5000, InFlight: 2000}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	p.MaxRPSPerEdge, p.TargetMbpsPerEdge = 250, 800
	if got, want := clampOf(p), (ingest.Clamp{RPS: 250, InFlight: 100, Egress: 2000}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
