// Package rendezvous ranks members for a key by highest random weight, so that everyone who knows the same members agrees
// on the owner of a key, and a member that comes or goes moves only the keys it owns.
package rendezvous

import (
	"cmp"
	"math"
	"slices"
)

// Member is one candidate. Its name is its identity: two processes agree on a ranking when they spell the names alike.
type Member struct {
	Name string
	// Weight is the share of keys relative to the other members, without unit. Members with a weight that is not above zero
	// rank last, in order of name.
	Weight float64
}

// Equal returns members of weight one with these names.
func Equal(names ...string) []Member {
	members := make([]Member, len(names))
	for i, name := range names {
		members[i] = Member{Name: name, Weight: 1}
	}
	return members
}

// Rank returns the members in order of preference for the key, the owner first. The result is a new slice, does not depend on the
// order of the argument, and holds the failover order too: without the owner, the ranking of the others stays as it was.
func Rank(key string, members []Member) []Member {
	type scored struct {
		Member
		score float64
	}
	keyHash := hash(key)
	ranking := make([]scored, len(members))
	for i, m := range members {
		ranking[i] = scored{m, score(keyHash, m)}
	}
	slices.SortFunc(ranking, func(a, b scored) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.Name, b.Name))
	})
	ranked := make([]Member, len(ranking))
	for i, r := range ranking {
		ranked[i] = r.Member
	}
	return ranked
}

// score is -weight/ln(u) for a uniform u of (key, member): the largest of such scores belongs to each member with probability
// proportional to its weight (Schindelhauer and Schomaker, "Weighted distributed hash tables", 2005).
func score(keyHash uint64, m Member) float64 {
	if !(m.Weight > 0) {
		return 0
	}
	u := mix(keyHash ^ mix(hash(m.Name)))
	// 53 bits and a half step keep the uniform number strictly between 0 and 1, where the logarithm is finite and negative.
	return -m.Weight / math.Log((float64(u>>11)+0.5)/(1<<53))
}

// hash is FNV-1a, 64 bit. It is part of the agreement between processes, so it may not be seeded (hash/maphash is).
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h ^= uint64(s[i])
		h *= 1099511628211
	}
	return h
}

// mix is the finalizer of SplitMix64. FNV alone leaves the high bits of names that differ in the last byte correlated, which
// shows as one shield with twice the keys of another.
func mix(h uint64) uint64 {
	h ^= h >> 30
	h *= 0xbf58476d1ce4e5b9
	h ^= h >> 27
	h *= 0x94d049bb133111eb
	return h ^ h>>31
}
