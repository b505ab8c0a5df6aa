package main

import (
	_ "embed"
	"fmt"
	"html/template"
	"os"
	"strings"
	"time"
)

//go:embed page.html.tmpl
var pageText string

// page is what the template gets: one plot of the load and one of the edges, as paths in the units of their view boxes.
type page struct {
	Receipt  receipt
	Outcomes []outcome
	Length   string
	Peak     string // path of the busiest second of each step
	Mean     string
	Lines    []line
	Times    []mark
	Rates    []mark
}

type line struct {
	Title, Class    string
	Ready, Overload string
}

// mark is a label at a place of an axis.
type mark struct {
	At    float64
	Label string
}

// The view box of the plot.
const (
	plotWidth  = 1200.0
	plotHeight = 360.0
)

// writePage writes the plot as one file of HTML and SVG.
func writePage(path string, r receipt, runs []*replay) error {
	text, err := renderPage(r, runs)
	if err != nil {
		return fmt.Errorf("--html: %w", err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // a report is for others to read
		return fmt.Errorf("--html: %w", err)
	}
	return nil
}

func renderPage(r receipt, runs []*replay) (string, error) {
	t, err := template.New("page").Funcs(template.FuncMap{
		"percent": percent, "points": points, "relative": relative, "minus": func(a, b int) string { return fmt.Sprintf("%+d", b-a) },
		"million": func(x float64) string { return fmt.Sprintf("%.4g", x/1e6) },
		"stamp":   func(t time.Time) string { return t.UTC().Format(time.DateTime) },
	}).Parse(pageText)
	if err != nil {
		return "", err
	}
	capacity, most := r.Edges.CapacityRPS, 0.0
	for _, run := range runs {
		for _, b := range run.bins {
			most = max(most, b.peak, float64(b.most)*capacity)
		}
	}
	most = max(most, capacity) * 1.05
	y := func(rps float64) float64 { return plotHeight * (1 - rps/most) }
	bins := runs[0].bins
	x := func(i int) float64 { return plotWidth * float64(i) / float64(len(bins)) }

	p := page{Receipt: r, Outcomes: r.outcomes(), Length: shortly(time.Duration(r.Trace.Seconds) * time.Second)}
	p.Peak = area(bins, x, func(b bin) float64 { return y(b.peak) }, plotHeight)
	p.Mean = area(bins, x, func(b bin) float64 { return y(b.mean) }, plotHeight)
	for i, run := range runs {
		l := line{Title: run.title, Class: "after"}
		if i < len(runs)-1 {
			l.Class = "before"
		}
		l.Ready = steps(run.bins, x, func(b bin) float64 { return y(float64(b.most) * capacity) })
		l.Overload = bars(run.bins, x, func(b bin) (float64, float64, bool) {
			return y(b.peak), y(float64(b.ready) * capacity), b.overload > 0
		})
		p.Lines = append(p.Lines, l)
	}
	for i := range 6 {
		at := bins[i*(len(bins)-1)/5].at
		layout := "15:04:05"
		if r.Trace.Seconds > 24*60*60 {
			layout = "2 Jan 15:04"
		}
		p.Times = append(p.Times, mark{x(i * (len(bins) - 1) / 5), at.UTC().Format(layout)})
		rps := most * float64(i) / 5
		p.Rates = append(p.Rates, mark{y(rps), fmt.Sprintf("%.0f rps · %.0f edges", rps, rps/capacity)})
	}
	var out strings.Builder
	err = t.Execute(&out, p)
	return out.String(), err
}

func steps(bins []bin, x func(int) float64, y func(bin) float64) string {
	var b strings.Builder
	for i := range bins {
		command := "L"
		if i == 0 {
			command = "M"
		}
		fmt.Fprintf(&b, "%s%.1f %.1fH%.1f", command, x(i), y(bins[i]), x(i+1))
	}
	return b.String()
}

func area(bins []bin, x func(int) float64, y func(bin) float64, bottom float64) string {
	return fmt.Sprintf("%sV%.1fH0Z", steps(bins, x, y), bottom)
}

// bars are rectangles where there is something to show.
func bars(bins []bin, x func(int) float64, y func(bin) (top, bottom float64, show bool)) string {
	var b strings.Builder
	for i := range bins {
		if top, bottom, show := y(bins[i]); show {
			// A width of one at least: a second of overload in two weeks is what somebody looks for.
			fmt.Fprintf(&b, "M%.1f %.1fH%.1fV%.1fH%.1fZ", x(i), top, max(x(i+1), x(i)+1), max(bottom, top+2), x(i))
		}
	}
	return b.String()
}
