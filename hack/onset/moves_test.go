package main

import "testing"

// The same load on other edges is no rise, and one that has come to a rest grows no
// more. Before the sum and the slopes were made to say so, the largest recommendation
// here was 15 edges where 5 are needed, and 56 where 20 are, and up to a quarter were too
// large after a rush.
func TestALoadThatOnlyMovesBuysNoEdges(t *testing.T) {
	for _, c := range moves() {
		if testing.Short() && (c.edges > 6 || c.lasts > c.age*20) {
			continue
		}
		c.runs = min(c.runs, 3)
		x := c.play(t, "balanced", 1)
		part, most := 0.005, x.need*5/4+1
		if c.from > 0 {
			part, most = 0.13, max(x.need*9/4, x.need+9)
		}
		if x.decisions < 200*c.runs || float64(x.above) > part*float64(x.decisions) || x.largest > most {
			t.Errorf("%d edges, %s: %d of %d decisions recommend more than %d edges and one, at most %d", c.edges, c.name, x.above, x.decisions, x.need, x.largest)
		}
		if float64(x.below) > 0.01*float64(x.decisions) {
			t.Errorf("%d edges, %s: %d of %d decisions recommend less than %d edges", c.edges, c.name, x.below, x.decisions, x.need)
		}
	}
}
