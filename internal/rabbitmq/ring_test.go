package rabbitmq

import (
	"strconv"
	"testing"
	"time"

	"github.com/surgewall/surgewall/events"
)

func TestRingKeepsTheNewestInOrder(t *testing.T) {
	r := newRing(3)
	dropped := 0
	for n := range 8 {
		if r.push(events.Message{MessageID: strconv.Itoa(n)}, time.Time{}) {
			dropped++
		}
	}
	if dropped != 5 || r.len() != 3 {
		t.Fatalf("dropped %d and kept %d, want 5 and 3", dropped, r.len())
	}
	for _, want := range []string{"5", "6", "7"} {
		if m, _, ok := r.pop(); !ok || m.MessageID != want {
			t.Fatalf("got %q, want %q", m.MessageID, want)
		}
	}
	if _, _, ok := r.pop(); ok {
		t.Fatal("an empty ring gave a message")
	}
	for _, s := range r.slots {
		if s.message.MessageID != "" {
			t.Fatalf("a taken message is kept alive: %+v", s.message)
		}
	}
}

func TestRingWakesItsReader(t *testing.T) {
	r := newRing(2)
	r.push(events.Message{}, time.Time{})
	r.push(events.Message{}, time.Time{})
	select {
	case <-r.ready:
	default:
		t.Fatal("no token after a push")
	}
	select {
	case <-r.ready:
		t.Fatal("more than one token")
	default:
	}
}

func TestGate(t *testing.T) {
	g := newGate()
	stop := make(chan struct{})
	if !g.pass(stop) {
		t.Fatal("a new gate is shut")
	}
	g.shut()
	g.shut()
	passed := make(chan bool)
	go func() { passed <- g.pass(stop) }()
	g.open()
	g.open()
	if !<-passed {
		t.Fatal("an opened gate did not let through")
	}
	g.shut()
	go func() { passed <- g.pass(stop) }()
	close(stop)
	if <-passed {
		t.Fatal("a shut gate let through")
	}
	g.open()
	if g.pass(stop) {
		t.Fatal("stop goes before an open gate")
	}
}

func TestAckerSettlesInBatches(t *testing.T) {
	a := acker{every: 3}
	if _, ok := a.take(); ok {
		t.Fatal("nothing was handled, something is due")
	}
	for tag := uint64(1); tag <= 2; tag++ {
		if a.handled(tag) {
			t.Fatalf("due at %d of 3", tag)
		}
	}
	if !a.handled(3) {
		t.Fatal("not due at 3 of 3")
	}
	if tag, ok := a.take(); !ok || tag != 3 {
		t.Fatalf("take: %d %t, want 3", tag, ok)
	}
	if _, ok := a.take(); ok {
		t.Fatal("settled twice")
	}
	a.handled(4)
	if tag, ok := a.take(); !ok || tag != 4 {
		t.Fatalf("take: %d %t, want 4", tag, ok)
	}
}
