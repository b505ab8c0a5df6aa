package kube

import (
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// roster is what is asked of the pods of a fleet, several times in each decision.
// Pods change far less often than that. It is read-only.
type roster struct {
	of      uint64 // the state of the watch that it shows
	members []member
	start   time.Duration // see startTime
	waiting []*corev1.Pod // neither Ready nor leaving
}

type member struct {
	name           string
	ready, leaving bool
}

func newRoster(pods []*corev1.Pod) *roster {
	r := &roster{members: make([]member, 0, len(pods)), start: startTime(pods)}
	for _, pod := range pods {
		ready, leaving := readySince(pod), pod.DeletionTimestamp != nil
		r.members = append(r.members, member{pod.Name, !ready.IsZero(), leaving})
		if ready.IsZero() && !leaving {
			r.waiting = append(r.waiting, pod)
		}
	}
	return r
}

// rosters keeps the roster of each fleet until the pods change. The zero value is
// ready, and it is safe for concurrent use.
type rosters struct {
	mu     sync.Mutex
	state  uint64             // of the watch; guarded by mu
	fleets map[string]*roster // guarded by mu
}

// changed is called after each change of the pods.
func (r *rosters) changed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state++
}

// of is the roster of a fleet, made from the pods where none is that of now.
func (r *rosters) of(fleet string, pods func(fleet string) []*corev1.Pod) *roster {
	r.mu.Lock()
	known, state := r.fleets[fleet], r.state
	r.mu.Unlock()
	if known != nil && known.of == state {
		return known
	}
	// The state is that of before the pods were listed: what changes meanwhile may be
	// in the list or not, and has it made once more.
	fresh := newRoster(pods(fleet))
	fresh.of = state
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fleets == nil || known == nil && len(r.fleets) >= maxRosters {
		r.fleets = map[string]*roster{}
	}
	r.fleets[fleet] = fresh
	return fresh
}

// maxRosters bounds what is kept of fleets that nobody asks for any more.
const maxRosters = 1000
