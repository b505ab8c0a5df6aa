package fleet

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/controllers/autoscale"
	"github.com/surgewall/surgewall/controllers/forecast"
	"github.com/surgewall/surgewall/controllers/ingest"
	"github.com/surgewall/surgewall/controllers/policy"
	"github.com/surgewall/surgewall/events"
)

// The times of the loop.
const (
	// period is shorter than that of the reports: those of the edges of a fleet
	// are spread over the second, and a rise that no edge notices alone shows in
	// their sum before the second is over.
	period = 250 * time.Millisecond
	// risingPeriod is the same while the load seems to rise: each report makes it
	// clearer, and the one that makes it clear enough shall not wait.
	risingPeriod = 50 * time.Millisecond
	// pokeGap is how long a poke waits: the early reports of the other edges are
	// a few milliseconds behind the first, and one decision on all of them is
	// better than one on each.
	pokeGap = 20 * time.Millisecond
	// callTimeout bounds a call of the API server: an answer that comes later
	// belongs to a decision that is no longer current.
	callTimeout = 2 * time.Second
	// ownWrite is how long the own write is believed over a watch that lags.
	ownWrite = 2 * time.Second
)

// Fleet is the loop of one fleet. It is safe for concurrent use.
type Fleet struct {
	name    string
	options Options
	logger  zerolog.Logger
	pokes   chan struct{}
	started bool          // guarded by the Manager's lock
	fleets  *atomic.Int64 // how many share the memory of recordings

	tick    sync.Mutex // one RunOnce at a time
	awaited awaited    // guarded by tick

	mu         sync.Mutex
	policy     accepted
	state      autoscale.State
	view       view // of the latest tick
	ring       ring
	conds      conditions
	wrote      int       // replicas of the own latest write
	wroteAt    time.Time // zero: none yet
	ahead      ahead
	forecast   forecast.Model
	edits      []edit            // of the replicas, by others, the latest last
	told       map[string]string // reasons of the bad conditions that were told, by type
	shown      shown             // what was announced last
	writes     Writes
	leading    bool   // as of the latest tick
	lastChange Record // latest decision that changed the replicas
	recording  recording
}

// view is the latest tick as the status shows it.
type view struct {
	decided  bool
	found    bool // the target exists
	decision Record
	reading  ingest.Reading
	ready    int
	asked    question // behind the decision
}

// question is what a decision was made from: whoever wants to know more of it
// can ask again. Its policy is that of the ConfigMap with what the target puts over it.
type question struct {
	policy policy.Policy
	target autoscale.Target
	load   autoscale.Load
	prior  autoscale.State
}

func newFleet(name string, o Options, fleets *atomic.Int64) *Fleet {
	return &Fleet{
		name: name, options: o, fleets: fleets, logger: o.Logger.With().Str("fleet", name).Logger(),
		pokes: make(chan struct{}, 1), told: map[string]string{}, policy: accepted{Policy: policy.Safe(name)},
	}
}

// Poke asks for a decision now. It never blocks.
func (f *Fleet) Poke() {
	select {
	case f.pokes <- struct{}{}:
	default: // one is waiting already
	}
}

// Run decides four times a second, and soon after each poke, until the context ends.
func (f *Fleet) Run(ctx context.Context) {
	timer := time.NewTimer(period)
	defer timer.Stop()
	for {
		if err := f.RunOnce(ctx); err != nil && ctx.Err() == nil {
			f.logger.Debug().Err(err).Msg("could not decide or write")
		}
		timer.Reset(f.pause())
		if !f.wait(ctx, timer.C) {
			return
		}
	}
}

// wait returns true when the next decision is due, false when ctx is done. Where a poke and the tick have both come meanwhile, the poke goes
// first: the same events have the same order of decisions, or none could be played again.
func (f *Fleet) wait(ctx context.Context, tick <-chan time.Time) bool {
	select {
	case <-f.pokes:
	default:
		select {
		case <-ctx.Done():
			return false
		case <-tick:
			return true
		case <-f.pokes:
		}
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pokeGap):
		return true
	}
}

