package autoscale

import "time"

// Signal says how much of the fleet the load was heard from.
type Signal string

// The signal states. Only Live may lead to fewer edges.
const (
	Live    Signal = "LIVE"    // fresh reports of every Ready edge
	Partial Signal = "PARTIAL" // some Ready edges are silent: raise or keep
	Blind   Signal = "BLIND"   // nothing is heard, or the way through the broker is broken: keep
)

// Load is what is known about one fleet at one instant.
type Load struct {
	Signal Signal

	// Offered is the sum over the edges of the requests per second that came to
	// them, served or not, each from its latest report and within its clamp.
	Offered float64

	// Window is the length that the reports behind Offered cover, in seconds,
	// averaged so that Offered/Window is the variance of Offered when requests
	// come independently (harmonic mean weighted by rate). 0 is one second.
	Window float64

	// What follows may be 0 where it is not known: it decides between causes, and
	// counts as a metric where the policy has a target for it.

	InFlight float64 // requests under way
	Egress   float64 // megabits per second of bodies to clients

	// Ended is the requests per second that ended at edges whose cache is warm,
	// Misses those of them that found nothing stored, and Distinct the different
	// keys among these. A new edge misses because it is new.
	Ended, Misses, Distinct float64

	Known int     // edges that should be heard
	Live  int     // those of them that are
	Heard float64 // part of Offered that comes from these

	SpecReplicas  int // what the Deployment asks for, starting pods included
	ReadyReplicas int // for the explanation only: raises count from SpecReplicas

	// Rollout is true while pods of an older template are replaced: what edges can
	// do is in flux then, and those that go are the ones with warm caches.
	Rollout bool

	// Floor is the largest need that is known beforehand.
	Floor Floor

	// Lead is the time from a scale write to a Ready pod; 0 is DefaultLead.
	Lead time.Duration
}

// DefaultLead is assumed until the start of a pod of the fleet was seen.
const DefaultLead = 10 * time.Second

func (l Load) lead() time.Duration {
	if l.Lead <= 0 {
		return DefaultLead
	}
	return l.Lead
}

func (l Load) window() float64 {
	if l.Window <= 0 {
		return 1
	}
	return l.Window
}
