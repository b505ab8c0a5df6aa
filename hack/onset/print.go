package main

import (
	"fmt"
	"io"
	"math"
	"slices"
)

// The bounds that the figures are printed beside, in seconds.
func wanted(k float64) (median, most float64) {
	if k < 2 {
		return 1.2, 1.5
	}
	return 0.5, 1.5
}

const slot = 0.1 // of the histogram, in seconds

func (o options) print(w io.Writer, results []result) error {
	fmt.Fprintf(w, "Onset to the first accepted scale write that reaches 90 %% of the need: %d edges, %.0f rps before the step, preset %s\n", o.edges, o.rps, o.preset)
	for _, k := range o.factors {
		var reached, first []float64
		early, missing, covered := 0, 0, 0
		for _, x := range results {
			if x.K != k {
				continue
			}
			early += x.Early
			switch {
			case x.covered():
				covered++
				continue
			case x.missing():
				missing++
				continue
			}
			reached, first = append(reached, x.Reached), append(first, x.First)
		}
		median, most := wanted(k)
		fmt.Fprintf(w, "\nk = %g: %d runs, p50 %.2f s (wanted %.1f), p90 %.2f s, largest %.2f s (wanted %.1f), p50 of the first write %.2f s", k, len(reached)+missing,
			quantile(reached, .5), median, quantile(reached, .9), quantile(reached, 1), most, quantile(first, .5))
		if missing > 0 {
			fmt.Fprintf(w, ", %d WITHOUT", missing)
		}
		if covered > 0 {
			fmt.Fprintf(w, ", %d left out that had enough edges before", covered)
		}
		if early > 0 {
			fmt.Fprintf(w, ", %d writes before the step", early)
		}
		fmt.Fprintln(w)
		histogram(w, reached)
	}
	return nil
}

func histogram(w io.Writer, values []float64) {
	if len(values) == 0 {
		return
	}
	counts := make([]int, int(slices.Max(values)/slot)+1)
	for _, v := range values {
		counts[int(v/slot)]++
	}
	for i, n := range counts {
		if n > 0 {
			fmt.Fprintf(w, "  %4.1f - %3.1f s %3d %s\n", float64(i)*slot, float64(i+1)*slot, n, bar(n, slices.Max(counts)))
		}
	}
}

// quantile is the smallest value that at least this part of them does not exceed.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}
