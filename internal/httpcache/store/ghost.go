package store

// ghost remembers the hashes of objects that left the small queue unused, so
// that one asked for again soon goes straight to the main queue. What two
// hashes share costs a wrong guess, never a wrong answer.
type ghost struct {
	sets [][ghostWays]uint32
}

// ghostWays is how many hashes one set remembers, the latest first.
const ghostWays = 4

// add remembers hash, and of about limit others the latest.
func (g *ghost) add(hash uint64, limit int) {
	if len(g.sets)*ghostWays < limit || len(g.sets) == 0 {
		g.grow(max(16, limit/ghostWays*2))
	}
	s := g.set(hash)
	copy(s[1:], s[:])
	s[0] = trace(hash)
}

// take reports whether hash is remembered and forgets it.
func (g *ghost) take(hash uint64) bool {
	if len(g.sets) == 0 {
		return false
	}
	s := g.set(hash)
	for i, t := range s {
		if t == trace(hash) {
			copy(s[i:], s[i+1:])
			s[ghostWays-1] = 0
			return true
		}
	}
	return false
}

// grow makes more sets. What was remembered says nothing of where it would be
// among them, and is forgotten: that happens as often as the number of objects doubles.
func (g *ghost) grow(sets int) { g.sets = make([][ghostWays]uint32, sets) }

func (g *ghost) set(hash uint64) *[ghostWays]uint32 { return &g.sets[hash%uint64(len(g.sets))] }

// trace is what is kept of a hash; 0 is nothing.
func trace(hash uint64) uint32 { return uint32(hash>>32) | 1 }
