package events

import (
	"testing"
	"time"
)

func TestTheEndOfAWindow(t *testing.T) {
	for _, c := range []struct {
		rate   Rate
		rps    float64
		length time.Duration
	}{
		{Rate{WindowMS: 1000, Offered: 100}, 100, time.Second},
		{Rate{WindowMS: 1000, Offered: 150, RecentMS: 500, Recent: 100}, 200, 500 * time.Millisecond},
		{Rate{WindowMS: 1000, Offered: 100, RecentMS: 500}, 0, 500 * time.Millisecond},
		{Rate{WindowMS: 1000, Offered: 100, RecentMS: 500, Recent: 101}, 100, time.Second},
		{Rate{WindowMS: 1000, Offered: 100, RecentMS: 1000, Recent: 50}, 100, time.Second},
		{Rate{WindowMS: 1000, Offered: 100, Recent: 50}, 100, time.Second},
	} {
		if rps, length := c.rate.End(); rps != c.rps || length != c.length {
			t.Errorf("%+v: %g rps in %s, want %g in %s", c.rate, rps, length, c.rps, c.length)
		}
	}
}
