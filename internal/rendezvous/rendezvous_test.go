package rendezvous_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/surgewall/surgewall/internal/rendezvous"
)

// golden holds the owner of each key among shield-0 to shield-2.
var golden = map[string]string{
	"http://video.example/live/segment-0.m4s": "shield-2",
	"http://video.example/live/segment-1.m4s": "shield-2",
	"http://video.example/live/segment-2.m4s": "shield-0",
	"http://video.example/live/segment-3.m4s": "shield-2",
	"http://video.example/live/segment-4.m4s": "shield-0",
	"http://video.example/live/segment-5.m4s": "shield-2",
}

func addresses(n int) []string {
	names := make([]string, n)
	for i := range n {
		names[i] = fmt.Sprintf("10.244.%d.%d:8081", i/250, i%250+1)
	}
	return names
}

func key(i int) string { return fmt.Sprintf("http://video.example/live/segment-%d.m4s", i) }

func owner(k string, members []rendezvous.Member) string { return rendezvous.Rank(k, members)[0].Name }

func TestEveryoneAgreesWhateverTheOrderOfTheMembers(t *testing.T) {
	members := rendezvous.Equal(addresses(7)...)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 200 {
		want := rendezvous.Rank(key(i), members)
		shuffled := slices.Clone(members)
		random.Shuffle(len(shuffled), func(a, b int) { shuffled[a], shuffled[b] = shuffled[b], shuffled[a] })
		if got := rendezvous.Rank(key(i), shuffled); !slices.Equal(got, want) {
			t.Fatalf("key %d: %v from one order, %v from another", i, want, got)
		}
	}
}

func TestRankingIsTheSameInEveryReleaseAndProcess(t *testing.T) {
	// A change of these is a change of the agreement between processes of different versions: during the roll-out of such a
	// release, the origin sees up to one fetch of each object per version.
	members := rendezvous.Equal("shield-0", "shield-1", "shield-2")
	for k, want := range golden {
		if got := owner(k, members); got != want {
			t.Errorf("owner of %q is %s, was %s", k, got, want)
		}
	}
}

func TestAMemberThatLeavesMovesOnlyItsOwnKeysAndThoseToTheNextInRank(t *testing.T) {
	members := rendezvous.Equal(addresses(5)...)
	for gone := range members {
		rest := slices.Delete(slices.Clone(members), gone, gone+1)
		for i := range 2000 {
			before := rendezvous.Rank(key(i), members)
			want := slices.DeleteFunc(slices.Clone(before), func(m rendezvous.Member) bool { return m == members[gone] })
			if got := rendezvous.Rank(key(i), rest); !slices.Equal(got, want) {
				t.Fatalf("key %d without %s: ranking %v, want %v", i, members[gone].Name, got, want)
			}
		}
	}
}

func TestAMemberThatJoinsTakesItsFairShareAndNothingElseMoves(t *testing.T) {
	const keys = 20000
	names := addresses(6)
	before, after := rendezvous.Equal(names[:5]...), rendezvous.Equal(names...)
	moved := 0
	for i := range keys {
		was, is := owner(key(i), before), owner(key(i), after)
		if was == is {
			continue
		}
		if is != names[5] {
			t.Fatalf("key %d moved from %s to %s, which is not the new member", i, was, is)
		}
		moved++
	}
	if fair := keys / 6.0; math.Abs(float64(moved)-fair) > 5*math.Sqrt(fair) {
		t.Errorf("%d of %d keys moved, fair is %.0f", moved, keys, fair)
	}
}

func TestKeysAreBalanced(t *testing.T) {
	const keys = 40000
	for _, n := range []int{2, 3, 4, 8, 50} {
		members := rendezvous.Equal(addresses(n)...)
		owned := map[string]int{}
		for i := range keys {
			owned[owner(key(i), members)]++
		}
		fair := float64(keys) / float64(n)
		for name, got := range owned {
			// Five standard deviations of a fair binomial: a biased hash fails this, chance does not.
			if math.Abs(float64(got)-fair) > 5*math.Sqrt(fair) {
				t.Errorf("%d members: %s owns %d keys, fair is %.0f", n, name, got, fair)
			}
		}
	}
}

func TestWeightsSetTheShares(t *testing.T) {
	const keys = 40000
	members := []rendezvous.Member{{Name: "small", Weight: 1}, {Name: "large", Weight: 3}, {Name: "drained", Weight: 0}}
	owned := map[string]int{}
	for i := range keys {
		ranked := rendezvous.Rank(key(i), members)
		owned[ranked[0].Name]++
		if last := ranked[2].Name; last != "drained" {
			t.Fatalf("key %d: %s ranks last, want the member without weight", i, last)
		}
	}
	if share := float64(owned["large"]) / keys; math.Abs(share-0.75) > 0.01 {
		t.Errorf("share of weight 3 against 1 is %.3f, want 0.750", share)
	}
}

func TestNobodyToRank(t *testing.T) {
	if got := rendezvous.Rank("k", nil); len(got) != 0 {
		t.Errorf("ranking of nobody is %v", got)
	}
}

func BenchmarkRank(b *testing.B) {
	for _, n := range []int{4, 50} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			members := rendezvous.Equal(addresses(n)...)
			b.ReportAllocs()
			for b.Loop() {
				rendezvous.Rank("http://video.example/live/segment-1.m4s", members)
			}
		})
	}
}