// pause is the time until the next decision.
func (f *Fleet) pause() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.view.found && f.view.reading.Rising {
		return risingPeriod
	}
	return period
}

// RunOnce reads, decides and, as the leader in a mode that writes, writes. The error is
// the one that its condition shows.
func (f *Fleet) RunOnce(ctx context.Context) error {
	f.tick.Lock()
	defer f.tick.Unlock()
	now, leading := f.options.Now(), f.options.Leadership.Leading()

	f.mu.Lock()
	p, prior, wrote, wroteAt := f.policy.Policy, f.state, f.wrote, f.wroteAt
	f.mu.Unlock()
	f.tellPolicy(leading, now)

	t, err := f.options.Scaler.Deployment(p.TargetDeployment)
	if err != nil {
		f.noTarget(p, err, leading, now)
		if leading {
			f.tellConditions(p.TargetDeployment, now)
		}
		return err
	}
	p, refused := p.Annotated(t.Annotations)
	to, p, ambiguous := f.scaleOf(p, t)
	spec := to.spec
	f.foundTarget() // before the load is read: only then the pods are known, and what is heard of one edge is not the load of all
	if !wroteAt.IsZero() && now.Sub(wroteAt) < ownWrite {
		spec = wrote
	}
	reading := f.options.Signals.Read(f.name, clampOf(p))
	load := autoscale.Load{
		Signal: reading.Signal, Offered: reading.Offered, Window: reading.Window,
		InFlight: reading.InFlight, Egress: reading.Egress,
		Ended: reading.Ended, Misses: reading.Misses, Distinct: reading.Distinct,
		Known: reading.Known, Live: reading.Live, Heard: reading.Heard,
		SpecReplicas: spec, ReadyReplicas: t.Ready, Rollout: t.Rollout, Lead: f.options.Scaler.StartTime(f.name),
	}
	load.Floor = f.floor(p, load, now)
	d, next := autoscale.Decide(p, load, prior, now)
	written := result{}
	contended := f.setAspects(now, refused, ambiguous)
	if d.To != d.From && p.Mode != policy.Observe && leading && ambiguous == nil &&
		(!contended || d.To > d.From && now.Sub(wroteAt) >= contendedPause) {
		began := f.options.Now()
		d, next, written = f.write(ctx, to, p, load, prior, now)
		written.began = began
	}
	f.finish(question{p, t, d.Inputs.Load, prior}, d, next, reading, written, leading)
	f.traceReady(t.Ready, f.options.Now())
	if leading {
		f.tellConditions(p.TargetDeployment, now)
	}
	return written.err
}

// setAspects sets the conditions that do not come from the decision, and reports
// whether somebody else keeps changing the replicas.
func (f *Fleet) setAspects(now time.Time, refused policy.Errors, ambiguous *Condition) (contended bool) {
	pending := pendingCondition(f.options.Scaler.Pending(f.name))
	f.mu.Lock()
	defer f.mu.Unlock()
	contention := f.contention(now)
	if ambiguous == nil {
		c := condition(AmbiguousScaler, false, "SingleScaler", "no other autoscaler has this target")
		ambiguous = &c
	}
	for _, c := range []Condition{annotationCondition(refused), *ambiguous, contention, pending} {
		f.conds.set(now, c)
	}
	return !contention.Good()
}

// floor is what the calendar, the plans and the forecast ask for. The level of the tick before
// is the load of when a ramp begins: without its noise, and known.
func (f *Fleet) floor(p policy.Policy, load autoscale.Load, now time.Time) autoscale.Floor {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.floorFrom(&f.ahead, p, load, now)
}

