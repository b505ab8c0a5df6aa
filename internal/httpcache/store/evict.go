package store

// Eviction is S3-FIFO: new objects pass a small queue first and reach the main
// queue only when asked for again, so a scan of objects that are wanted once
// passes through without emptying the cache (Yang et al., "FIFO queues are all
// you need for cache eviction", SOSP 2023).

const (
	// smallShare is the small queue's part of the bytes, 1/smallShare: the
	// paper's 10 %.
	smallShare = 10
	// lentShare bounds what Lend takes from the store, 1/lentShare: a flood of
	// misses must not empty it.
	lentShare = 4
	// shrinkCells is how many cells are given up at a time: few enough that
	// nobody waits long for the lock.
	shrinkCells = 1024
	// heldTurns is how many bodies in a row are passed over because they are being
	// sent: dropping one of those would not free it.
	heldTurns = 64
)

// committed is the memory that the store has taken: more than the sum of the
// weights by what is free within it and by bodies that are still being sent.
func (m *Memory) committed() int64 {
	n := min(m.lent.Load(), m.max/lentShare) + int64(m.cells.top)*cellSize + m.entries.bytes() + int64(m.entries.live)*bucketCost + m.onHeap
	if m.file != nil {
		n += m.file.bytes.Load()
	}
	return n + int64(m.outsiders)*bodyCost
}

// room evicts until there is place for a record of some cells and for bytes
// outside of it. It reports false when that cannot be.
func (m *Memory) room(cells int, bytes int64) bool {
	for m.committed()+bytes+int64(max(0, cells-m.cells.idle))*cellSize+entrySize+bodyCost > m.max {
		switch {
		case m.cells.idle >= shrinkCells+cells:
			m.shrink()
		case !m.evict():
			return false
		}
	}
	return true
}

// shrink gives memory of records back to the system.
func (m *Memory) shrink() {
	m.cells.shrink(shrinkCells, func(owner uint32, swap func(uint32) uint32) {
		e := m.entries.at(owner)
		s := m.shard(e.hash)
		s.mu.Lock()
		e.cell = swap(e.cell)
		s.mu.Unlock()
	})
}

// evict drops one object, moving those that were used to (or within) the main
// queue on the way. Counters fall with each step, so there is always a last one.
func (m *Memory) evict() bool {
	for held := 0; ; {
		id, e := m.candidate()
		if id == 0 {
			return false
		}
		inUse := held < heldTurns && e.body != 0 && m.held(e)
		if inUse {
			held++
		}
		f := e.freq.Load()
		switch {
		case f == 0 && !inUse:
			if !e.inMain {
				m.ghost.add(e.hash, m.entries.live)
			}
			m.unlink(id)
			m.evictions++
			return true
		case e.inMain:
			m.main.remove(&m.entries, id)
			if f > 0 {
				e.freq.CompareAndSwap(f, f-1)
			}
		default:
			m.small.remove(&m.entries, id)
			e.freq.Store(0)
			e.inMain = true
		}
		m.main.push(&m.entries, id)
	}
}

// candidate is the oldest entry of the queue whose turn it is, 0 if there is none.
func (m *Memory) candidate() (uint32, *entry) {
	id := m.main.oldest
	if m.small.oldest != 0 && (m.small.bytes > m.max/smallShare || id == 0) {
		id = m.small.oldest
	}
	if id == 0 {
		return 0, nil
	}
	return id, m.entries.at(id)
}

// held reports whether somebody reads an entry's body. It changes in shard's
// lock only together with the entry, which the caller's lock keeps.
func (m *Memory) held(e *entry) bool {
	b := m.shard(e.hash).bodies[e.body-1]
	return b.extent != nil && b.extent.held()
}

// queue is where an entry is.
func (m *Memory) queue(e *entry) *queue {
	if e.inMain {
		return &m.main
	}
	return &m.small
}
