package ingest

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/surgewall/surgewall/controllers/autoscale"
	"github.com/surgewall/surgewall/events"
)

// The times of the signal.
const (
	// silentAfter is when an edge that reports once a second counts as silent:
	// three reports and a little for their way.
	silentAfter = 3500 * time.Millisecond
	// keptFor is how long the last value of a silent edge counts.
	keptFor = 30 * time.Second
	// canaryLost is how long the own canary may take before the path counts as dead.
	canaryLost = 4 * time.Second
	// coldFor is how long after its readiness the misses of an edge say more about
	// its empty cache than about the requests.
	coldFor = time.Minute
	// missedFor is how long the misses of an edge count as those of now: it reports
	// them with its rate, and not at all when there are none.
	missedFor = 1500 * time.Millisecond
)

// rising is by how many standard deviations the ends of the windows must exceed
// the whole windows for the load to be taken from them alone. Within the second
// after a step the windows mix before and after; otherwise the whole ones are
// twice as sure, and the few times that noise passes for a rise move the mean by
// a thousandth.
const rising = 2.0

// Reading is what is known about a fleet at one instant.
type Reading struct {
	Signal autoscale.Signal
	Known  int      // edges that should be heard: Ready pods
	Live   int      // those of them that are
	Silent []string // the others, sorted

	Offered  float64 // requests per second of all edges, each within the clamp
	Window   float64 // seconds behind Offered; see autoscale.Load
	Rising   bool    // Offered is that of the ends of the windows, and each report will add to it
	Heard    float64 // part of Offered that comes from the live edges
	InFlight float64 // requests under way
	Egress   float64 // megabits per second of bodies to clients
	HitRatio float64 // part of the ended requests that caused no forward; 0 without any

	// Ended is the requests per second that ended at edges which have been Ready
	// for a minute, Misses those of them that found nothing stored, and Distinct
	// the different keys among these, summed over the edges.
	Ended, Misses, Distinct float64

	// Capacity is what the live edges say that they can do, in sum; 0 where none
	// does.
	Capacity events.Capacity

	// Traces are the trace contexts of the windows of the last seconds that a jump
	// cut short, the first one first. Empty where edges make no spans.
	Traces []string

	LostEvents uint64                   // gaps in the sequences, since the start
	Dropped    map[events.Reason]uint64 // messages of this fleet that did not count, since the start
}

// Unattributed is how many messages did not count and belong to no fleet, by
// reason, since the start: nothing that cannot be decoded has a sender.
func (in *Ingest) Unattributed() map[events.Reason]uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return maps.Clone(in.dropped)
}

// fleet is what is remembered of one fleet.
type fleet struct {
	edges     map[string]*edge
	members   map[string]*member
	hot       []hotWindow
	steady    []*edge // room for those of one reading
	lost      uint64
	dropped   map[events.Reason]uint64
	quantiles quantiles
}

// member is what was seen of one pod of the fleet over the readings.
type member struct {
	unready bool // was seen before it was Ready, so its start is known
	ready   bool // has been Ready
	readyAt time.Time
	seen    time.Time
}

func newFleet() *fleet {
	return &fleet{edges: map[string]*edge{}, members: map[string]*member{}, dropped: map[events.Reason]uint64{}}
}

// Clamp is the most that one edge may contribute to the sums of its fleet; 0 is
// without limit.
type Clamp struct {
	RPS      float64 // offered requests per second
	InFlight float64 // requests under way
	Egress   float64 // megabits per second
}

// Read sums a fleet up.
func (in *Ingest) Read(name string, clamp Clamp) Reading {
	now := in.options.Now()
	in.mu.Lock()
	defer in.mu.Unlock()
	f := in.fleet(name)
	if f == nil {
		return Reading{Signal: autoscale.Blind}
	}
	s := newSum(f, clamp, now)
	known := false
	if in.options.Members != nil {
		known = in.options.Members.Members(name, s.pod)
	}
	if !known {
		s = newSum(f, clamp, now)
		s.sources()
	}
	f.forget(now, known)

	r := s.reading()
	f.steady = s.moved.steady
	r.LostEvents, r.Dropped = f.lost, maps.Clone(f.dropped)
	r.Traces = f.traces(now)
	if in.canary.IsZero() || now.Sub(in.canary) > canaryLost {
		r.Signal = autoscale.Blind
	}
	return r
}

// sum gathers the edges of one reading.
type sum struct {
	fleet *fleet
	clamp Clamp
	now   time.Time

	known, live   int
	silent        []string
	rps, variance float64
	recent        float64 // the same of the ends of the windows,
	recentVar     float64
	between       float64 // and the variance of the difference between the two, if nothing changed
	inFlight      float64
	egress        float64
	heard         float64
	heardRecent   float64
	hits, ended   uint64
	moved         moved

	capacity events.Capacity

	warmEnded, misses, distinct float64 // per second
}

func newSum(f *fleet, clamp Clamp, now time.Time) sum {
	return sum{fleet: f, clamp: clamp, now: now, moved: moved{steady: f.steady[:0]}}
}

