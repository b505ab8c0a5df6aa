// Command onset measures how long the autoscaler takes from the moment at which
// the load of a fleet steps up to the first accepted scale write that reaches 90 %
// of what the new load needs.
//
// Everything on the way is real: the reporter of the edge, AMQP connections, a
// RabbitMQ, the controller as a process of its own, an API server. Only the
// requests are made up: they arrive as a Poisson process, counted by the edge's
// own meter. The write is taken from a watch, so what the watch takes is counted
// too. The figures are those of the machine that it runs on; nothing fails but a
// write that never comes.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/hack/bench/rig"
)

type options struct {
	factors  []float64
	runs     int
	edges    int
	rps      float64 // of the fleet before the step
	fleets   int     // at the same time
	baseline time.Duration
	apart    time.Duration // between two steps
	wait     time.Duration // for the write
	preset   string
	output   string
	log      string
	virtual  bool
	moving   bool
	seed     uint64 // of what happens in virtual time
}

func main() {
	o := options{factors: []float64{1.3, 2, 5, 48}}
	f := flag.NewFlagSet("onset", flag.ExitOnError)
	f.Func("k", "comma separated factors of the step (default 1.3,2,5,48)", func(s string) error {
		o.factors = nil
		for part := range strings.SplitSeq(s, ",") {
			k, err := strconv.ParseFloat(part, 64)
			if err != nil || k <= 1 || k > 1000 {
				return fmt.Errorf("%q is not a factor above 1, up to 1000", part)
			}
			o.factors = append(o.factors, k)
		}
		return nil
	})
	f.IntVar(&o.runs, "runs", 30, "repetitions per factor")
	f.IntVar(&o.edges, "edges", 20, "edges of a fleet, each with a connection of its own")
	f.Float64Var(&o.rps, "rps", 2000, "requests per second of a fleet before the step")
	f.IntVar(&o.fleets, "fleets", 30, "fleets at the same time; more are quicker in all, and busier")
	f.DurationVar(&o.baseline, "baseline", 75*time.Second, "time before the first step, from which the controller knows the load")
	f.DurationVar(&o.apart, "apart", time.Second, "time between the steps of two fleets, on average")
	f.DurationVar(&o.wait, "wait", 20*time.Second, "time after which a write counts as missing")
	f.StringVar(&o.preset, "preset", "balanced", "preset of the policy")
	f.StringVar(&o.output, "o", "table", "output: table or json")
	f.StringVar(&o.log, "log", "", "`file` for the controller's log")
	f.BoolVar(&o.virtual, "virtual", false, "play the runs in virtual time, with the edges and the controller alone: no broker, no API server, no busy machine")
	f.BoolVar(&o.moving, "moves", false, "play loads in virtual time that stay the same and move between edges, and count what they make the decisions recommend")
	f.Uint64Var(&o.seed, "seed", 1, "seed of what happens in virtual time")
	_ = f.Parse(os.Args[1:])
	if o.runs < 1 || o.edges < 1 || o.fleets < 1 || !(o.rps > 0) || f.NArg() > 0 || (o.output != "table" && o.output != "json") {
		fmt.Fprintln(os.Stderr, "onset: runs, edges, fleets and rps must be above 0, -o table or json; see --help")
		os.Exit(2)
	}
	rig.Main("onset", o.measure)
}

// result is one run.
type result struct {
	K        float64 `json:"k"`
	Before   int     `json:"replicas_before"`
	Need     int     `json:"need"`
	First    float64 `json:"first_write_seconds"` // negative: it never came
	Reached  float64 `json:"reached_seconds"`     // the same
	Replicas int     `json:"replicas"`            // at the end of the wait
	Early    int     `json:"writes_before"`       // during the baseline, which has no reason for any
}

// covered says that enough edges were asked for before the step: there was no
// write to wait for.
func (r result) covered() bool { return float64(r.Before) >= 0.9*float64(r.Need) }

func (r result) missing() bool { return r.Reached < 0 && !r.covered() }

func (o options) measure(t *testing.T, out io.Writer) error {
	if o.moving {
		return o.moves(t, out)
	}
	if o.virtual {
		return o.report(out, o.virtualRuns(t))
	}
	r, err := rig.New(t)
	if err != nil {
		return err
	}
	c, err := r.Controller(o.log, nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var results []result
	for first := 0; first < o.runs*len(o.factors); first += o.fleets {
		batch, err := o.batch(ctx, r, c, first)
		if err != nil {
			return err
		}
		results = append(results, batch...)
		fmt.Fprintf(os.Stderr, "onset: %d of %d runs\n", len(results), o.runs*len(o.factors))
	}
	return o.report(out, results)
}

// report prints the results, and fails on a write that never came.
func (o options) report(out io.Writer, results []result) (err error) {
	if o.output == "json" {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(results)
	} else {
		err = o.print(out, results)
	}
	for _, x := range results {
		if err == nil && x.missing() {
			err = fmt.Errorf("a step of %g never led to 90 %% of the %d edges that it needs: %d after %s", x.K, x.Need, x.Replicas, o.wait)
		}
	}
	return err
}
