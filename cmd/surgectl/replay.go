package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/surgewall/surgewall/controllers/policy"
	"github.com/surgewall/surgewall/controllers/simulate"
)

// replay is one policy on the trace.
type replay struct {
	title   string
	policy  policy.Policy
	options simulate.Options
	score   simulate.Score
	bins    []bin
	seconds atomic.Int64 // simulated so far
}

// bin is a stretch of the trace as it is drawn.
type bin struct {
	at       time.Time
	seconds  int
	mean     float64 // requests per second
	peak     float64 // of one second
	ready    int     // fewest ready edges
	most     int     // most of them
	overload float64 // requests
}

// mostBins is the width of a plot in steps: as many as a wide screen shows.
const mostBins = 1200

func newReplay(title string, p policy.Policy, o simulate.Options, trace simulate.Trace) *replay {
	return &replay{title: title, policy: p, options: o, bins: make([]bin, min(mostBins, len(trace.Seconds)))}
}

func (r *replay) play(trace simulate.Trace) (err error) {
	i, n := 0, len(trace.Seconds)
	o := r.options
	o.Record = func(s simulate.Sample) {
		b := &r.bins[i*len(r.bins)/n]
		b.add(s)
		i++
		if i%1024 == 0 {
			r.seconds.Store(int64(i))
		}
	}
	r.score, err = simulate.Run(trace, o, simulate.NewProduction(r.policy))
	r.seconds.Store(int64(n))
	return err
}

func (b *bin) add(s simulate.Sample) {
	if b.seconds == 0 {
		b.at, b.ready = s.At, s.Ready
	}
	b.mean = (b.mean*float64(b.seconds) + s.Requests) / float64(b.seconds+1)
	b.seconds++
	b.peak = max(b.peak, s.Requests)
	b.ready, b.most = min(b.ready, s.Ready), max(b.most, s.Ready)
	b.overload += s.Overload
}

// coarser joins the bins to this many.
func coarser(bins []bin, n int) []bin {
	n = min(n, len(bins))
	out := make([]bin, n)
	for i, b := range bins {
		o := &out[i*n/len(bins)]
		if o.seconds == 0 {
			*o = b
			continue
		}
		o.mean = (o.mean*float64(o.seconds) + b.mean*float64(b.seconds)) / float64(o.seconds+b.seconds)
		o.seconds += b.seconds
		o.peak, o.overload = max(o.peak, b.peak), o.overload+b.overload
		o.ready, o.most = min(o.ready, b.ready), max(o.most, b.most)
	}
	return out
}

// progress is the part of the work that is done.
func progress(runs []*replay, trace simulate.Trace) float64 {
	sum := 0.0
	for _, r := range runs {
		sum += float64(r.seconds.Load())
	}
	return sum / float64(len(runs)*len(trace.Seconds))
}

// warnings say what of the policy cannot work with these edges, whatever it decides.
func (r *replay) warnings(trace simulate.Trace) (out []string) {
	p, capacity := r.policy, r.options.Capacity
	if p.TargetRPSPerEdge > capacity {
		out = append(out, fmt.Sprintf("%s: target-rps-per-edge %g is more than the %.4g requests per second that an edge serves (--capacity)", r.title, p.TargetRPSPerEdge, capacity))
	}
	if most := float64(p.MaxReplicas) * capacity; trace.Peak() > most {
		out = append(out, fmt.Sprintf("%s: max-replicas %d edges serve %.4g requests per second, the peak of the trace is %.4g", r.title, p.MaxReplicas, most, trace.Peak()))
	}
	return out
}

// title names a source in tables.
func (s source) title(set map[string]string) string {
	title := s.name
	if s.name == "-" {
		title = "standard input"
	}
	for _, key := range slices.Sorted(maps.Keys(set)) {
		title += " " + key + "=" + set[key]
	}
	return title
}

// receipt is what came of a simulation.
type receipt struct {
	outcome
	Against *outcome `json:"against,omitempty"`
	Changes []string `json:"changes,omitempty"` // of the policy, from --against to --policy
	Trace   about    `json:"trace"`
	Edges   edges    `json:"edges"`
}

type outcome struct {
	Policy string `json:"policy"`
	simulate.Score
}

type about struct {
	Name    string    `json:"name"`
	Start   time.Time `json:"start"`
	Seconds int       `json:"seconds"`
	Silent  int       `json:"silent_seconds"`
	PeakRPS float64   `json:"peak_rps"`
}

type edges struct {
	CapacityRPS float64 `json:"capacity_rps"`
	PodStart    float64 `json:"pod_start_seconds"`
	SignalLag   float64 `json:"signal_lag_seconds"`
}

func newReceipt(trace simulate.Trace, runs []*replay) receipt {
	last := runs[len(runs)-1]
	r := receipt{
		outcome: outcome{last.title, last.score},
		Trace:   about{Name: trace.Name, Start: trace.Start, Seconds: len(trace.Seconds), PeakRPS: trace.Peak()},
		Edges:   edges{last.options.Capacity, last.options.PodStart.Seconds(), last.options.SignalLag.Seconds()},
	}
	for _, s := range trace.Seconds {
		if s.Silent {
			r.Trace.Silent++
		}
	}
	if len(runs) > 1 {
		r.Against = &outcome{runs[0].title, runs[0].score}
		for _, c := range policy.Diff(runs[0].policy, last.policy) {
			r.Changes = append(r.Changes, c.String())
		}
	}
	return r
}

// shortly is a duration without its zeros.
func shortly(d time.Duration) string {
	if days := d.Hours() / 24; days >= 2 {
		return strings.TrimSuffix(fmt.Sprintf("%.1f", math.Round(10*days)/10), ".0") + " days"
	}
	return policy.FormatDuration(d)
}
