package edge

import (
	"context"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/span"
)

const (
	tickLength = 125 * time.Millisecond
	// lateTick is the length from which a tick counts as late, in ticks.
	lateTick = 1.5
	// shortestWindow keeps a window that has just begun from being cut: its rate would be noise.
	shortestWindow = 50 * time.Millisecond
)

// Publisher sends messages. Publish never waits and never fails: what cannot be sent is dropped and counted there.
type Publisher interface{ Publish(events.Message) }

// ReporterOptions say who reports what to whom.
type ReporterOptions struct {
	Fleet, Pod string
	BootID     string // drawn anew by each process
	Meter      *Meter
	Publisher  Publisher
	Capacity   events.Capacity
	// Trace records the window that a jump cut short: the first sign of a spike. Nil: nobody collects spans.
	Trace  span.Recorder
	Logger zerolog.Logger
}

// Reporter publishes what the edge is asked for: once a second, at once when its own count jumps, and explicit zeros when nobody asks
// anything. Silence is therefore never zero traffic. Its methods are safe for concurrent use.
type Reporter struct {
	o    ReporterOptions
	poke chan struct{} // something changed: end the window now

	mu    sync.Mutex
	state events.LifeState   // guarded by mu
	told  []events.LifeState // guarded by mu: states still to be published
}

// NewReporter returns a Reporter that is starting.
func NewReporter(o ReporterOptions) *Reporter {
	return &Reporter{o: o, poke: make(chan struct{}, 1), state: events.LifeStarting, told: []events.LifeState{events.LifeStarting}}
}

// SetState says where the edge is in its life. It is published at once, with the window so far.
func (r *Reporter) SetState(state events.LifeState) {
	r.mu.Lock()
	r.state = state
	r.told = append(r.told, state)
	r.mu.Unlock()
	r.Poke()
}

// Resume publishes a window and the state at once. It is called when a session with the broker is up: nobody there may know of this edge.
func (r *Reporter) Resume() {
	r.mu.Lock()
	if len(r.told) == 0 {
		r.told = append(r.told, r.state)
	}
	r.mu.Unlock()
	r.Poke()
}

// Poke ends the present window soon.
func (r *Reporter) Poke() {
	select {
	case r.poke <- struct{}{}:
	default: // one is waiting already
	}
}

// Run reports until the context ends; then it publishes the last window and the last state, and returns nil.
func (r *Reporter) Run(ctx context.Context) error {
	w := r.begin(time.Now())
	// The edges of a fleet start together. A phase of its own for each spreads their messages over the second. It is that of the boot, which
	// is drawn anew by each process: the same boots in virtual time report at the same times.
	boot := fnv.New64a()
	_, _ = boot.Write([]byte(r.o.Fleet + "/" + r.o.Pod + "/" + r.o.BootID))
	draw := rand.New(rand.NewPCG(boot.Sum64(), 0)) //nolint:gosec // no secret
	phase := time.NewTimer(time.Duration(draw.Int64N(int64(tickLength))))
	defer phase.Stop()
	ticker := time.NewTicker(tickLength)
	defer ticker.Stop()
	w.cadence.elapsed = draw.IntN(ticksPerWindow)
	for {
		select {
		case <-phase.C:
			ticker.Reset(tickLength)
		case <-ticker.C:
			now := time.Now()
			offered := r.o.Meter.Offered()
			count, length := w.sinceTick(now, offered)
			if v := w.cadence.tick(count, length); v != carryOn {
				r.publish(w, now, v == jump)
			} else {
				w.marks = append(w.marks, mark{now, offered, length > lateTick})
			}
		case <-r.poke:
			r.tellStates(w)
			if now := time.Now(); now.Sub(w.began) >= shortestWindow {
				w.cadence.restart()
				r.publish(w, now, false)
			}
		case <-ctx.Done():
			r.SetState(events.LifeClosing)
			r.publish(w, time.Now(), false)
			r.tellStates(w)
			return nil
		}
	}
}

// window is the one that Run is in.
type window struct {
	cadence cadence
	began   time.Time
	totals  Totals  // at its beginning
	seq     uint64  // of the last event
	served  float64 // highest rate that was served well, requests per second
	ticked  time.Time
	offered uint64 // until the last tick
	marks   []mark // the beginning and the ticks of the window
}

// mark is what had arrived at a time.
type mark struct {
	at      time.Time
	offered uint64
	late    bool // what came in the time of this tick may be counted in the next
}

