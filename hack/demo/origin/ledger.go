package main

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// maxTracked bounds how many objects the ledger remembers one by one; the rest only count in the sums.
const maxTracked = 500_000

// dateGrain is taken off every freshness lifetime: Date has whole seconds, so a cache that computes the age from it may rightly take a
// response for up to one second older than it is.
const dateGrain = time.Second

// ledger counts the fetches of every object, and the largest number that fell into one freshness lifetime: more than one there means that
// somebody fetched what a shield could have held. It is safe for concurrent use.
type ledger struct {
	mu      sync.Mutex
	objects map[string]*account
	sums    sums
}

type sums struct {
	Fetches      uint64 `json:"fetches"`
	Objects      int    `json:"objects"`
	NotModified  uint64 `json:"not_modified"`
	Failed       uint64 `json:"failed"` // answered with an error on purpose
	Bytes        uint64 `json:"bytes"`
	InFlight     int    `json:"in_flight"`
	InFlightPeak int    `json:"in_flight_peak"`
	Untracked    uint64 `json:"untracked"` // fetches of objects beyond the ledger's bound
	// MaxPerLifetime is the largest number of fetches of one object within one freshness lifetime, and WorstObject the object.
	MaxPerLifetime uint64 `json:"max_per_lifetime"`
	WorstObject    string `json:"worst_object,omitempty"`
}

// account is the ledger's entry of one object.
type account struct {
	Fetches        uint64    `json:"fetches"`
	MaxPerLifetime uint64    `json:"max_per_lifetime"`
	First          time.Time `json:"first"`
	Last           time.Time `json:"last"`
	freshUntil     time.Time
	inLifetime     uint64
}

func newLedger() *ledger { return &ledger{objects: map[string]*account{}} }

// arrive counts a fetch that starts now. A fetch outside a lifetime opens a new one of this length.
func (l *ledger) arrive(key string, now time.Time, lifetime time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sums.Fetches++
	l.sums.InFlight++
	l.sums.InFlightPeak = max(l.sums.InFlightPeak, l.sums.InFlight)
	a := l.objects[key]
	if a == nil {
		if len(l.objects) >= maxTracked {
			l.sums.Untracked++
			return
		}
		a = &account{First: now}
		l.objects[key] = a
	}
	a.Fetches++
	a.Last = now
	if now.After(a.freshUntil) {
		a.inLifetime = 0
		a.freshUntil = now.Add(max(lifetime-dateGrain, 0))
	}
	a.inLifetime++
	a.MaxPerLifetime = max(a.MaxPerLifetime, a.inLifetime)
	if a.MaxPerLifetime > l.sums.MaxPerLifetime {
		l.sums.MaxPerLifetime, l.sums.WorstObject = a.MaxPerLifetime, key
	}
}

// leave counts the end of a fetch.
func (l *ledger) leave(bytes uint64, notModified, failed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sums.InFlight--
	l.sums.Bytes += bytes
	if notModified {
		l.sums.NotModified++
	}
	if failed {
		l.sums.Failed++
	}
}

// spoil takes back the lifetime that a fetch opened: an error answered nothing that could be held.
func (l *ledger) spoil(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.objects[key]; a != nil {
		a.freshUntil = time.Time{}
	}
}

func (l *ledger) stats() sums {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sums
	s.Objects = len(l.objects)
	return s
}

func (l *ledger) object(key string) (account, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, ok := l.objects[key]
	if !ok {
		return account{}, false
	}
	return *a, true
}

type ranked struct {
	Object string `json:"object"`
	account
}

// top lists the n most fetched objects.
func (l *ledger) top(n int) []ranked {
	l.mu.Lock()
	all := make([]ranked, 0, len(l.objects))
	for key, a := range l.objects {
		all = append(all, ranked{key, *a})
	}
	l.mu.Unlock()
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.MaxPerLifetime, a.MaxPerLifetime), cmp.Compare(b.Fetches, a.Fetches), cmp.Compare(a.Object, b.Object))
	})
	return all[:min(n, len(all))]
}

// reset forgets everything but what is in flight.
func (l *ledger) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.objects)
	l.sums = sums{InFlight: l.sums.InFlight, InFlightPeak: l.sums.InFlight}
}
