package edge

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestTopKIsExactWhileEverythingFits(t *testing.T) {
	top := newTopK(4)
	for key, n := range map[string]int{"a": 5, "b": 9, "c": 1, "d": 5} {
		for range n {
			top.add(key)
		}
	}
	want := []counted{{key: "b", count: 9}, {key: "a", count: 5}, {key: "d", count: 5}}
	for i, got := range top.top(3) {
		if got.key != want[i].key || got.count != want[i].count {
			t.Errorf("place %d: %s %d, want %s %d", i, got.key, got.count, want[i].key, want[i].count)
		}
	}
	if n := len(top.top(10)); n != 4 {
		t.Errorf("%d keys of 4", n)
	}
}

// TestTopKKeepsItsPromises checks Space-Saving's theorems against an exact count, over streams that try to wash the frequent keys out.
func TestTopKKeepsItsPromises(t *testing.T) {
	const size, length = 50, 20000
	for seed := range uint64(5) {
		random := rand.New(rand.NewPCG(seed, 1))
		zipf := rand.NewZipf(random, 1.2, 1, 1<<20)
		top, exact := newTopK(size), map[string]uint64{}
		for i := range length {
			key := fmt.Sprint("hot-", zipf.Uint64())
			if i%2 == 0 {
				key = fmt.Sprint("scan-", i) // each once
			}
			top.add(key)
			exact[key]++
		}
		held := map[string]uint64{}
		for _, entry := range top.top(size) {
			held[entry.key] = entry.count
			if entry.count < exact[entry.key] || entry.count > exact[entry.key]+length/size {
				t.Errorf("seed %d: %s is counted %d, is %d", seed, entry.key, entry.count, exact[entry.key])
			}
		}
		for key, n := range exact {
			if n > length/size && held[key] == 0 {
				t.Errorf("seed %d: %s came %d times and is not held", seed, key, n)
			}
		}
		if len(top.byKey) > size || len(top.byCount) > size {
			t.Errorf("seed %d: %d keys held, at most %d allowed", seed, len(top.byKey), size)
		}
	}
}
