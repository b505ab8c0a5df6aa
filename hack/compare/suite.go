package main

import (
	_ "embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/surgewall/surgewall/controllers/simulate"
)

// The fleet of the synthetic traces: 20 edges at a target of 100 requests per
// second each, before anything happens.
const (
	suiteTarget   = 100
	suiteCapacity = suiteTarget / 0.7
	suiteBase     = 2000
)

var (
	suiteFactors = []float64{1.3, 1.5, 2, 3, 5, 10, 48}
	suiteStarts  = []time.Duration{3 * time.Second, 10 * time.Second, 30 * time.Second}
	// Onsets differ, because a controller with a beat of 15 s is quick or slow by
	// luck.
	suitePhases = []time.Duration{0, 3 * time.Second, 6 * time.Second, 9 * time.Second, 12 * time.Second}
)

// suite writes the comparison over all kinds of traces as one Markdown document.
func (c *comparison) suite(t *testing.T, w io.Writer, data string) error {
	c.options.Capacity, c.options.Target = suiteCapacity, suiteTarget
	fmt.Fprintf(w, "# Autoscalers side by side\n\nWritten by `hack/compare/run --suite --data DIR`, seed %d. Every scaler aims at 70 %% of what a pod can serve and sees a signal that is %s old.\n"+
		"Overload is the share of requests above the capacity of the ready pods; θU and θO are the missing and the surplus pods as a fraction of the least\n"+
		"that would do. Virtual time, pods that always find a node, and perfect balancing flatter everybody alike.\n\n", c.seed, c.options.SignalLag)
	for _, s := range scalers {
		if c.plays(s.name) {
			fmt.Fprintf(w, "- `%s`: %s\n", s.name, s.what)
		}
	}
	fmt.Fprintln(w)
	if err := c.steps(t, w); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n## Other shapes\n\nPod start %s.\n", c.options.PodStart)
	for _, s := range []struct {
		title string
		trace simulate.Trace
	}{
		{"Square wave, 2,000 to 6,000 rps, 5 minutes each, for 4 hours", simulate.Square(suiteBase, 3, 10*time.Minute, 4*time.Hour, 1)},
		{"Square wave, 2,000 to 6,000 rps, 6 minutes each (the hold), for 4 hours", simulate.Square(suiteBase, 3, 12*time.Minute, 4*time.Hour, 1)},
		{"Ramp ×3 in 15 minutes", simulate.Ramp(suiteBase, 3, 10*time.Minute, 15*time.Minute, 30*time.Minute, 1)},
		{"Ramp ×10 in 2 minutes", simulate.Ramp(suiteBase, 10, 10*time.Minute, 2*time.Minute, 30*time.Minute, 1)},
		{"Burst ×5 for 2 minutes", simulate.Burst(suiteBase, 5, 10*time.Minute, 2*time.Minute, 30*time.Minute, 1)},
		{"Scan: 6,000 rps for ever new keys beside 2,000 rps, for 10 minutes", simulate.Crawl(suiteBase, 4, 10*time.Minute, 10*time.Minute, 20*time.Minute, 1)},
		{"Exodus, 10,000 rps of which 5 % stay, in one minute", simulate.Exodus(10_000, 0.05, 10*time.Minute, time.Minute, 40*time.Minute, 1)},
		{"Day, 500 to 10,000 rps, with 29 minutes of silence while load falls", simulate.Day(500, 10_000, 24*time.Hour, 24*time.Hour, 1).Silence(17*time.Hour, 29*time.Minute)},
		{"Steady 2,000 rps for a week", simulate.Synthetic("steady", 7*24*time.Hour, 1, func(time.Duration) float64 { return suiteBase })},
	} {
		if err := c.table(t, w, s.title, s.trace); err != nil {
			return err
		}
	}
	if err := c.recorded(t, w, data); err != nil {
		return err
	}
	if err := c.others(t, w, data); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s", notes)
	return err
}

