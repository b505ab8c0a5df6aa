package cluster

import (
	"slices"
	"sync"
	"time"
)

// Scale is what a Deployment looked like from a moment on.
type Scale struct {
	At    time.Time
	Spec  int // replicas wanted
	Ready int // replicas ready
}

// Timeline is what a watch saw of one Deployment's replicas, oldest first. It is safe for concurrent use.
type Timeline struct {
	mu     sync.Mutex
	scales []Scale
}

// Add notes a scale, unless it is the one before.
func (t *Timeline) Add(s Scale) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.scales); n > 0 && t.scales[n-1].Spec == s.Spec && t.scales[n-1].Ready == s.Ready {
		return
	}
	t.scales = append(t.scales, s)
}

// All is every change so far.
func (t *Timeline) All() []Scale {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.scales)
}

// Now is the latest; the zero Scale before the first.
func (t *Timeline) Now() Scale {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.scales) == 0 {
		return Scale{}
	}
	return t.scales[len(t.scales)-1]
}

// First is the first change at or after a time that meets the condition.
func (t *Timeline) First(after time.Time, meets func(Scale) bool) (Scale, bool) {
	for _, s := range t.All() {
		if !s.At.Before(after) && meets(s) {
			return s, true
		}
	}
	return Scale{}, false
}

// Peak is the largest number of replicas wanted between two times.
func (t *Timeline) Peak(from, to time.Time) int {
	peak, all := 0, t.All()
	for i, s := range all {
		// A scale holds until the next one, so the one in force at the start counts as well.
		if s.At.After(to) || i+1 < len(all) && !all[i+1].At.After(from) {
			continue
		}
		peak = max(peak, s.Spec)
	}
	return peak
}

// Lowered tells whether fewer replicas were wanted at any change between two times than just before it.
func (t *Timeline) Lowered(from, to time.Time) bool {
	all := t.All()
	for i := 1; i < len(all); i++ {
		if all[i].At.After(from) && !all[i].At.After(to) && all[i].Spec < all[i-1].Spec {
			return true
		}
	}
	return false
}
