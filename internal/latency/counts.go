// Package latency counts durations into a sketch that can be merged with those of others: what a fleet's p99 is, no average of its edges' can say.
//
// The sketch is a DDSketch (Masson, Rim, Lee: VLDB 2019) with a relative accuracy of 2 % from 50 µs to 2 minutes; what is outside counts at the
// nearer end. Its bytes are those of github.com/DataDog/sketches-go, with the mapping in them.
package latency

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/DataDog/sketches-go/ddsketch/store"
)

const (
	// Accuracy is the largest relative error of a quantile.
	Accuracy = 0.02
	// Least and Most bound what is told apart.
	Least = 50 * time.Microsecond
	Most  = 2 * time.Minute
)

// bins is their number; the compiler wants a constant, and a test holds it to scale.
const bins = 372

// scale gives each duration its bin.
type scale struct {
	mapping *mapping.CubicallyInterpolatedMapping
	first   int // index of the bin of Least
}

var fixed = func() scale {
	m, err := mapping.NewCubicallyInterpolatedMapping(Accuracy)
	if err != nil {
		panic(err) // of a constant
	}
	return scale{m, m.Index(Least.Seconds())}
}()

// bin returns the bin of a duration in seconds.
func (s scale) bin(seconds float64) int {
	switch {
	case !(seconds > Least.Seconds()): // nothing, or no number
		return 0
	case seconds >= Most.Seconds():
		return bins - 1
	}
	return min(max(s.mapping.Index(seconds)-s.first, 0), bins-1)
}

func (s scale) value(bin int) float64 { return s.mapping.Value(bin + s.first) }

// Counts counts durations. The zero value is ready. It is safe for concurrent use, never waits and never allocates to count.
type Counts struct{ shards [4]shard }

// shard keeps processors that count at the same time apart.
type shard struct {
	bins [bins]atomic.Uint64
	_    [64]byte
}

// Observe counts one duration.
func (c *Counts) Observe(d time.Duration) {
	c.shards[rand.Uint32()%uint32(len(c.shards))].bins[fixed.bin(d.Seconds())].Add(1)
}

// Take returns what was counted since the last call as the bytes of a sketch, nil for nothing.
func (c *Counts) Take() []byte {
	sketch, any := ddsketch.NewDDSketch(fixed.mapping, store.NewDenseStore(), store.NewDenseStore()), false
	for i := range bins {
		n := uint64(0)
		for j := range c.shards {
			if c.shards[j].bins[i].Load() > 0 { // a look is cheaper than a write to a line that others use
				n += c.shards[j].bins[i].Swap(0)
			}
		}
		if n > 0 {
			any = true
			_ = sketch.AddWithCount(fixed.value(i), float64(n)) // fails for a negative count or value
		}
	}
	if !any {
		return nil
	}
	var b []byte
	sketch.Encode(&b, false)
	return b
}
