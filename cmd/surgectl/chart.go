package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/surgewall/surgewall/controllers/simulate"
)

// terminalWidth is 0 for what is no terminal.
func terminalWidth(f *os.File) int {
	if f == nil || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 40 {
		return 80
	}
	return width
}

// print writes the table and one chart for each policy, all to one scale.
func (s *simulation) print(w io.Writer, r receipt, runs []*replay) error {
	fmt.Fprintf(w, "%s: %s from %s, %.4g million requests, peak %.0f rps", r.Trace.Name, shortly(time.Duration(r.Trace.Seconds)*time.Second),
		r.Trace.Start.UTC().Format(time.DateTime), r.Requests/1e6, r.Trace.PeakRPS)
	if r.Trace.Silent > 0 {
		fmt.Fprintf(w, "; %s without reports", shortly(time.Duration(r.Trace.Silent)*time.Second))
	}
	fmt.Fprintf(w, "\nedges: %.4g rps each, ready %gs after the write, load known %gs late\n\n", r.Edges.CapacityRPS, r.Edges.PodStart, r.Edges.SignalLag)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "POLICY\tOVERLOADED\tPOD-HOURS\tWRITES\tREVERSALS\tMOST EDGES\tMISSING\tSURPLUS")
	for _, o := range r.outcomes() {
		fmt.Fprintf(tw, "%s\t%s\t%.1f\t%d\t%d\t%d\t%s\t%s\n", o.Policy, percent(o.OverloadRatio), o.PodHours, o.Writes, o.Reversals, o.MaxReplicas, percent(o.Under), percent(o.Over))
	}
	if r.Against != nil {
		a, b := r.Against.Score, r.Score
		fmt.Fprintf(tw, "change\t%s\t%s\t%+d\t%+d\t%+d\t%s\t%s\n", points(a.OverloadRatio, b.OverloadRatio), relative(a.PodHours, b.PodHours),
			b.Writes-a.Writes, b.Reversals-a.Reversals, b.MaxReplicas-a.MaxReplicas, points(a.Under, b.Under), points(a.Over, b.Over))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if r.Against != nil && len(r.Changes) == 0 {
		fmt.Fprintln(w, "\nThe two policies are the same.")
	} else if len(r.Changes) > 0 {
		fmt.Fprintf(w, "\nedited: %s\n", strings.Join(r.Changes, ", "))
	}
	c := newChart(s.width, s.colour, runs)
	for _, run := range runs {
		fmt.Fprintln(w)
		c.draw(w, run)
	}
	c.legend(w)
	if s.html != "" {
		fmt.Fprintf(w, "\nplot: %s\n", s.html)
	}
	return nil
}

func (r receipt) outcomes() []outcome {
	if r.Against == nil {
		return []outcome{r.outcome}
	}
	return []outcome{*r.Against, r.outcome}
}

// percent keeps four digits behind the point where a thousandth is what matters.
func percent(x float64) string {
	switch {
	case x == 0:
		return "0%"
	case x < 0.01:
		return fmt.Sprintf("%.4f%%", 100*x)
	case x < 0.1:
		return fmt.Sprintf("%.2f%%", 100*x)
	}
	return fmt.Sprintf("%.0f%%", 100*x)
}

func points(from, to float64) string {
	if d := to - from; d < 0 {
		return "-" + percent(-d)
	}
	return "+" + percent(to-from)
}

func relative(from, to float64) string {
	if from == 0 {
		return "-"
	}
	return fmt.Sprintf("%+.1f%%", 100*(to/from-1))
}

// chart draws the load in edges, and the ready edges over it.
type chart struct {
	width, height int
	most          float64 // edges at the top
	colour        bool
}

// blank is the width of the scale.
const blank = 8

func newChart(width int, colour bool, runs []*replay) chart {
	if width == 0 {
		width = 100
	}
	c := chart{width: min(width, 160) - blank - 1, height: 10, colour: colour}
	for _, r := range runs {
		for _, b := range r.bins {
			c.most = max(c.most, b.peak/r.options.Capacity, float64(b.most))
		}
	}
	c.most = max(c.most, 1)
	return c
}

var eighths = []rune(" ▁▂▃▄▅▆▇█")

func (c chart) draw(w io.Writer, r *replay) {
	bins := coarser(r.bins, c.width)
	fmt.Fprintf(w, "%s\n", r.title)
	for row := c.height - 1; row >= 0; row-- {
		low, high := c.most*float64(row)/float64(c.height), c.most*float64(row+1)/float64(c.height)
		fmt.Fprintf(w, "%*.*f ", blank-1, decimals(c.most), high)
		var line strings.Builder
		for _, b := range bins {
			c.cell(&line, b, r.options, low, high)
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
	first, last := bins[0].at, bins[len(bins)-1].at
	layout := "15:04:05"
	if last.Sub(first) > 24*time.Hour {
		layout = "2006-01-02 15:04"
	}
	from, to := first.UTC().Format(layout), last.UTC().Format(layout)
	fmt.Fprintf(w, "%*s%s%*s\n", blank, "", from, max(len(bins)-len(from), len(to)+1), to)
}

// cell draws one row of one bin: the load from below, what of it nobody serves in another shade, and the line of the ready edges.
func (c chart) cell(line *strings.Builder, b bin, o simulate.Options, low, high float64) {
	const red, green, reset = "\x1b[31m", "\x1b[32m", "\x1b[0m"
	paint := func(colour string, r rune) {
		if c.colour {
			line.WriteString(colour + string(r) + reset)
			return
		}
		line.WriteRune(r)
	}
	load, most := b.peak/o.Capacity, float64(b.most)
	switch {
	case b.overload > 0 && load > low && high > float64(b.ready):
		paint(red, '▓')
	case most > low && most <= high && load <= low:
		paint(green, '─')
	case load > low:
		part := min((load-low)/(high-low), 1)
		line.WriteRune(eighths[max(1, int(part*8+0.5))])
	default:
		line.WriteRune(' ')
	}
}

func (c chart) legend(w io.Writer) {
	fmt.Fprintf(w, "\n%*s█ busiest second of the column, in edges that serve it   ─ ready edges   ▓ overloaded\n", blank, "")
}

func decimals(most float64) int {
	if most < 10 {
		return 1
	}
	return 0
}
