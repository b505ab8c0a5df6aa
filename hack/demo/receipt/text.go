package receipt

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/surgewall/surgewall/hack/loadgen/load"
)

// Write prints the receipt for people.
func (r *Receipt) Write(w io.Writer) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-30s %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintln(w, "\nReceipt")
	line("requests", "%d, %d failed, %d resent on a new connection", r.Load.Completed, r.Load.Failed, r.Load.Resent)
	line("peak", "%.0f requests/s", r.peak())
	line("answered from the edge", "%.1f %%", 100*r.Load.Hits)
	line("latency p50, p99, p99.9", "%v, %v, %v (from the intended send time)", r.Load.P50, r.Load.P99, r.Load.P999)
	perFetch := "no origin fetch"
	if r.Origin.Fetches > 0 {
		perFetch = fmt.Sprintf("%.0f", float64(r.Load.Completed)/float64(r.Origin.Fetches))
	}
	line("requests per origin fetch", "%s (%d fetches)", perFetch, r.Origin.Fetches)
	line("origin fetches per lifetime", "%d at most for any object; %d for the viral one", r.Origin.MaxPerLifetime, r.Origin.ViralFetches)
	if s := r.Scaling; s != nil {
		line("spike onset to scale write", "%s (wanted: %v)", when(s.OnsetToWrite), WriteBound)
		line("spike onset to ready capacity", "%s; short of edges for %s of the rush", when(s.OnsetToReady), when(s.Short))
		line("replicas before, peak, after", "%d, %d, %d", s.Before, s.Peak, s.After)
		line("end of rush to scaled in", "%s", when(s.ScaleIn))
	}
	if p := r.Policy; p != nil {
		line("policy edit to in force", "%s (%s: %s to %s)", when(p.Took), p.Key, p.From, p.To)
	}
	if p := r.Purge; p != nil {
		line("purge to applied everywhere", "%s on %d edges and shields; then %d origin fetch of the object", when(p.Took), p.Replicas, p.After)
	}
	if len(r.PerPod) > 0 {
		line("requests per edge", "%s", perPod(r.PerPod))
	}
	if e := r.Events; e != nil {
		if e.Unknown != "" {
			line("events lost", "not known: %s", e.Unknown)
		} else {
			line("events lost", "%d%s", e.Lost, dropped(e.Dropped))
		}
	}
	var phases []string
	for _, p := range r.Phases {
		phases = append(phases, fmt.Sprintf("%s %.0f s", p.Name, p.Seconds))
	}
	line("time", "%.0f s: %s", r.Seconds, strings.Join(phases, ", "))
	for _, text := range r.Notes {
		fmt.Fprintln(w, "\nNot judged: "+text)
	}
	for _, text := range r.Missed {
		fmt.Fprintln(w, "\nMissed: "+text+".")
	}
	if len(r.Broken) == 0 {
		if len(r.Missed) > 0 {
			fmt.Fprintln(w, "\nEvery other promise kept.")
		} else {
			fmt.Fprintln(w, "\nEvery promise kept.")
		}
		return
	}
	fmt.Fprintln(w, "\nBroken:")
	for _, text := range r.Broken {
		fmt.Fprintln(w, "  "+text)
	}
	for _, text := range r.Load.Examples {
		fmt.Fprintln(w, "    "+text)
	}
}

// peak is the largest rate offered over a second. More can be answered in one, after a stall of the machine.
func (r *Receipt) peak() float64 {
	peak := 0.0
	for _, s := range r.Load.Seconds {
		peak = max(peak, s.Offered)
	}
	return peak
}

func when(d load.Duration) string {
	if d < 0 {
		return "never"
	}
	return time.Duration(d).Round(10 * time.Millisecond).String()
}

func perPod(pods []Pod) string {
	var parts []string
	note := ""
	for _, p := range pods {
		mark := ""
		if p.New {
			mark, note = "+", "   (+ came with the spike)"
		}
		// The end of a pod's name tells pods apart; the rest is the fleet's.
		name := p.Name[strings.LastIndexByte(p.Name, '-')+1:]
		parts = append(parts, fmt.Sprintf("%s%s %d", mark, name, p.Requests))
	}
	return strings.Join(parts, ", ") + note
}

func dropped(m map[string]uint64) string {
	if len(m) == 0 {
		return ""
	}
	return " (refused: " + counts(m) + ")"
}
