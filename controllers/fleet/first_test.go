package fleet

import (
	"context"
	"fmt"
	"testing"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/controllers/autoscale"
	"github.com/surgewall/surgewall/controllers/ingest"
	"github.com/surgewall/surgewall/events"
)

// pods are the fleet's as the API server lists them, asked as the controller does: once the target is found.
type pods struct {
	manager *Manager
	names   []string
}

func (p *pods) Members(name string, each func(pod string, ready, leaving bool)) (known bool) {
	if !p.manager.TargetFound(name) {
		return false
	}
	for _, pod := range p.names {
		each(pod, true, false)
	}
	return true
}

func (p *pods) IsMember(name, _ string) (member, known bool) {
	return true, p.manager.TargetFound(name)
}

// TestTheFirstDecisionKnowsThePods starts a controller that has heard one edge of ten: the other nine are silent, not absent. Nothing
// but the signal keeps them, since what was needed before is not held.
func TestTheFirstDecisionKnowsThePods(t *testing.T) {
	r := newRoom()
	r.cluster.replicas = 10
	members := &pods{manager: r.Manager}
	for i := range 10 {
		members.names = append(members.names, fmt.Sprintf("edge-%d", i))
	}
	in := ingest.New(ingest.Options{Replica: "c-1", Members: members, Now: r.options.Now, Logger: zerolog.Nop()})
	r.options.Signals = in
	r.SetPolicy("edge", "7", map[string]string{"scale-down-hold": "0s", "min-replicas": "1"})

	sender := ingest.NewSender("c-1", "boot-0001")
	canary, err := events.EncodeCanary(sender.Next(r.now), events.Canary{Replica: "c-1", SentAt: r.now})
	if err != nil {
		t.Fatal(err)
	}
	rate, err := events.EncodeRate(events.Attributes{Source: events.Source("edge", "edge-0"), BootID: "boot-0002", Seq: 1}, events.Rate{WindowMS: 1000, Offered: 100})
	if err != nil {
		t.Fatal(err)
	}
	in.Handle(canary)
	in.Handle(rate)
	if err := r.fleet("edge").RunOnce(context.Background()); err != nil {
		t.Fatal(err)
	}
	s, _ := r.Status("edge")
	if s.Signal.State != string(autoscale.Partial) || s.Signal.Known != 10 || len(r.cluster.writes) != 0 {
		t.Errorf("signal %+v, wrote %v: want PARTIAL with 10 known edges and no write", s.Signal, r.cluster.writes)
	}
}
