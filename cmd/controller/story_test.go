package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestFromTheStepToTheWrite measures what a spike waits for: from the moment at
// which the load of a fleet grows, through real AMQP connections, a real broker
// and a real API server, to the first accepted scale write and to the one that
// covers nine tenths of the need. The times are printed: how long they are on a
// machine that does something else as well says nothing.
func TestFromTheStepToTheWrite(t *testing.T) {
	const (
		edges  = 4
		before = 95.0 // rps of each edge, at a target of 100
	)
	factors := []float64{2, 3, 5, 5, 5, 10}
	var names []string
	for i := range factors {
		names = append(names, fmt.Sprintf("edge-%d", i))
	}
	s := newStage(t, names...)
	speakers := map[string][]*edge{}
	for _, name := range names {
		s.fleet(name, edges, map[string]string{"target-rps-per-edge": "100", "max-replicas": "100", "min-replicas": "1"})
		for i := range edges {
			speakers[name] = append(speakers[name], s.edge(name, i, before))
		}
	}
	api, _, _ := s.controller()
	for _, name := range names {
		s.eventually(name+" is LIVE", time.Minute, func() bool { return s.status(api, name).Signal.State == "LIVE" })
	}
	for _, name := range names {
		s.knows(api, name, 10)
	}
	var firsts []time.Duration
	for i, k := range factors {
		name := names[i]
		running := s.replicas(name)
		onset := time.Now()
		for _, e := range speakers[name] {
			e.set(before * k)
		}
		s.eventually("the first write", time.Minute, func() bool { return s.replicas(name) > running })
		first := time.Since(onset)
		need := int(0.9 * before * edges * k / 100)
		s.eventually("nine tenths of the need", time.Minute, func() bool { return s.replicas(name) >= need })
		t.Logf("k = %-4g onset to first accepted write %4d ms, to nine tenths of the need %4d ms: %d replicas", k, first.Milliseconds(), time.Since(onset).Milliseconds(), s.replicas(name))
		firsts = append(firsts, first)
		time.Sleep(137 * time.Millisecond) // another phase of the reports
	}
	slices.Sort(firsts)
	t.Logf("median onset to first accepted write: %v, wanted at most 1.5 s; %d events lost", firsts[len(firsts)/2], s.status(api, names[0]).Signal.LostEvents)
}

// TestABrokerThatDiesScalesNothingIn kills the broker under load, mutes edges,
// and lets the load really go: three things that look alike.
func TestABrokerThatDiesScalesNothingIn(t *testing.T) {
	s := newStage(t, "edge")
	s.fleet("edge", 3, map[string]string{"stable-window": "5s", "scale-down-hold": "3s", "scale-down-max-step": "100%", "min-replicas": "1"})
	var speakers []*edge
	for i := range 3 {
		speakers = append(speakers, s.edge("edge", i, 95))
	}
	api, admin, stop := s.controller()
	state := func() string { return s.status(api, "edge").Signal.State }
	s.eventually("LIVE", 120*time.Second, func() bool { return state() == "LIVE" })
	if code, err := ask(admin+"/readyz", nil); code != 200 {
		t.Errorf("readiness %d, %v", code, err)
	}

	speakers[0].muted.Store(true)
	s.eventually("PARTIAL when one edge is muted", 120*time.Second, func() bool { return state() == "PARTIAL" })
	speakers[0].muted.Store(false)
	s.eventually("LIVE again", 120*time.Second, func() bool { return state() == "LIVE" })

	s.broker.Kill()
	blind := s.eventually("BLIND when the broker is gone", 120*time.Second, func() bool { return state() == "BLIND" })
	if code, _ := ask(admin+"/readyz", nil); code != 200 {
		t.Errorf("not ready without a broker: %d", code)
	}
	time.Sleep(12 * time.Second) // longer than window and hold together
	if got := s.replicas("edge"); got < 3 {
		t.Errorf("%d replicas without a broker, want 3", got)
	}
	s.broker.Restart(t)
	s.broker.Declare(t, s.vhost)
	back := s.eventually("LIVE when the broker is back", 120*time.Second, func() bool { return state() == "LIVE" })
	t.Logf("broker killed to BLIND %v, broker back to LIVE %v", blind, back)
	// Nothing was heard for longer than a subscription is given, but not through this one: it must not be made anew for it.
	if strings.Contains(s.said.String(), "own canary does not come back") {
		t.Error("the first subscription after the outage was given up for what was not heard before it")
	}
	if got := s.replicas("edge"); got < 3 {
		t.Errorf("%d replicas after the outage, want 3", got)
	}

	for _, e := range speakers {
		e.set(0)
	}
	s.eventually("scale-in when the load is really gone", 120*time.Second, func() bool { return s.replicas("edge") == 1 })
	stop()
}
