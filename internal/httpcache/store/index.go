package store

import (
	"sync"
	"sync/atomic"
)

const shardCount = 64

// shard finds entries by the hash of their key. Its lock also keeps their
// records as they are: to free or to move a record takes the lock for writing.
type shard struct {
	mu      sync.RWMutex
	buckets []uint32
	count   int
	hot     []atomic.Pointer[hotObject]
	bodies  []Body   // that are not in a record, by number from 1
	unused  []uint32 // numbers of no body
	_       [64]byte // keeps two shards' locks off one cache line
}

// hotObject is a decoded object, for as long as its entry is in the index.
type hotObject struct {
	entry  uint32
	object *Object
}

// bucket is where the entries with hash are linked. The low bits of a hash
// have chosen the shard.
func (s *shard) bucket(hash uint64) *uint32 {
	return &s.buckets[hash/shardCount%uint64(len(s.buckets))]
}

func (s *shard) hotSlot(hash uint64) *atomic.Pointer[hotObject] {
	return &s.hot[hash/shardCount%uint64(len(s.hot))]
}

func (s *shard) first(hash uint64) uint32 {
	if len(s.buckets) == 0 {
		return 0
	}
	return *s.bucket(hash)
}

// link adds an entry. The caller holds mu.
func (s *shard) link(all *entries, id uint32) {
	if s.count >= len(s.buckets) {
		s.grow(all)
	}
	e := all.at(id)
	b := s.bucket(e.hash)
	e.collision, *b = *b, id
	s.count++
}

// unlink removes an entry that is there. The caller holds mu.
func (s *shard) unlink(all *entries, id uint32) {
	e := all.at(id)
	at := s.bucket(e.hash)
	for *at != id {
		at = &all.at(*at).collision
	}
	*at = e.collision
	s.count--
	if slot := s.hotSlot(e.hash); slot.Load() != nil && slot.Load().entry == id {
		slot.Store(nil)
	}
}

func (s *shard) grow(all *entries) {
	old := s.buckets
	s.buckets = make([]uint32, max(16, 2*len(old)))
	for _, id := range old {
		for id != 0 {
			e := all.at(id)
			next, b := e.collision, s.bucket(e.hash)
			e.collision, *b = *b, id
			id = next
		}
	}
}

// keep numbers a body. The caller holds mu.
func (s *shard) keep(b Body) uint32 {
	if n := len(s.unused); n > 0 {
		number := s.unused[n-1]
		s.unused = s.unused[:n-1]
		s.bodies[number-1] = b
		return number
	}
	s.bodies = append(s.bodies, b)
	return uint32(len(s.bodies))
}

// drop is the inverse of keep. The caller holds mu.
func (s *shard) drop(number uint32) Body {
	b := s.bodies[number-1]
	s.bodies[number-1] = Body{}
	s.unused = append(s.unused, number)
	return b
}
