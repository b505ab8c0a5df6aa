package simulate

import (
	"math"
	"math/rand/v2"
)

// noise draws how many requests arrive in a second, given how many are to be
// expected: a Poisson count, as of many viewers who know nothing of each other.
// The same seed gives the same counts.
type noise struct{ rng *rand.Rand }

func newNoise(seed uint64) noise { return noise{rand.New(rand.NewPCG(seed, 0x5eed))} }

func (n noise) count(mean float64) float64 {
	switch {
	case mean <= 0:
		return 0
	case mean < 10:
		return n.small(mean)
	default:
		return n.large(mean)
	}
}

// small multiplies uniform numbers until they fall below e^-mean (Knuth, The Art
// of Computer Programming, volume 2, section 3.4.1).
func (n noise) small(mean float64) float64 {
	limit, product, k := math.Exp(-mean), 1.0, -1.0
	for product > limit {
		product *= n.rng.Float64()
		k++
	}
	return k
}

// large is transformed rejection (Hörmann, "The transformed rejection method
// for generating Poisson random variables", 1993, algorithm PTRS): its time does
// not grow with the mean, which is what makes a day of a busy fleet cheap.
func (n noise) large(mean float64) float64 {
	b := 0.931 + 2.53*math.Sqrt(mean)
	a := -0.059 + 0.02483*b
	inverse := 1.1239 + 1.1328/(b-3.4)
	for {
		u, v := n.rng.Float64()-0.5, n.rng.Float64()
		us := 0.5 - math.Abs(u)
		k := math.Floor((2*a/us+b)*u + mean + 0.43)
		if us >= 0.07 && v <= 0.9277-3.6224/(b-2) {
			return k
		}
		if k < 0 || (us < 0.013 && v > us) {
			continue
		}
		factorial, _ := math.Lgamma(k + 1)
		if math.Log(v)+math.Log(inverse)-math.Log(a/(us*us)+b) <= k*math.Log(mean)-mean-factorial {
			return k
		}
	}
}