// recent is the end of the window: how long it is, and the requests that arrived in it.
func (w *window) recent(now time.Time, offered uint64, ticks int) (length time.Duration, count uint64) {
	i := max(len(w.marks)-ticks, 0)
	for i > 0 && w.marks[i].late {
		i--
	}
	m := w.marks[i]
	return now.Sub(m.at), offered - m.offered
}

func (r *Reporter) begin(now time.Time) *window {
	totals := r.o.Meter.Totals()
	return &window{began: now, totals: totals, ticked: now, offered: totals.Offered, marks: []mark{{at: now, offered: totals.Offered}}}
}

// sinceTick returns the requests since the last tick, and how many ticks long that was.
func (w *window) sinceTick(now time.Time, offered uint64) (count uint64, length float64) {
	count, length = offered-w.offered, float64(now.Sub(w.ticked))/float64(tickLength)
	w.offered, w.ticked = offered, now
	return count, length
}

// publish ends the window and begins the next.
func (r *Reporter) publish(w *window, now time.Time, early bool) {
	totals := r.o.Meter.Totals()
	counted := totals.Sub(w.totals)
	// A process that was stopped for longer comes back with a window that nobody accepts; the lie is in the length alone.
	length := min(max(now.Sub(w.began).Milliseconds(), 1), events.MaxWindowMS)
	rate := events.Rate{
		WindowMS: length, Offered: counted.Offered, Status: counted.Status, BytesOut: counted.BytesOut, BytesIn: counted.BytesIn,
		InFlight: uint64(max(r.o.Meter.InFlight(), 0)), InFlightPeak: uint64(max(r.o.Meter.takePeak(), 0)),
		Latency: r.o.Meter.ttfb.Take(), Capacity: r.o.Capacity, Warm: 1, Draining: r.leaving(), Early: early,
	}
	// Of an early window the ticks that jumped are what matters.
	ticks := recentTicks
	if early {
		ticks = w.cadence.recent
	}
	if recent, count := w.recent(now, totals.Offered, ticks); recent.Milliseconds() < length && recent >= shortestWindow {
		rate.RecentMS, rate.Recent = recent.Milliseconds(), min(count, rate.Offered)
	}
	w.served = max(w.served, servedWell(&rate))
	rate.Capacity.MaxRPS = w.served
	trace := ""
	if early && r.o.Trace != nil {
		trace = r.trace(w.began, now, &rate)
	}
	w.began, w.totals, w.marks = now, totals, append(w.marks[:0], mark{at: now, offered: totals.Offered})
	r.send(w, now, &rate, trace)
	if miss := r.o.Meter.keys.take(); miss != nil {
		miss.WindowMS = length
		r.send(w, now, miss, "")
	}
}

// servedWell returns the rate of a window in which nearly everything that was asked for was answered, 0 for any other: what an edge managed
// once it can manage again. A short window says too little.
func servedWell(rate *events.Rate) float64 {
	ended, failed := rate.Status.Sum(), rate.Status.Error+rate.Status.Shed
	if rate.WindowMS < 500 || failed*100 > ended || ended*10 < rate.Offered*9 {
		return 0
	}
	return float64(min(ended, rate.Offered)) * 1000 / float64(rate.WindowMS)
}

func (r *Reporter) leaving() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state == events.LifeDraining || r.state == events.LifeClosing
}

// tellStates publishes the states that have not been.
func (r *Reporter) tellStates(w *window) {
	r.mu.Lock()
	told := r.told
	r.told = nil
	r.mu.Unlock()
	for _, state := range told {
		r.send(w, time.Now(), &events.Life{State: state}, "")
	}
}

// trace records a hot window, and returns its context for those who act on the event.
func (r *Reporter) trace(began, ended time.Time, rate *events.Rate) string {
	return r.o.Trace(span.Span{
		Name: "hot window", Start: began, End: ended, Attributes: []span.Attribute{
			{Key: "surgewall.fleet", Value: r.o.Fleet}, {Key: "surgewall.pod", Value: r.o.Pod},
			{Key: "surgewall.offered_rps", Value: rate.RPS()}, {Key: "surgewall.in_flight", Value: int64(rate.InFlight)},
		},
	})
}

func (r *Reporter) send(w *window, now time.Time, body events.Body, trace string) {
	w.seq++
	message, err := events.Encode(events.Attributes{
		Source: events.Source(r.o.Fleet, r.o.Pod), Time: now, BootID: r.o.BootID, Seq: w.seq, TraceParent: trace,
	}, body)
	if err != nil {
		// The contract refused what we counted: a mistake of ours, and no reason to stop reporting.
		r.o.Logger.Error().Err(err).Msg("event cannot be encoded")
		return
	}
	r.o.Publisher.Publish(message)
}
