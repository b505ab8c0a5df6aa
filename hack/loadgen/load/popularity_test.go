package load

import (
	"math"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"
)

func TestZipfShares(t *testing.T) {
	const draws = 200_000
	p, err := Zipf(100, 0.7, Sizes{Median: 100})
	if err != nil {
		t.Fatal(err)
	}
	rng, counts := rand.New(rand.NewPCG(1, 2)), make([]int, p.Objects())
	for range draws {
		object, size := p.Pick(rng)
		if size != 100 {
			t.Fatalf("size %d", size)
		}
		counts[object]++
	}
	sum := 0.0
	for r := range 100 {
		sum += math.Pow(float64(r+1), -0.7)
	}
	for _, rank := range []int{0, 1, 9, 99} {
		want := math.Pow(float64(rank+1), -0.7) / sum
		got := float64(counts[rank]) / draws
		// Five standard deviations of a binomial count.
		if math.Abs(got-want) > 5*math.Sqrt(want/draws) {
			t.Errorf("rank %d has a share of %.4f, want %.4f", rank+1, got, want)
		}
	}
}

func TestReadPopularity(t *testing.T) {
	p, err := ReadPopularity(strings.NewReader("objects,weight,bytes\n1,50,1000\n# a comment\n9, 50\n3,0,7\n"), Sizes{Median: 5})
	if err != nil {
		t.Fatal(err)
	}
	if p.Objects() != 13 {
		t.Fatalf("%d objects, want 13", p.Objects())
	}
	rng, hot := rand.New(rand.NewPCG(3, 4)), 0
	for range 10_000 {
		switch object, size := p.Pick(rng); {
		case object == 0 && size == 1000:
			hot++
		case object > 9 || size != 5:
			t.Fatalf("object %d of %d bytes", object, size)
		}
	}
	if hot < 4700 || hot > 5300 {
		t.Errorf("half of the weight drew %d of 10000", hot)
	}
}

func TestReadPopularityRefuses(t *testing.T) {
	for _, text := range []string{"", "1", "0,1", "1,-1", "1,NaN", "1,Inf", "1,1,0", "1,1,1,1", "x,1", "1,0", "2000000,1", "\"", "1,1e308\n1,1e308"} {
		if _, err := ReadPopularity(strings.NewReader(text), Sizes{Median: 1}); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func FuzzReadPopularity(f *testing.F) {
	for _, seed := range []string{"1,1", "objects,weight\n1000,3.5\n", "3,0,7\n1,1,1\n", "#\n1,1e-300"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ReadPopularity(strings.NewReader(text), Sizes{Median: 1})
		if err != nil {
			return
		}
		rng := rand.New(rand.NewPCG(1, 1))
		for range 10 {
			if object, size := p.Pick(rng); object < 0 || object >= p.Objects() || size < 1 {
				t.Fatalf("drew object %d of %d, %d bytes", object, p.Objects(), size)
			}
		}
	})
}

func TestSizesAreLogNormalAndStable(t *testing.T) {
	s := Sizes{Median: 13_000, Sigma: 1.3, Max: 1 << 20}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	var all []int64
	for i := range 10_001 {
		name := strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat("y", i/7%100) + string(rune('0'+i/700))
		size := s.Of(name)
		if size != s.Of(name) {
			t.Fatal("an object changes its size")
		}
		if size < 1 || size > s.Max {
			t.Fatalf("size %d", size)
		}
		all = append(all, size)
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	if median := all[5000]; median < 12_000 || median > 14_000 {
		t.Errorf("median %d, want about 13000", median)
	}
	for _, bad := range []Sizes{{}, {Median: 1, Sigma: -1}, {Median: 1, Sigma: math.NaN()}, {Median: 1, Max: -1}, {Median: MaxObjectBytes + 1}} {
		if bad.Validate() == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}
