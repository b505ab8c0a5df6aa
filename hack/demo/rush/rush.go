// Package rush sends the demo's crowd and keeps, second by second, what edges, origin and controller made of it.
package rush

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/surgewall/surgewall/hack/demo/api"
	"github.com/surgewall/surgewall/hack/demo/object"
	"github.com/surgewall/surgewall/hack/demo/receipt"
	"github.com/surgewall/surgewall/hack/loadgen/load"
)

// Plan is one run of the crowd.
type Plan struct {
	Targets    []string
	Origin     api.Origin
	Controller api.Controller // empty: nobody scales
	Fleet      string
	Shape      load.Shape
	ViralShare float64 // of the rush, to one object that nobody asked for before
	Tag        string  // part of every object's name; another one means cold caches
	// OnLine gets each second's line; it may be nil.
	OnLine func(Line)
}

// Line is one second of the run.
type Line struct {
	load.Second
	Phase   string     // calm, spike, hold, fall
	Fetches float64    // at the origin, per second
	Fleet   *api.Fleet // the controller's latest answer; nil before the first
}

// String is the live line.
func (l Line) String() string {
	text := fmt.Sprintf("%4ds %-5s %5d rps  hit %5.1f %%  origin %4.0f/s", l.T, l.Phase, l.Completed, 100*l.Hits, l.Fetches)
	if l.Failed > 0 {
		text += fmt.Sprintf("  FAILED %d", l.Failed)
	}
	if f := l.Fleet; f != nil {
		text += fmt.Sprintf("  replicas %d/%d  %s  %s", f.Replicas.Desired, f.Replicas.Ready, f.Signal.State, f.Decision.Reason)
	}
	return text
}

// Sizes of the demo's objects: small, so that two cores spend their time on requests rather than on bytes.
var sizes = load.Sizes{Median: 2 << 10, Sigma: 0.8, Max: 32 << 10}

// ViralPath is the path of the object that goes viral in a run with this tag.
func ViralPath(tag string) string { return load.ViralPath(tag, sizes) }

// Run is a crowd on its way.
type Run struct {
	Plan
	Onset time.Time // when the spike starts
	End   time.Time // when the rush starts to fall

	mu    sync.Mutex
	fleet *api.Fleet
}

// Start makes a run that begins to send now, and returns at once. Wait for its end with the function that it returns, which may be
// called once. When ctx is cancelled in the calm after the rush the run ends early, as a whole one.
func Start(ctx context.Context, p Plan) (*Run, func() (load.Result, error), error) {
	popularity, err := load.Zipf(400, 0.7, sizes)
	if err != nil {
		return nil, nil, err
	}
	r := &Run{Plan: p}
	profile := load.Profile{Name: "demo", Shape: p.Shape, ViralShare: p.ViralShare}
	from, to := profile.Rush()
	began := time.Now()
	r.Onset, r.End = began.Add(from), began.Add(to)
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	var watchers sync.WaitGroup
	watchers.Go(func() { r.watchFleet(watching) })
	var last uint64
	if stats, err := p.Origin.Stats(ctx); err == nil {
		last = stats.Fetches
	}
	o := load.Options{
		Host:    object.Host,
		Targets: p.Targets, Profile: profile, Popularity: popularity, Sizes: sizes, Tag: p.Tag, Viewers: 96, Verify: true, Seed: 1,
		OnSecond: func(s load.Second) {
			line := Line{Second: s, Phase: phase(p.Shape, time.Duration(s.T)*time.Second)}
			if stats, err := p.Origin.Stats(watching); err == nil {
				line.Fetches, last = float64(stats.Fetches-last), stats.Fetches
			}
			line.Fleet = r.Fleet()
			if p.OnLine != nil {
				p.OnLine(line)
			}
		},
	}
	type outcome struct {
		result load.Result
		err    error
	}
	ended := make(chan outcome, 1)
	go func() {
		result, err := load.Run(ctx, o)
		ended <- outcome{result, err}
	}()
	wait := func() (load.Result, error) {
		out := <-ended
		stop()
		watchers.Wait()
		if errors.Is(out.err, context.Canceled) && time.Now().After(r.End) {
			out.err = nil
		}
		return out.result, out.err
	}
	return r, wait, nil
}

// Fleet is the controller's latest answer, nil before the first.
func (r *Run) Fleet() *api.Fleet {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fleet
}

// watchFleet asks the controller eight times a second.
func (r *Run) watchFleet(ctx context.Context) {
	if r.Controller == "" {
		return
	}
	led := time.Now()
	for ctx.Err() == nil {
		// The Service leads to the leader or to a standby, whose own view is not what is written.
		if f, err := r.Controller.Fleet(ctx, r.Plan.Fleet); err == nil && (f.IsLeader || time.Since(led) > 2*time.Second) {
			if f.IsLeader {
				led = time.Now()
			}
			r.mu.Lock()
			r.fleet = &f
			r.mu.Unlock()
		}
		select {
		case <-ctx.Done():
		case <-time.After(125 * time.Millisecond):
		}
	}
}

// phase names where a time is on the shape.
func phase(s load.Shape, t time.Duration) string {
	for _, p := range []struct {
		name string
		long time.Duration
	}{{"calm", s.Lead}, {"spike", s.Ramp}, {"hold", s.Hold}, {"fall", s.Fall}} {
		if t <= p.long {
			return p.name
		}
		t -= p.long
	}
	return "calm"
}

// OriginPart is what of the run reached the origin since its last reset.
func OriginPart(ctx context.Context, origin api.Origin, tag string) (receipt.Origin, error) {
	var stats api.OriginStats
	err := api.Again(ctx, func() (err error) {
		stats, err = origin.Stats(ctx)
		return err
	})
	if err != nil {
		return receipt.Origin{}, err
	}
	viral, err := origin.Fetches(ctx, ViralPath(tag))
	return receipt.Origin{Fetches: stats.Fetches, MaxPerLifetime: stats.MaxPerLifetime, WorstObject: stats.WorstObject, ViralFetches: viral}, err
}
