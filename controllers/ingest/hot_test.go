package ingest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/surgewall/surgewall/events"
)

func trace(n int) string { return fmt.Sprintf("00-%032x-%016x-01", 7, n) }

func TestHotWindowsAreRememberedForSeconds(t *testing.T) {
	d := newDesk(t, pods{"a": {ready: true}, "b": {ready: true}})
	hot := func(pod string, n int) {
		d.in.Handle(d.message(pod, func(a events.Attributes) (events.Message, error) {
			a.TraceParent = trace(n)
			return events.EncodeRate(a, events.Rate{WindowMS: 250, Offered: 100, Early: true})
		}))
	}
	d.second("a", "b")
	if got := d.in.Read("edge", Clamp{}).Traces; len(got) != 0 {
		t.Errorf("traces of a quiet fleet: %v", got)
	}
	hot("b", 1)
	hot("a", 2)
	if got := d.in.Read("edge", Clamp{}).Traces; !slices.Equal(got, []string{trace(1), trace(2)}) {
		t.Errorf("traces %v", got)
	}
	for range 6 {
		d.second("a", "b")
	}
	hot("a", 3)
	for range 5 {
		d.second("a", "b")
	}
	if got := d.in.Read("edge", Clamp{}).Traces; !slices.Equal(got, []string{trace(3)}) {
		t.Errorf("after %v the traces are %v", hotFor+time.Second, got)
	}
	for n := range 100 {
		hot("b", 10+n)
	}
	if got := d.in.Read("edge", Clamp{}).Traces; len(got) != maxHot || got[0] != trace(3) || got[1] != trace(10) {
		t.Errorf("of 101 hot windows %d are remembered: %v", len(got), got)
	}
}