// pod takes one pod of the API in.
func (s *sum) pod(name string, ready, leaving bool) {
	m := s.fleet.members[name]
	if m == nil {
		m = &member{unready: !ready}
		s.fleet.members[name] = m
	}
	m.seen = s.now
	if ready && !m.ready {
		m.ready, m.readyAt = true, s.now
	}
	e := s.fleet.edges[name]
	fresh := e != nil && e.within(s.now, silentAfter)
	kept := e != nil && e.within(s.now, keptFor)
	switch {
	case leaving:
		// It gives its clients to others and may stop talking: it counts while it
		// is heard and is missed by nobody.
		if fresh {
			s.add(e)
		}
		return
	case fresh:
		s.add(e)
		if ready {
			s.known, s.live = s.known+1, s.live+1
			s.heard, s.heardRecent = s.heard+s.clamped(e.rps), s.heardRecent+s.clamped(e.recent)
			s.serving(e)
			if !m.unready || s.now.Sub(m.readyAt) >= coldFor {
				s.warm(e)
			}
		}
		return
	case kept:
		s.add(e)
	}
	switch {
	case ready && m.unready && (e == nil || e.heard.IsZero()) && s.now.Sub(m.readyAt) <= silentAfter:
		// Just Ready, and its first report is on the way.
	case ready, m.ready && kept:
		// A pod that hangs loses its readiness too, but not its load at once.
		s.known++
		s.silent = append(s.silent, name)
	}
}

// sources takes every source that was heard lately as an edge, where nobody
// knows the pods.
func (s *sum) sources() {
	for name, e := range s.fleet.edges {
		if e.within(s.now, keptFor) {
			s.pod(name, true, e.draining)
		}
	}
}

func (s *sum) clamped(rps float64) float64 { return atMost(rps, s.clamp.RPS) }

// atMost is a value, or its limit where it is more; 0 is without limit.
func atMost(value, limit float64) float64 {
	if limit > 0 {
		return min(value, limit)
	}
	return value
}

// warm takes the misses of an edge in. They are told apart from its load, so what
// it says of them is bounded by what it says of that: one edge that errs or lies
// must not make the requests of all look like a scan.
func (s *sum) warm(e *edge) {
	ended := min(float64(min(e.ended, math.MaxUint32))/e.window, s.clamped(max(e.rps, e.recent)))
	s.warmEnded += ended
	if s.now.Sub(e.missed.heard) <= missedFor {
		misses := min(e.missed.misses, ended)
		s.misses += misses
		s.distinct += min(e.missed.distinct, misses)
	}
}

func (s *sum) add(e *edge) {
	rps, recent := s.clamped(e.rps), s.clamped(e.recent)
	inFlight, egress := atMost(e.inFlight, s.clamp.InFlight), atMost(e.egress, s.clamp.Egress)
	if max(rps, recent) < max(e.rps, e.recent) || inFlight < e.inFlight || egress < e.egress {
		s.fleet.dropped[events.ReasonClamped]++
	}
	s.moved.add(e, s.now, rps, recent, inFlight, egress)
	s.rps += rps
	s.variance += rps / e.window
	s.recent += recent
	s.recentVar += recent / e.lately
	s.between += rps * max(1/e.lately-1/e.window, 0)
	s.inFlight += inFlight
	s.egress += egress
	s.hits, s.ended = s.hits+min(e.hits, math.MaxUint32), s.ended+min(e.ended, math.MaxUint32)
}

func (s *sum) reading() Reading {
	r := Reading{Known: s.known, Live: s.live, Silent: s.silent, Offered: s.rps, InFlight: s.inFlight, Window: 1,
		Heard: s.heard, Egress: s.egress, Ended: s.warmEnded, Misses: s.misses, Distinct: s.distinct}
	slices.Sort(r.Silent)
	doubt, recentDoubt := s.moved.doubt(s.clamped)
	gained, noise := s.moved.rps, s.moved.variance
	if s.recent-recentDoubt-(s.rps-doubt) > rising*math.Sqrt(s.between) {
		r.Rising, r.Offered, r.Heard, s.variance = true, s.recent, s.heardRecent, s.recentVar
		doubt, gained, noise = recentDoubt, s.moved.recent, s.moved.recentVar
	}
	if doubt > 0 {
		// All that came with the gains is in doubt with them, and nothing else is.
		part, sure := doubt/gained, 1-doubt/r.Offered
		r.Offered, r.Heard = r.Offered*sure, r.Heard*sure
		r.InFlight = max(r.InFlight-part*s.moved.inFlight, 0)
		r.Egress = max(r.Egress-part*s.moved.egress, 0)
		s.variance -= part * noise // that of the edges that could have lost as much stays
	}
	if s.variance > 0 {
		r.Window = r.Offered / s.variance
	}
	if s.ended > 0 {
		r.HitRatio = float64(s.hits) / float64(s.ended)
	}
	r.Capacity = s.capacities()
	switch {
	case s.live == 0:
		r.Signal = autoscale.Blind
	case s.live < s.known:
		r.Signal = autoscale.Partial
	default:
		r.Signal = autoscale.Live
	}
	return r
}

// forget drops what cannot count again: pods that the API no longer lists at
// once, and sources after they were kept.
func (f *fleet) forget(now time.Time, known bool) {
	maps.DeleteFunc(f.members, func(_ string, m *member) bool { return m.seen.Before(now) })
	maps.DeleteFunc(f.edges, func(name string, e *edge) bool {
		if known {
			return f.members[name] == nil
		}
		return now.Sub(e.heard) > 2*keptFor
	})
}