// notes says by hand what the tables mean.
//
//go:embed notes.md
var notes string

// recorded plays the World Cup of 1998 where its files are.
func (c *comparison) recorded(t *testing.T, w io.Writer, data string) error {
	for _, r := range []struct {
		title, file, from, to string
		capacity              float64
	}{
		{"World Cup 98, 12 May 05:30 to 08:00, capacity 10", "1998-05-12-flash.csv", "1998-05-12 05:30:00", "1998-05-12 08:00:00", 10},
		{"World Cup 98, 22 June to 5 July, capacity 40", "1998-06-22-to-07-05.csv", "", "", 40},
	} {
		file := filepath.Join(data, "worldcup98", r.file)
		if _, err := os.Stat(file); data == "" || err != nil {
			fmt.Fprintf(os.Stderr, "compare: LEFT OUT %q: no %s; --data names the directory that has worldcup98/\n", r.title, r.file)
			continue
		}
		trace, err := load(file, r.from, r.to, c.seed)
		if err != nil {
			return err
		}
		c.options.Capacity, c.options.Target = r.capacity, 0
		if err := c.table(t, w, r.title, trace); err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) table(t *testing.T, w io.Writer, title string, trace simulate.Trace) error {
	c.trace = trace
	rows, err := c.run(t)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\n### %s\n\n| scaler | θU %% | θO %% | overload %% | pod-hours | writes | reversals | most | first write s | 90 %% of need s | silent scale-ins |\n"+
		"|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n", title)
	for _, r := range rows {
		fmt.Fprintf(w, "| %s | %.3f | %.1f | %.4f | %.1f | %d | %d | %d | %s | %s | %d |\n", r.Scaler, 100*r.Under, 100*r.Over, 100*r.OverloadRatio,
			r.PodHours, r.Writes, r.Reversals, r.MaxReplicas, seconds(r.FirstWrite), seconds(r.NeedWrite), r.SilentScaleIns)
	}
	return nil
}

// steps writes one table: factors and pod starts down, scalers across.
func (c *comparison) steps(t *testing.T, w io.Writer) error {
	fmt.Fprintf(w, "## Steps from %d rps\n\nSeconds to the write of 90 %% of the need (mean over %d onsets; > when a run never wrote it within 20 minutes) / overloaded requests in %% of the 30 minutes.\n\n| k | pod start |",
		suiteBase, len(suitePhases))
	rule := "\n|---|---|"
	for _, s := range scalers {
		if c.plays(s.name) {
			fmt.Fprintf(w, " %s |", s.name)
			rule += "---:|"
		}
	}
	fmt.Fprintln(w, rule)
	start := c.options.PodStart
	defer func() { c.options.PodStart = start }()
	for _, k := range suiteFactors {
		for _, c.options.PodStart = range suiteStarts {
			cells := map[string]*struct{ need, overload, runs float64 }{}
			for i, phase := range suitePhases {
				c.trace = simulate.Step(suiteBase, k, 10*time.Minute+phase, 20*time.Minute, c.seed+uint64(i))
				rows, err := c.run(t)
				if err != nil {
					return err
				}
				for _, r := range rows {
					cell := cells[r.Scaler]
					if cell == nil {
						cell = &struct{ need, overload, runs float64 }{}
						cells[r.Scaler] = cell
					}
					cell.overload += r.OverloadRatio
					if r.NeedWrite != nil {
						cell.need += *r.NeedWrite
						cell.runs++
					}
				}
			}
			fmt.Fprintf(w, "| %g | %s |", k, c.options.PodStart)
			n := float64(len(suitePhases))
			for _, s := range scalers {
				cell, ok := cells[s.name]
				if !ok {
					continue
				}
				need := ">"
				if cell.runs == n {
					need = fmt.Sprintf("%.1f", cell.need/n)
				}
				fmt.Fprintf(w, " %s / %.3f |", need, 100*cell.overload/n)
			}
			fmt.Fprintln(w)
		}
	}
	return nil
}
