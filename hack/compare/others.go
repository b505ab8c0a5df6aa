package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/surgewall/surgewall/controllers/simulate"
)

// other is a trace of the same kind as one that was tuned on: what holds for one
// noise, one cut and one size has to hold for the next.
type other struct {
	title, file, from, to string
	scale                 float64 // of its counts
	seed                  uint64
	capacity              float64
	weeks                 bool // judged by writes, reversals and pod-hours beside those of HPA and KPA
}

const (
	flashFile = "worldcup98/1998-05-12-flash.csv"
	weeksFile = "worldcup98/1998-06-22-to-07-05.csv"
)

func otherTraces() (all []other) {
	flash := other{file: flashFile, from: "1998-05-12 05:30:00", to: "1998-05-12 08:00:00", scale: 1, capacity: 10}
	for seed := uint64(1); seed <= 10; seed++ {
		o := flash
		o.title, o.seed = fmt.Sprintf("12 May, noise %d", seed), seed
		all = append(all, o)
	}
	for _, scale := range []float64{0.5, 2, 5} {
		o := flash
		o.title, o.scale, o.seed = fmt.Sprintf("12 May × %g", scale), scale, 11
		all = append(all, o)
	}
	for i, cut := range [][2]string{{"05:00:00", "08:30:00"}, {"06:00:00", "08:00:00"}, {"06:20:00", "07:20:00"}} {
		o := flash
		o.title, o.from, o.to, o.seed = "12 May, "+cut[0][:5]+" to "+cut[1][:5], "1998-05-12 "+cut[0], "1998-05-12 "+cut[1], uint64(12+i)
		all = append(all, o)
	}
	weeks := other{file: weeksFile, scale: 1, capacity: 40, weeks: true}
	for i, cut := range [][2]string{{"1998-06-22", "1998-06-29"}, {"1998-06-25", "1998-07-02"}, {"1998-06-29", "1998-07-06"}} {
		o := weeks
		o.title, o.from, o.to, o.seed = cut[0]+" to "+cut[1], cut[0]+" 00:00:00", cut[1]+" 00:00:00", uint64(2+i)
		all = append(all, o)
	}
	for i, scale := range []float64{0.5, 2, 5} {
		o := weeks
		o.title, o.scale, o.from, o.to, o.seed = fmt.Sprintf("22 to 29 June × %g", scale), scale, "1998-06-22 00:00:00", "1998-06-29 00:00:00", uint64(5+i)
		all = append(all, o)
	}
	return append(all,
		other{title: "NAB, a load balancer (ELB), × 300", file: "nab/elb_request_count_8c0756.csv", scale: 300, seed: 1, capacity: 10, weeks: true},
		other{title: "NAB, mentions of AMZN, × 300", file: "nab/Twitter_volume_AMZN.csv", scale: 300, seed: 1, capacity: 10, weeks: true},
	)
}

// others plays HPA, Knative and our default on every other trace.
func (c *comparison) others(t *testing.T, w io.Writer, data string) error {
	only := c.only
	defer func() { c.only = only }()
	c.only = []string{"hpa", "kpa", "balanced"}
	wrote := false
	for _, o := range otherTraces() {
		trace, err := scaled(filepath.Join(data, o.file), o)
		if data == "" || os.IsNotExist(err) {
			fmt.Fprintf(os.Stderr, "compare: LEFT OUT %q: no %s\n", o.title, o.file)
			continue
		}
		if err != nil {
			return err
		}
		c.trace = trace
		c.options.Capacity, c.options.Target = o.capacity, 0
		rows, err := c.run(t)
		if err != nil {
			return err
		}
		if !wrote {
			fmt.Fprint(w, "\n## Other traces of the same kinds\n\nOther noise, other cuts, other sizes: `hpa` / `kpa` / `balanced` in each cell. The last column says whether `balanced` keeps the bound of its kind:\n"+
				"for the flash at most 0.10 % overloaded, and at its own size and length at most 25 pod-hours; for weeks no more writes than `hpa`, at most 12.5 reversals a day, and at most 3 % more\n"+
				"pod-hours than `kpa`.\n\n| trace | overload % | pod-hours | writes | reversals a day | bound |\n|---|---:|---:|---:|---:|---|\n")
			wrote = true
		}
		hpa, kpa, ours := rows[0].Score, rows[1].Score, rows[2].Score
		fmt.Fprintf(w, "| %s | %.4f / %.4f / %.4f | %.0f / %.0f / %.0f | %d / %d / %d | %.1f / %.1f / %.1f | %s |\n", o.title,
			100*hpa.OverloadRatio, 100*kpa.OverloadRatio, 100*ours.OverloadRatio, hpa.PodHours, kpa.PodHours, ours.PodHours,
			hpa.Writes, kpa.Writes, ours.Writes, perDay(hpa), perDay(kpa), perDay(ours), o.verdict(hpa, kpa, ours))
	}
	return nil
}

func perDay(s simulate.Score) float64 { return float64(s.Reversals) / s.Days }

func (o other) verdict(hpa, kpa, ours simulate.Score) string {
	type bound struct {
		name      string
		got, most float64
	}
	bounds := []bound{{"overload", 100 * ours.OverloadRatio, 0.10}}
	switch {
	case o.weeks:
		bounds = []bound{{"writes", float64(ours.Writes), float64(hpa.Writes)}, {"reversals", perDay(ours), 12.5}, {"pod-hours", ours.PodHours, 1.03 * kpa.PodHours}}
	case o.scale == 1 && o.from == "1998-05-12 05:30:00":
		bounds = append(bounds, bound{"pod-hours", ours.PodHours, 25})
	}
	var missed string
	for _, b := range bounds {
		if b.got > b.most {
			missed += fmt.Sprintf("%s %.3g > %.3g; ", b.name, b.got, b.most)
		}
	}
	if missed == "" {
		return "kept"
	}
	return "**missed**: " + missed[:len(missed)-2]
}

// scaled reads a trace of counts and multiplies them, before noise is added.
func scaled(file string, o other) (simulate.Trace, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return simulate.Trace{}, err
	}
	records, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		return simulate.Trace{}, fmt.Errorf("%s: %w", file, err)
	}
	var out bytes.Buffer
	for i, r := range records {
		if i == 0 {
			out.WriteString("time,count\n")
			continue
		}
		if (o.from != "" && r[0] < o.from) || (o.to != "" && r[0] >= o.to) {
			continue
		}
		v, err := strconv.ParseFloat(r[1], 64)
		if err != nil {
			return simulate.Trace{}, fmt.Errorf("%s: line %d: %w", file, i+1, err)
		}
		fmt.Fprintf(&out, "%s,%g\n", r[0], math.Round(v*o.scale))
	}
	t, err := simulate.Parse(&out, o.seed)
	if err != nil {
		return t, fmt.Errorf("%s: %w", file, err)
	}
	t.Name = o.title
	if len(t.Seconds) < int(time.Hour/time.Second) {
		return t, fmt.Errorf("%s: less than an hour between %q and %q", file, o.from, o.to)
	}
	return t, nil
}
