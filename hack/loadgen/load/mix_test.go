package load

import (
	"testing"
	"time"
)

func testMix(t *testing.T, profile string) (*mix, Profile) {
	t.Helper()
	p, err := ParseProfile(profile, 10)
	if err != nil {
		t.Fatal(err)
	}
	sizes := Sizes{Median: 10}
	pop, err := Zipf(50, 0.7, sizes)
	if err != nil {
		t.Fatal(err)
	}
	return newMix(p, pop, sizes, "t", 1), p
}

func TestViralTakesHalfOfTheRushAndNothingElse(t *testing.T) {
	m, p := testMix(t, "viral")
	from, to := p.Rush()
	count := func(at time.Duration) (viral int) {
		for range 10_000 {
			if m.path(at) == ViralPath("t", m.sizes) {
				viral++
			}
		}
		return viral
	}
	if n := count(from - 1); n != 0 {
		t.Errorf("%d requests for the viral object before the rush", n)
	}
	if n := count(from); n < 4700 || n > 5300 {
		t.Errorf("%d of 10000 in the rush, want half", n)
	}
	if n := count(to); n != 0 {
		t.Errorf("%d after the rush", n)
	}
}

func TestScanIsMostlyDistinct(t *testing.T) {
	m, p := testMix(t, "scan")
	from, _ := p.Rush()
	seen := map[string]bool{}
	for range 1000 {
		seen[m.path(from)] = true
	}
	if len(seen) < 850 {
		t.Errorf("%d distinct paths in 1000", len(seen))
	}
}
