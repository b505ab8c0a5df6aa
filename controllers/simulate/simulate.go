// Package simulate plays an autoscaler against a trace of requests, in virtual
// time, and scores what came of it.
//
// The package is pure: a day passes in as long as its decisions take to
// compute, and the same trace, options and scaler always give the same score.
// Production is the scaler that the controller runs; hack/compare puts the
// controllers of other projects in the same place.
//
// What the plant leaves out makes every scaler look better than life: pods
// always find a node, all start equally fast, and requests spread evenly over
// them. Compare scores of one trace with each other, not with a cluster.
package simulate

import (
	"fmt"
	"math"
	"time"
)

// A Scaler says how many replicas there should be: once a second, or several
// times where it hears reports. It is asked in the order of time and by one
// goroutine.
type Scaler interface {
	Tick(now time.Time, o Observation) (replicas int)
}

// Observation is what a scaler can know at one instant.
type Observation struct {
	// Offered is the load in requests per second: the latest second whose
	// report has arrived, or the mean of the latest scrape.
	Offered float64

	// Window is the seconds that Offered was counted over; 0 is one.
	Window float64

	// Distinct is the part of Offered that missed for keys of its own, 0 to 1.
	Distinct float64

	// Fresh is false when no report has arrived for that second: Offered is
	// then 0, and means nothing.
	Fresh bool

	Replicas int // asked for, starting pods included
	Ready    int // serving

	// PodStart is how long the pods that started last took to be ready; 0 until
	// one was seen to start.
	PodStart time.Duration

	rising bool    // reports that come now will change it
	ended  float64 // of whole windows, where Offered is of their ends; 0: as Offered
}

// Options describe the fleet that the scaler scales.
type Options struct {
	// Capacity is the requests per second that one pod serves within its
	// objective. What is offered above it counts as overload. Required, above 0.
	Capacity float64

	// Target is the requests per second per pod that scalers aim at: the need
	// after an onset is its rate divided by this. 0 is 70 % of Capacity.
	Target float64

	// Min and Max bound the replicas, whatever the scaler says. 0 is 1 and
	// 100,000.
	Min, Max int

	// Initial is how many pods run, ready, at the start. 0 is what the first
	// second needs at the target.
	Initial int

	// PodStart is the time from the write to a ready pod.
	PodStart time.Duration

	// SignalLag is how far back the second lies that the scaler sees, in whole
	// seconds: 1 s is the second that has just ended, the quickest that reports
	// of 1 s can be; 0 is the second that is about to begin, which only a bound
	// may see.
	SignalLag time.Duration

	// Scrape is the period at which the signal is sampled and held, as by a
	// metrics system that is asked at intervals: the value is the mean over the
	// last whole period. 0 or 1 s is every second.
	Scrape time.Duration

	// Reports lets the scaler hear what the controller hears, when it hears it:
	// edges that report the second before them, each at a phase of its own, and
	// also the end of it while the load rises. The scaler is asked four times a
	// second, and on each arrival while the load rises. With a SignalLag of more
	// than a second, they come by the rest of it later; Scrape does not count.
	Reports bool

	// Record, when set, is called once for each second of the trace, in order.
	Record func(Sample)
}

// Sample is one second of a run.
type Sample struct {
	At       time.Time // its start, when the scaler was asked
	Requests float64
	Overload float64 // requests above the capacity of the ready pods
	Ready    int     // pods that served it; the mean, where they changed within it
	Replicas int     // asked for, starting pods included
}

func (o Options) withDefaults(first float64) (Options, error) {
	if !(o.Capacity > 0) || math.IsInf(o.Capacity, 0) {
		return o, fmt.Errorf("capacity: %g is not above 0 requests per second", o.Capacity)
	}
	if o.Target == 0 {
		o.Target = 0.7 * o.Capacity
	}
	if !(o.Target > 0) || math.IsInf(o.Target, 0) {
		return o, fmt.Errorf("target: %g is not above 0 requests per second", o.Target)
	}
	if o.Min == 0 {
		o.Min = 1
	}
	if o.Max == 0 {
		o.Max = 100_000
	}
	if o.Min < 1 || o.Max < o.Min {
		return o, fmt.Errorf("min and max: %d and %d are not 1 ≤ min ≤ max", o.Min, o.Max)
	}
	for name, d := range map[string]time.Duration{"pod start": o.PodStart, "signal lag": o.SignalLag, "scrape": o.Scrape} {
		if d < 0 || d > time.Hour || d%time.Second != 0 {
			return o, fmt.Errorf("%s: %s is not a whole number of seconds from 0s to 1h", name, d)
		}
	}
	if o.Initial == 0 {
		o.Initial = int(math.Ceil(first / o.Target))
	}
	if o.Initial < 0 {
		return o, fmt.Errorf("initial: %d is not a number of replicas", o.Initial)
	}
	o.Initial = min(max(o.Initial, o.Min), o.Max)
	return o, nil
}

// Run plays the whole trace and returns its score. It fails only on options that
// describe no fleet.
func Run(t Trace, o Options, s Scaler) (Score, error) {
	var first float64
	if len(t.Seconds) > 0 {
		first = t.Seconds[0].Requests
	}
	o, err := o.withDefaults(first)
	if err != nil {
		return Score{}, fmt.Errorf("simulating %q: %w", t.Name, err)
	}
	pods, score, heard := newPods(o.Initial, o.PodStart), newScorer(t, o), newReports(t)
	ask := func(part int, seen Observation) {
		now := t.Start.Add(time.Duration(part) * time.Second / parts)
		seen.Replicas, seen.Ready, seen.PodStart = pods.replicas(), pods.ready, pods.seen
		want := min(max(s.Tick(now, seen), o.Min), o.Max)
		if from := pods.replicas(); want != from {
			pods.scale(want, part)
			score.write(from, want, float64(part)/parts, seen.Fresh)
			pods.advance(part)
		}
	}
	late := parts * max(0, int(o.SignalLag/time.Second)-1)
	for i, second := range t.Seconds {
		ready, replicas := 0.0, 0.0
		for part := i * parts; part < (i+1)*parts; part++ {
			pods.advance(part)
			switch {
			case o.Reports:
				heard.advance(part - late)
				if seen := heard.observation(); part%(parts/asked) == 0 || seen.rising {
					ask(part, seen)
				}
			case part%parts == 0:
				ask(part, observe(t, o, i))
			}
			ready += float64(pods.ready) / parts
			replicas += float64(pods.replicas()) / parts
			score.part(part, pods.replicas())
		}
		overload := max(0, second.Requests-ready*o.Capacity)
		score.second(second, ready, replicas, overload)
		if o.Record != nil {
			o.Record(Sample{At: t.Start.Add(time.Duration(i) * time.Second), Requests: second.Requests, Overload: overload, Ready: int(ready), Replicas: pods.replicas()})
		}
	}
	return score.result(), nil
}

// asked is how often a second a scaler that hears reports is asked while the load
// does not rise.
const asked = 4

// observe is the signal at the start of this second.
func observe(t Trace, o Options, second int) Observation {
	last := second - int(o.SignalLag/time.Second) + 1 // seconds that have been reported
	period := max(1, int(o.Scrape/time.Second))
	last -= last % period
	if last < period {
		return Observation{}
	}
	sum, scan := 0.0, 0.0
	for _, s := range t.Seconds[last-period : last] {
		if s.Silent {
			return Observation{}
		}
		sum += s.Requests
		scan += s.Requests * s.Scan
	}
	return Observation{Offered: sum / float64(period), Distinct: scan / max(sum, 1), Fresh: true}
}
