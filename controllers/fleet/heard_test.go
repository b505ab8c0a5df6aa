package fleet

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/controllers/plan"
	"github.com/surgewall/surgewall/events"
)

// TestPlansFromTheBus: the leader keeps them; a standby does so when it becomes the leader soon enough.
func TestPlansFromTheBus(t *testing.T) {
	s := &store{}
	r := newPlannedRoom(s)
	add := events.Plan{Action: events.PlanAdd, Fleet: "edge", Name: "derby", At: r.now.Add(time.Hour), ForS: 3600, Factor: 2}
	r.lease.set(false)
	r.HeardPlan("content", add)
	r.second(5)
	if got, _ := r.Plans("edge"); len(got) != 0 {
		t.Fatalf("a standby kept %v", got)
	}
	r.lease.set(true)
	r.second(1)
	if got, _ := r.Plans("edge"); len(got) != 1 || got[0].By != "content" {
		t.Fatalf("kept %v", got)
	}
	add.Factor = 3
	r.HeardPlan("content", add) // again, and better
	bad, unknown := add, add
	bad.Name, bad.At, unknown.Fleet = "old", r.now.Add(-24*time.Hour), "none"
	r.HeardPlan("content", bad)
	r.HeardPlan("content", unknown)
	r.diary.take()
	r.second(1)
	if got, _ := r.Plans("edge"); len(got) != 1 || got[0].Factor != 3 {
		t.Errorf("kept %v", got)
	}
	if lines := strings.Join(r.diary.take(), "\n"); !strings.Contains(lines, "ConfigMap/edge true PlanRefused old: at 2026-06-13") || strings.Contains(lines, "none") {
		t.Errorf("events: %s", lines)
	}
	r.HeardPlan("content", events.Plan{Action: events.PlanRemove, Fleet: "edge", Name: "derby"})
	r.second(1)
	if got, _ := r.Plans("edge"); len(got) != 0 {
		t.Errorf("kept %v after its removal", got)
	}
	r.lease.set(false)
	r.HeardPlan("content", add)
	r.second(31)
	r.lease.set(true)
	r.second(2)
	if got, _ := r.Plans("edge"); len(got) != 0 {
		t.Errorf("half a minute later a plan of a former leader's time is kept: %v", got)
	}
	r.Manager.options.Plans = nil
	if err := r.RemovePlan(t.Context(), "edge", "x", "http"); !errors.Is(err, errNoStore) {
		t.Errorf("without a store: %v", err)
	}
}

func derby(r *room) events.Plan {
	return events.Plan{Action: events.PlanAdd, Fleet: "edge", Name: "derby", At: r.now.Add(time.Hour), ForS: 3600, Factor: 2}
}

// TestAPlanFromTheBusOutlastsTheAPIServer: what cannot be kept now is kept later, in the order in which it came.
func TestAPlanFromTheBusOutlastsTheAPIServer(t *testing.T) {
	s := &store{down: errors.New("etcdserver: request timed out")}
	r := newPlannedRoom(s)
	late := derby(r)
	late.Fleet = "late"
	r.HeardPlan("content", derby(r))
	r.HeardPlan("content", late)
	better := derby(r)
	better.Factor = 3
	r.HeardPlan("content", better)
	r.second(20)
	if lines := strings.Join(r.diary.take(), "\n"); strings.Contains(lines, "Plan") {
		t.Fatalf("events: %s", lines)
	}
	s.down = nil
	r.second(1)
	if got, _ := r.Plans("edge"); len(got) != 1 || got[0].Factor != 3 {
		t.Errorf("kept %v", got)
	}
	r.SetPolicy("late", "1", nil)
	r.second(1)
	if got, _ := r.Plans("late"); len(got) != 1 {
		t.Errorf("kept %v for a fleet that came after its plan", got)
	}

	// What could not be kept for half a minute is refused, with the reason.
	s.down = errors.New("etcdserver: request timed out")
	r.HeardPlan("content", events.Plan{Action: events.PlanRemove, Fleet: "edge", Name: "derby"})
	r.second(31)
	s.down = nil
	r.second(2)
	if lines := strings.Join(r.diary.take(), "\n"); strings.Count(lines, "PlanRefused derby: read the plans: etcdserver: request timed out") != 1 {
		t.Errorf("events: %s", lines)
	}
	if got, _ := r.Plans("edge"); len(got) != 1 {
		t.Errorf("kept %v", got)
	}
}

// TestWhatTheLeaderKeptIsNotKeptAgain: a standby has heard of a plan that the leader kept and that somebody has removed since, and takes over.
func TestWhatTheLeaderKeptIsNotKeptAgain(t *testing.T) {
	s := &store{texts: map[string]string{}}
	leader, standby := newPlannedRoom(s), newPlannedRoom(s)
	standby.lease.set(false)
	hear := func(p events.Plan) {
		leader.HeardPlan("content", p)
		leader.second(1)
		standby.second(1)
	}
	p := derby(leader)
	standby.HeardPlan("content", p)
	hear(p)
	p.Factor = 3
	hear(p)
	standby.HeardPlan("content", p) // later than its own watch
	standby.HeardPlan("content", events.Plan{Action: events.PlanRemove, Fleet: "edge", Name: "cup"})
	if err := leader.RemovePlan(t.Context(), "edge", "derby", "http"); err != nil {
		t.Fatal(err)
	}
	if err := leader.AddPlan(t.Context(), "edge", plan.Plan{Name: "cup", At: leader.now.Add(time.Hour), For: plan.Duration(time.Hour), Factor: 2}, false); err != nil {
		t.Fatal(err)
	}
	other := derby(standby)
	other.Name = "other" // of this one the leader has not heard
	standby.HeardPlan("content", other)
	standby.lease.set(true)
	standby.second(2)
	var names []string
	kept, _ := standby.Plans("edge")
	for _, p := range kept {
		names = append(names, p.Name)
	}
	if got := strings.Join(names, " "); got != "cup other" {
		t.Errorf("kept %q, want cup and other", got)
	}
}
