package main

import (
	"testing"
	"time"
)

func TestLedgerCountsWithinOneLifetime(t *testing.T) {
	l, at := newLedger(), time.Unix(1000, 0)
	fetch := func(after time.Duration) uint64 {
		l.arrive("a", at.Add(after), 60*time.Second)
		l.leave(10, false, false)
		return l.stats().MaxPerLifetime
	}
	if got := fetch(0); got != 1 {
		t.Fatalf("first fetch: %d", got)
	}
	// 59.5 s later a cache may take the response for 60 s old: the next lifetime.
	if got := fetch(59500 * time.Millisecond); got != 1 {
		t.Errorf("a fetch at the end of the lifetime counts as a second one: %d", got)
	}
	if got := fetch(70 * time.Second); got != 2 {
		t.Errorf("a fetch in the middle of a lifetime was not noticed: %d", got)
	}
	if a, ok := l.object("a"); !ok || a.Fetches != 3 || a.MaxPerLifetime != 2 {
		t.Errorf("account %+v", a)
	}
	if s := l.stats(); s.WorstObject != "a" || s.Objects != 1 || s.Fetches != 3 || s.Bytes != 30 || s.InFlight != 0 || s.InFlightPeak != 1 {
		t.Errorf("sums %+v", s)
	}
}

func TestErrorOpensNoLifetime(t *testing.T) {
	l, at := newLedger(), time.Unix(1000, 0)
	l.arrive("a", at, time.Minute)
	l.spoil("a")
	l.leave(0, false, true)
	l.arrive("a", at.Add(time.Second), time.Minute)
	l.leave(5, false, false)
	if s := l.stats(); s.MaxPerLifetime != 1 || s.Failed != 1 {
		t.Errorf("a fetch after an error counts as a repeat: %+v", s)
	}
}

func TestUncacheableObjectsHaveNoLifetime(t *testing.T) {
	l, at := newLedger(), time.Unix(1000, 0)
	for i := range 3 {
		l.arrive("a", at.Add(time.Duration(i+1)*time.Millisecond), 0)
	}
	if s := l.stats(); s.MaxPerLifetime != 1 || s.InFlight != 3 {
		t.Errorf("%+v", s)
	}
	l.reset()
	if s := l.stats(); s.Fetches != 0 || s.InFlight != 3 || len(l.top(5)) != 0 {
		t.Errorf("after a reset: %+v", s)
	}
}
