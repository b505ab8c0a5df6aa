package store

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Memory is a Store bounded in bytes that evicts by S3-FIFO (see evict.go).
//
// Nothing of an object is on the heap, which the collector lets grow to twice
// of what is in use: header and small contents are records in cells, larger
// contents are in a file of memory, and the index has no pointers. The few
// objects asked for most are kept decoded beside that.
//
// A Get takes a shard's read lock and one atomic write; only Put and Delete
// take the lock of the queues. There is no background work and nothing to close.
type Memory struct {
	seed   maphash.Seed
	base   time.Time // of the times in records
	max    int64
	file   *file // nil: contents too large for a record stay on the heap
	shards [shardCount]shard

	lent atomic.Int64

	mu        sync.Mutex // guards what follows; taken before a shard's lock
	cells     cells
	entries   entries
	outsiders int   // bodies that are not in a record
	onHeap    int64 // bytes of those that are not in file either
	small     queue
	main      queue
	ghost     ghost
	evictions uint64
	gone      []*extent // to be cut out once mu is free
}

const (
	// objectShare bounds one object to a quarter of the store, so that one
	// large object cannot push everything else out.
	objectShare = 4
	// maxInline is the largest content in a record, in bytes: beyond it the rest
	// of a last page costs less than cells do, and sending without copying pays.
	maxInline = 16 << 10
	// maxFreq caps the counter of uses: an object once popular is forgotten
	// after that many turns of the main queue.
	maxFreq = 3
	// hotShare is the most that decoded objects may add to the bytes, 1/hotShare.
	hotShare = 32
	// bodyCost is what a body outside of the record costs on the heap, twice
	// its size for the collector's room.
	bodyCost = 320
	// bucketCost is an entry's part of the buckets and the ghosts.
	bucketCost = 12
)

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store that holds at most maxBytes, bookkeeping
// included; fewer than 1 MiB are taken as 1 MiB.
func NewMemory(maxBytes int64) *Memory {
	m := &Memory{seed: maphash.MakeSeed(), base: time.Now(), max: max(maxBytes, 1<<20), file: newFile()}
	m.cells.blocks = newBlocks(m, m.max)
	m.entries.blocks = newBlocks(m, m.max)
	hot := min(max(m.max/hotShare/maxInline/shardCount, 1), 512)
	for i := range m.shards {
		m.shards[i].hot = make([]atomic.Pointer[hotObject], hot)
	}
	return m
}

// MaxObject is the largest content that Put takes with any header: a quarter of the store.
func (m *Memory) MaxObject() int64 { return m.max / objectShare }

func (m *Memory) shard(hash uint64) *shard { return &m.shards[hash%shardCount] }

// Get returns the object stored under key and counts the use.
func (m *Memory) Get(key string) (*Object, bool) {
	hash := maphash.String(m.seed, key)
	s := m.shard(hash)
	s.mu.RLock()
	defer s.mu.RUnlock()
	slot := s.hotSlot(hash)
	hot := slot.Load()
	for id := s.first(hash); id != 0; {
		e := m.entries.at(id)
		if e.hash != hash {
			id = e.collision
			continue
		}
		var o *Object
		if hot != nil && hot.entry == id {
			o = hot.object
		} else {
			o = m.decode(s, id)
		}
		if o.Key != key {
			id = e.collision
			continue
		}
		if hot == nil || hot.entry != id {
			slot.Store(&hotObject{id, o})
		}
		// Reading first keeps a hot entry's cache line shared between cores.
		if f := e.freq.Load(); f < maxFreq {
			e.freq.CompareAndSwap(f, f+1)
		}
		return o, true
	}
	return nil, false
}

// decode makes an object from its record. The caller holds the shard's lock.
func (m *Memory) decode(s *shard, id uint32) *Object {
	e := m.entries.at(id)
	var header strings.Builder
	header.Grow(int(e.header))
	whole := m.cells.read(e.cell, id, 0, int(e.header), func(part []byte) { header.Write(part) })
	content := make([]byte, 0, e.inline)
	whole = whole && m.cells.read(e.cell, id, int(e.header), int(e.inline), func(part []byte) { content = append(content, part...) })
	if !whole {
		// Somebody's bytes would be taken for another's.
		stop("store: a record has cells of another")
	}
	p := parser{header.String()}
	o := p.object(m.base)
	switch {
	case e.body != 0:
		o.Body = s.bodies[e.body-1]
		if e.inline > 0 {
			o.Body.chunks = [][]byte{content}
		}
	case e.inline > 0:
		o.Body = NewBody(content)
	}
	return o
}

// Lend counts memory of the caller's. What is stored gives way at the next Put.
func (m *Memory) Lend(bytes int64) { m.lent.Add(bytes) }

// Stats returns the present state.
func (m *Memory) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Stats{Objects: m.entries.live, Bytes: m.small.bytes + m.main.bytes, MaxBytes: m.max, Evictions: m.evictions}
}
