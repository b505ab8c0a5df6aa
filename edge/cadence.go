package edge

import "math"

const (
	// ticksPerWindow is how many ticks a window has. A tick is the length of the counts in which an edge looks for a jump of its own
	// load: the jump is on the bus a tick after it began, at most; shorter counts are noisier, so that fewer jumps are significant.
	ticksPerWindow = 8
	// recentTicks is the end of a window that is reported on its own.
	recentTicks = 4
	// baselineTicks is how many past counts the present one is compared with: 5 s.
	baselineTicks = 40
	// leastBaseline is how many there must be. After a jump it lets the ticks pass that are reported anyway.
	leastBaseline = 4
	// minJump is the least count of two ticks that can be a jump. A handful of requests to an idle edge is none.
	minJump = 12
	// alertTicks is how many ticks after a jump are windows of their own: the jump began within its tick, so that only the next ones
	// show all of it. More of them would be a flood from a large fleet just when everything is busy.
	alertTicks = 4
	// jumpRatio and jumpDeviations are what a jump exceeds the baseline by. Arrivals that are independent of each other are Poisson's,
	// with a standard deviation of the root of the mean: the ratio keeps a large edge from reporting each ripple, the deviations a small
	// one from reporting noise.
	jumpRatio      = 1.5
	jumpDeviations = 3.5
)

// cadence decides when a window ends: after eight ticks, or at once when the count of the last two jumps. It has no clock: it is told of
// each tick. The zero value is at the beginning of a window with nothing counted.
type cadence struct {
	counts  [baselineTicks]float64 // ring of past counts, of a tick's length each
	n       int                    // counts in the ring
	next    int                    // place of the next one
	elapsed int                    // ticks of the present window
	alert   int                    // ticks that are still windows of their own
	last    tick                   // the one before
	recent  int                    // ticks that show a jump, of an early window
}

// tick is what was counted in one tick, and its length in ticks. It is longer than one where the processor had too much to do.
type tick struct{ count, length float64 }

// verdict says what to do after a tick.
type verdict int

const (
	carryOn verdict = iota
	endOfWindow
	jump
)

// tick takes the requests that arrived since the last tick.
func (c *cadence) tick(count uint64, length float64) verdict {
	now := tick{float64(count), max(length, 0.1)}
	before := c.last
	c.last = now
	// Two ticks, because who was kept from counting counts what came meanwhile in the next: in the length of both there is no jump.
	both := tick{now.count + before.count, now.length + before.length}
	switch {
	case c.jumped(both):
		c.recent = 1
		if !c.exceeds(now) {
			c.recent = 2
		}
		// What was before is no longer what a tick is compared with, or a jump would be one until the baseline has forgotten.
		c.n, c.next, c.alert = 0, 0, alertTicks
		c.remember(now)
		c.elapsed = 0
		return jump
	case c.alert > 0:
		c.alert--
		c.recent = 1
		c.remember(now)
		c.elapsed = 0
		return jump
	}
	c.remember(now)
	if c.elapsed++; c.elapsed >= ticksPerWindow {
		c.elapsed = 0
		return endOfWindow
	}
	return carryOn
}

func (c *cadence) remember(t tick) {
	c.counts[c.next] = t.count / t.length
	c.next = (c.next + 1) % baselineTicks
	c.n = min(c.n+1, baselineTicks)
}

// restart begins a window now, whatever the ticks say.
func (c *cadence) restart() { c.elapsed = 0 }

// jumped reports whether the count is a jump. Without a past of some ticks there is nothing to compare with.
func (c *cadence) jumped(t tick) bool {
	return c.n >= leastBaseline && t.count >= minJump && c.exceeds(t)
}

func (c *cadence) exceeds(t tick) bool {
	sum := 0.0
	for _, past := range c.counts[:c.n] {
		sum += past
	}
	n := float64(c.n)
	expected := sum / n * t.length
	// A baseline of few ticks is noise as well.
	deviation := math.Sqrt(max(expected, 1) * (1 + t.length/n))
	return t.count >= jumpRatio*expected && t.count > expected+jumpDeviations*deviation
}