// floorFrom is called with the lock held.
func (f *Fleet) floorFrom(a *ahead, p policy.Policy, load autoscale.Load, now time.Time) autoscale.Floor {
	level := 0.0
	if in := f.view.decision.Inputs; in != nil && load.Signal == autoscale.Live {
		level = in.Level
	}
	known := a.floor(p, now, leadOf(load.Lead), level)
	if p.Forecast != policy.ForecastAuto || load.Signal != autoscale.Live {
		return known
	}
	expected := autoscale.Floor{Path: autoscale.PathForecast, Demand: f.forecast.Floor(p.ForecastBudget)}
	if expected.Demand <= max(known.Demand, float64(known.Replicas)*p.TargetRPSPerEdge) {
		return known
	}
	expected.Name = f.forecast.Outlook().By.String()
	return expected
}

// clampOf is the most that one edge may contribute. By every metric that is as many
// times the target of an edge: no edge buys more by one of them than by another.
func clampOf(p policy.Policy) ingest.Clamp {
	times := p.EdgeClamp() / p.TargetRPSPerEdge
	return ingest.Clamp{RPS: p.EdgeClamp(), InFlight: times * p.TargetInFlightPerEdge, Egress: times * p.TargetMbpsPerEdge}
}

// leadOf is the time that a new edge takes to serve, as far as it is known.
func leadOf(start time.Duration) time.Duration {
	if start <= 0 {
		return autoscale.DefaultLead
	}
	return start
}

// finish keeps the outcome of a tick, and announces it as the leader.
func (f *Fleet) finish(asked question, d autoscale.Decision, next autoscale.State, reading ingest.Reading, written result, leading bool) {
	p := asked.policy
	rec := record(f.name, p, d, reading, written)
	f.mu.Lock()
	f.state, f.leading = next, leading
	f.recording.add(d.At, reading.Offered, reading.Signal, d.To, chunks(int(f.fleets.Load())))
	if rec.Written {
		f.wrote, f.wroteAt, f.lastChange = d.To, written.at, rec
	}
	switch {
	case written.err != nil:
		f.writes.Failed++
	case rec.Written:
		f.writes.Accepted++
	}
	f.view = view{decided: true, found: true, decision: rec, reading: reading, ready: d.Inputs.ReadyReplicas, asked: asked}
	if p.Forecast != policy.ForecastOff && reading.Signal == autoscale.Live {
		f.forecast.Observe(d.At, d.Inputs.Counted, d.Inputs.HeldDemand)
	}
	f.conds.set(d.At, condition(TargetMissing, false, "Found", "the Deployment "+p.TargetDeployment+" exists"))
	f.conds.set(d.At, signalCondition(reading))
	f.conds.set(d.At, limitCondition(p, d))
	f.conds.set(d.At, writeCondition(p, d, written, leading))
	news := leading && f.shown.isNews(rec)
	if news {
		rec.Counterfactuals = counterfactuals(autoscale.Counterfactuals(p, asked.load, asked.prior, d.At))
		f.view.decision = rec
		if rec.Written {
			f.lastChange = rec
		}
		f.ring.add(rec)
	}
	f.mu.Unlock()

	if news {
		f.announce(p, rec, f.trace(rec, reading, written, d.Inputs.ReadyReplicas))
	}
}

func (f *Fleet) noTarget(p policy.Policy, err error, leading bool, now time.Time) {
	reason := "Unreadable"
	if isNotFound(err) {
		reason = "TargetMissing"
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leading = leading
	f.view.found = false
	if isUnanswered(err) {
		return // a start is no reason to warn of a Deployment that may well be there
	}
	// The state is left alone: when the target is back, the load before is old and the model notices.
	if f.conds.set(now, condition(TargetMissing, true, reason, "the Deployment "+p.TargetDeployment+": "+err.Error())) && leading {
		f.logger.Warn().Err(err).Str("deployment", p.TargetDeployment).Msg("target is missing")
	}
}

// heard keeps the decision of another replica, while this one does not lead.
func (f *Fleet) heard(d events.Decision) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.leading {
		return
	}
	rec := fromEvent(d)
	f.ring.add(rec)
	if rec.Written {
		f.lastChange = rec
	}
}

func (f *Fleet) target() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.policy.TargetDeployment
}

func (f *Fleet) foundTarget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.view.found = true
}

func (f *Fleet) targetFound() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.view.found
}
