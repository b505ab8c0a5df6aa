package load

import (
	"encoding/csv"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"sort"
	"strconv"
	"strings"
)

// MaxObjects bounds a catalogue: one table entry of 8 bytes each.
const MaxObjects = 1_000_000

// Popularity says which object a request is for, and how large that object is. It is immutable and safe for concurrent use.
type Popularity struct {
	cumulative []float64 // by bucket, ends at the total weight
	first      []int     // first object of each bucket
	objects    []int     // objects of each bucket, which share its weight
	bytes      []int64   // size of the bucket's objects; 0: by Sizes
	sizes      Sizes
}

// Zipf is a catalogue in which the object of rank r has a weight of 1/r^exponent. Measured content delivery networks lie near 0.7; 0 makes
// all objects alike.
func Zipf(objects int, exponent float64, sizes Sizes) (Popularity, error) {
	if objects < 1 || objects > MaxObjects {
		return Popularity{}, fmt.Errorf("objects %d: want 1 to %d", objects, MaxObjects)
	}
	if !(exponent >= 0 && exponent <= 5) {
		return Popularity{}, fmt.Errorf("Zipf exponent %v: want 0 to 5", exponent)
	}
	p := Popularity{sizes: sizes}
	for i := range objects {
		p.add(1, math.Pow(float64(i+1), -exponent), 0)
	}
	return p, nil
}

// ReadPopularity reads a distribution as CSV: "objects,weight" or "objects,weight,bytes" in each line: that many objects share this weight
// and, where stated, have this size. A first line of words is a heading.
func ReadPopularity(r io.Reader, sizes Sizes) (Popularity, error) {
	p, total := Popularity{sizes: sizes}, 0
	lines := csv.NewReader(r)
	lines.FieldsPerRecord, lines.Comment, lines.TrimLeadingSpace = -1, '#', true
	for n := 1; ; n++ {
		record, err := lines.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Popularity{}, fmt.Errorf("popularity: %w", err)
		}
		if n == 1 && strings.EqualFold(record[0], "objects") {
			continue
		}
		if len(record) < 2 || len(record) > 3 {
			return Popularity{}, fmt.Errorf("popularity, line %d: %d fields: want objects,weight[,bytes]", n, len(record))
		}
		objects, err := strconv.Atoi(record[0])
		if err != nil || objects < 1 || objects > MaxObjects-total {
			return Popularity{}, fmt.Errorf("popularity, line %d: objects %q: want 1 to %d in all", n, record[0], MaxObjects)
		}
		weight, err := strconv.ParseFloat(record[1], 64)
		if err != nil || !(weight >= 0) || math.IsInf(weight, 0) {
			return Popularity{}, fmt.Errorf("popularity, line %d: weight %q: want a finite number, 0 or more", n, record[1])
		}
		size := int64(0)
		if len(record) == 3 {
			if size, err = strconv.ParseInt(record[2], 10, 64); err != nil || size < 1 || size > MaxObjectBytes {
				return Popularity{}, fmt.Errorf("popularity, line %d: bytes %q: want 1 to %d", n, record[2], MaxObjectBytes)
			}
		}
		p.add(objects, weight, size)
		total += objects
	}
	if weight := p.total(); !(weight > 0) || math.IsInf(weight, 0) {
		return Popularity{}, fmt.Errorf("popularity: weights add up to %v: want more than 0 and finite", weight)
	}
	return p, nil
}

func (p *Popularity) add(objects int, weight float64, bytes int64) {
	p.first = append(p.first, p.Objects())
	p.objects = append(p.objects, objects)
	p.cumulative = append(p.cumulative, p.total()+weight)
	p.bytes = append(p.bytes, bytes)
}

func (p Popularity) total() float64 {
	if len(p.cumulative) == 0 {
		return 0
	}
	return p.cumulative[len(p.cumulative)-1]
}

// Objects is the size of the catalogue.
func (p Popularity) Objects() int {
	if len(p.first) == 0 {
		return 0
	}
	last := len(p.first) - 1
	return p.first[last] + p.objects[last]
}

// Pick draws one object: its number and size in bytes.
func (p Popularity) Pick(rng *rand.Rand) (int, int64) {
	x := rng.Float64() * p.total()
	bucket := sort.Search(len(p.cumulative)-1, func(i int) bool { return p.cumulative[i] > x })
	object := p.first[bucket]
	if p.objects[bucket] > 1 {
		object += rng.IntN(p.objects[bucket])
	}
	if p.bytes[bucket] > 0 {
		return object, p.bytes[bucket]
	}
	return object, p.sizes.Of(strconv.Itoa(object))
}

// MaxObjectBytes bounds the size of any one object.
const MaxObjectBytes = 64 << 20

// Sizes gives every object a size that depends on its name alone, log-normally spread around Median. Measured content delivery networks lie near 13 KB and 1.3.
type Sizes struct {
	Median int64   // bytes; at least 1
	Sigma  float64 // standard deviation of the logarithm; 0 makes all alike
	Max    int64   // bytes; 0 means MaxObjectBytes
}

// Validate checks the ranges.
func (s Sizes) Validate() error {
	if s.Median < 1 || s.Median > MaxObjectBytes || s.Max < 0 || s.Max > MaxObjectBytes || !(s.Sigma >= 0 && s.Sigma <= 4) {
		return fmt.Errorf("sizes: median %d, sigma %v, max %d: want a median of 1 to %d, a sigma of 0 to 4, a max of 0 to %[4]d", s.Median, s.Sigma, s.Max, MaxObjectBytes)
	}
	return nil
}

// Of is the size in bytes of the object with this name.
func (s Sizes) Of(name string) int64 {
	largest := s.Max
	if largest == 0 {
		largest = MaxObjectBytes
	}
	if s.Sigma == 0 {
		return min(s.Median, largest)
	}
	h := fnv.New64a()
	io.WriteString(h, name)
	rng := rand.New(rand.NewPCG(h.Sum64(), 1))
	size := float64(s.Median) * math.Exp(s.Sigma*rng.NormFloat64())
	return int64(min(max(size, 1), float64(largest)))
}
