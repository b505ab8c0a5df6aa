package latency

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/store"
)

// Sketch is a distribution of durations, read-only.
type Sketch struct {
	bins  []counted
	total float64
}

type counted struct {
	bin   uint16
	count float64
}

// Decode reads the bytes of a sketch that may come from anybody: whatever they say, the result has no more than the bins between Least and Most, and
// finite counts. Nothing is the empty sketch.
func Decode(b []byte) (s Sketch, err error) {
	if len(b) == 0 {
		return Sketch{}, nil
	}
	// Sparse: a store of a slice would be as long as its indexes, which are the sender's, are apart.
	read, err := ddsketch.DecodeDDSketch(b, store.SparseStoreConstructor, fixed.mapping)
	if err != nil {
		return Sketch{}, fmt.Errorf("decode a sketch of latencies: %w", err)
	}
	var counts [bins]float64
	bad := false
	read.ForEach(func(value, count float64) bool {
		bad = !(count >= 0 && count <= maxCount) || math.IsNaN(value) || value < 0
		if !bad {
			counts[fixed.bin(value)] += count
		}
		return bad
	})
	if bad {
		return Sketch{}, errBin
	}
	for i, n := range counts {
		if n > 0 {
			s.bins = append(s.bins, counted{uint16(i), n})
			s.total += n
		}
	}
	return s, nil
}

// maxCount is what any count in an event is bounded by.
const maxCount = 1 << 50

var errBin = errors.New("decode a sketch of latencies: a negative duration, or a count that is none")

// Total is how many durations were counted.
func (s Sketch) Total() float64 { return s.total }

// Merged is the sum of sketches. The zero value is empty.
type Merged struct {
	counts [bins]float64
	total  float64
}

// Add takes a sketch in. At most limit of its counts count: a sender that claims more than it was asked for is brought down to that.
func (m *Merged) Add(s Sketch, limit float64) {
	weight := 1.0
	if s.total > limit {
		weight = limit / s.total
	}
	for _, b := range s.bins {
		m.counts[b.bin] += weight * b.count
	}
	m.total += weight * s.total
}

// Quantile returns the duration that a part q of all keep, 0 to 1; ok is false for an empty sum.
func (m *Merged) Quantile(q float64) (d time.Duration, ok bool) {
	if m.total <= 0 {
		return 0, false
	}
	rank, sum, last := q*m.total, 0.0, 0
	for i, n := range m.counts {
		if n == 0 {
			continue
		}
		last = i
		if sum += n; sum >= rank {
			break
		}
	}
	return time.Duration(fixed.value(last) * float64(time.Second)), true
}
