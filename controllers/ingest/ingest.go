// Package ingest turns the events of edges into what is known about each fleet:
// its offered load, and how far that can be trusted.
//
// Time is the local time of arrival; no sender's clock is read. A message counts
// once by (source, boot id, sequence). Silence is never zero load: an edge that
// says nothing keeps its last value for a while and costs the fleet its LIVE
// state, an edge whose pod is gone leaves at once, and when the path through the
// broker is broken nothing is known at all.
package ingest

import (
	"errors"
	"math"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/events"
)

// Members knows the pods of a fleet, as the Kubernetes API lists them. It is
// called with the lock of Ingest held: it must be quick and must not call back.
type Members interface {
	// IsMember reports whether the pod belongs to the fleet, and whether that is
	// known at all.
	IsMember(fleet, pod string) (member, known bool)
	// Members calls each for every pod of the fleet and reports whether they are
	// known at all; outside a cluster they are not, and every source counts.
	Members(fleet string, each func(pod string, ready, leaving bool)) (known bool)
}

// Options configure an Ingest.
type Options struct {
	// Replica is the name of this controller: its own canary is the one that counts.
	Replica string
	// Members is optional; without it every source counts.
	Members Members
	// Poke is told about a fleet whose load just jumped. It must not block. Optional.
	Poke func(fleet string)
	// OnDecision gets every decision on the bus with the name of the controller
	// that made it. It must not block. Optional.
	OnDecision func(replica string, d events.Decision)
	// OnPlan gets every planned event on the bus with the broker's user that sent
	// it. It must not block. Optional.
	OnPlan func(user string, p events.Plan)
	// OnApplied gets how far a replica is with the content updates. It must not block. Optional.
	OnApplied func(from events.Sender, a events.Applied)
	// Now is the clock; nil is time.Now.
	Now    func() time.Time
	Logger zerolog.Logger
}

// Bounds on what senders can make the controller remember.
const (
	maxFleets = 1000
	maxEdges  = 10000 // per fleet
)

// Ingest is safe for concurrent use.
type Ingest struct {
	options Options

	mu      sync.Mutex
	fleets  map[string]*fleet // guarded by mu
	dropped map[events.Reason]uint64
	logged  map[events.Reason]time.Time
	began   time.Time
	canary  time.Time // latest return of our own canary; zero: never
	heeding time.Time // since when there is the present subscription; zero: none yet
}

// New returns an Ingest that has heard nothing: every fleet is BLIND.
func New(o Options) *Ingest {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Ingest{
		options: o, fleets: map[string]*fleet{}, began: o.Now(),
		dropped: map[events.Reason]uint64{}, logged: map[events.Reason]time.Time{},
	}
}

// Handle takes one message from the bus. Whatever is wrong with it, it is
// dropped and counted; Handle never fails and never blocks.
func (in *Ingest) Handle(m events.Message) {
	event, err := events.Decode(m)
	if err != nil {
		in.reject(m, err)
		return
	}
	now, sender := in.options.Now(), event.Sender()
	switch body := event.Body.(type) {
	case *events.Canary:
		// One that took too long is no sign of life: what comes with it is as old. Both times are of our own clock; after a step
		// back of it the canary seems to come from the future, and counts.
		if body.Replica == in.options.Replica && now.Sub(body.SentAt) <= canaryLost {
			in.mu.Lock()
			in.canary = now
			in.mu.Unlock()
		}
	case *events.Decision:
		if in.options.OnDecision != nil {
			in.options.OnDecision(sender.Pod, *body)
		}
	case *events.Plan:
		if in.options.OnPlan != nil {
			in.options.OnPlan(m.UserID, *body)
		}
	case *events.Applied:
		if in.options.OnApplied != nil {
			in.options.OnApplied(sender, *body)
		}
	case *events.Rate, *events.Life, *events.Miss:
		if in.take(sender, event, now) && in.options.Poke != nil {
			in.options.Poke(sender.Fleet)
		}
	}
}

// Listening says that there is a new subscription: it is whole until it has had its time.
func (in *Ingest) Listening() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.heeding = in.options.Now()
}

// Deaf reports for how long our own canary has not come back through the present subscription. After a while a path that seems whole has to be
// made anew: a binding may be gone on which nobody reports. The time without a broker does not count, or the first subscription after it would be
// given up before its first canary is back.
func (in *Ingest) Deaf() time.Duration {
	in.mu.Lock()
	defer in.mu.Unlock()
	last := in.began
	for _, t := range []time.Time{in.canary, in.heeding} {
		if t.After(last) {
			last = t
		}
	}
	return in.options.Now().Sub(last)
}

// take applies an event of an edge, and reports whether the fleet should decide
// at once.
func (in *Ingest) take(sender events.Sender, event events.Event, now time.Time) (urgent bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	f := in.fleet(sender.Fleet)
	if f == nil {
		in.dropped[events.ReasonUnknownEdge]++
		return false
	}
	if !in.member(sender) {
		f.dropped[events.ReasonUnknownEdge]++
		return false
	}
	e := f.edges[sender.Pod]
	if e == nil {
		if len(f.edges) >= maxEdges {
			f.dropped[events.ReasonUnknownEdge]++
			return false
		}
		e = new(edge)
		f.edges[sender.Pod] = e
	}
	lost, reason := e.order(event.BootID, event.Seq)
	if reason != "" {
		f.dropped[reason]++
		return false
	}
	f.lost += lost
	switch body := event.Body.(type) {
	case *events.Rate:
		if event.TraceParent != "" {
			f.heat(event.TraceParent, now)
		}
		return e.rate(body, now)
	case *events.Life:
		e.life(body)
	case *events.Miss:
		e.miss(body, now)
	}
	return false
}

func (in *Ingest) fleet(name string) *fleet {
	f := in.fleets[name]
	if f == nil && len(in.fleets) < maxFleets {
		f = newFleet()
		in.fleets[name] = f
	}
	return f
}

// member asks for every message: a pod that is new since the last decision is
// already a member, and one that is gone is none any more.
func (in *Ingest) member(sender events.Sender) bool {
	if in.options.Members == nil {
		return true
	}
	member, known := in.options.Members.IsMember(sender.Fleet, sender.Pod)
	return member || !known
}

// logEvery bounds the log of refused messages: one line per reason and minute.
const logEvery = time.Minute

func (in *Ingest) reject(m events.Message, err error) {
	reason := events.ReasonMalformed
	var rejected *events.RejectError
	if errors.As(err, &rejected) {
		reason = rejected.Reason
	}
	now := in.options.Now()
	in.mu.Lock()
	in.dropped[reason]++
	count := in.dropped[reason]
	quiet := now.Sub(in.logged[reason]) < logEvery
	if !quiet {
		in.logged[reason] = now
	}
	in.mu.Unlock()
	if !quiet {
		in.options.Logger.Warn().Err(err).Str("reason", string(reason)).Str("key", clip(m.Key)).Uint64("count", count).
			Msg("dropped a message from the bus")
	}
}

func clip(s string) string { return s[:min(len(s), 255)] }

// jump is by how much a report must exceed the one before it to be worth a
// decision before the next second: twice, and four standard deviations.
func jump(before, after, window float64) bool {
	return after > 2*before && (after-before)*window > 4*math.Sqrt(max(before*window, 1))
}
