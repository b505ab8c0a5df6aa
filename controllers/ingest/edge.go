package ingest

import (
	"slices"
	"time"

	"github.com/surgewall/surgewall/events"
)

// edge is the latest word of one source.
type edge struct {
	boot    string
	seq     uint64
	retired []string // boots before this one, the latest last

	heard    time.Time // arrival of the latest rate; zero: none yet
	rps      float64
	window   float64 // seconds that rps rests on
	recent   float64 // the same of the end of the window,
	lately   float64 // and the seconds that it rests on
	gain     gain    // told of by its latest reports
	before   float64 // rps of the window before,
	length   float64 // and the seconds that it rests on; zero: there was none
	inFlight float64
	egress   float64 // megabits per second
	hits     uint64
	ended    uint64
	missed   missed
	latency  []byte // a sketch, as it came
	capacity events.Capacity
	draining bool
	closed   bool // said that it is closing
}

// missed is the latest word of a source on its misses.
type missed struct {
	heard            time.Time
	misses, distinct float64 // per second
}

// maxRetired is how many earlier boots of a source are remembered: enough that a
// pod which restarts in a loop cannot bring an old one back with a late message.
const maxRetired = 8

// order decides whether a message is new, and how many before it were lost.
func (e *edge) order(boot string, seq uint64) (lost uint64, drop events.Reason) {
	switch {
	case slices.Contains(e.retired, boot):
		return 0, events.ReasonStale
	case boot != e.boot:
		if e.boot != "" {
			e.retired = append(e.retired, e.boot)
			e.retired = e.retired[max(0, len(e.retired)-maxRetired):]
		}
		// A new process: nothing that the one before it said holds any more.
		*e = edge{boot: boot, seq: seq, retired: e.retired}
		return 0, ""
	case seq == e.seq:
		return 0, events.ReasonDuplicate
	case seq < e.seq:
		return 0, events.ReasonStale
	}
	lost = seq - e.seq - 1
	e.seq = seq
	return lost, ""
}

// within reports whether a rate was heard so lately, of an edge that has not closed since.
func (e *edge) within(now time.Time, age time.Duration) bool {
	return !e.closed && !e.heard.IsZero() && now.Sub(e.heard) <= age
}

// shortest bounds the rate that a tiny window could claim.
const shortest = 50 * time.Millisecond

func (e *edge) rate(r *events.Rate, now time.Time) (urgent bool) {
	window := max(r.Window(), shortest).Seconds()
	known := !e.heard.IsZero()
	e.before, e.length = e.rps, e.window
	e.heard, e.rps, e.window = now, float64(r.Offered)/window, window
	e.recent, e.lately = e.rps, window
	if rps, length := r.End(); length < r.Window() && length >= shortest {
		e.recent, e.lately = rps, length.Seconds()
	}
	if known {
		e.gain = e.gain.jumped(r, e.before, e.lately, now)
	}
	e.inFlight, e.draining, e.closed = float64(r.InFlight), r.Draining, false
	e.egress = float64(r.BytesOut) * 8 / 1e6 / window
	e.hits, e.ended = r.Status.Hit+r.Status.Stale+r.Status.Collapsed, r.Status.Sum()
	e.capacity = r.Capacity
	e.latency = r.Latency
	return r.Early || known && jump(e.before, e.recent, e.lately)
}

// change is what came or went from the window before to the latest one and to the
// end of it, in requests per second, and the variance of the latter if nothing did.
func (e *edge) change(clamped func(float64) float64) (whole, end, variance float64) {
	if e.length == 0 {
		return 0, 0, 0
	}
	before, recent := clamped(e.before), clamped(e.recent)
	return clamped(e.rps) - before, recent - before, recent/e.lately + before/e.length
}

func (e *edge) miss(m *events.Miss, now time.Time) {
	window := max(m.Window(), shortest).Seconds()
	e.missed = missed{heard: now, misses: float64(m.Misses) / window, distinct: float64(min(m.Distinct, m.Misses)) / window}
}

func (e *edge) life(l *events.Life) {
	switch l.State {
	case events.LifeClosing:
		e.closed, e.rps, e.recent, e.inFlight, e.egress = true, 0, 0, 0, 0
	case events.LifeDraining:
		e.draining = true
	}
}
