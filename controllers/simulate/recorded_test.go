package simulate

import (
	"fmt"
	"math"
	"testing"
	"time"
)

func TestWhatWasNotHeardIsSilentAndInterpolated(t *testing.T) {
	unknown := math.NaN()
	start := time.Date(2026, 6, 14, 20, 0, 0, 0, time.UTC)
	got, err := Recorded(start, []float64{unknown, 10, unknown, unknown, 40, 50, unknown})
	if err != nil {
		t.Fatal(err)
	}
	var silent []bool
	for _, s := range got.Seconds {
		silent = append(silent, s.Silent)
	}
	if fmt.Sprint(rates(got)) != "[10 20 30 40 50]" || fmt.Sprint(silent) != "[false true true false false]" || !got.Start.Equal(start.Add(time.Second)) {
		t.Errorf("%v, silent %v, from %s", rates(got), silent, got.Start)
	}
	for _, nothing := range [][]float64{nil, {unknown, unknown}} {
		if _, err := Recorded(start, nothing); err == nil {
			t.Errorf("%v is a trace", nothing)
		}
	}
}
