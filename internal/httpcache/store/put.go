package store

import (
	"hash/maphash"
	"slices"
	"sync"
)

// recordPool has buffers for records on their way into cells.
var recordPool = sync.Pool{New: func() any { return new([]byte) }}

// Body copies content into the store's memory, evicting others for room, so
// that a later Put of an object with it is quick. The caller holds what it gets
// and releases it after that Put. It reports false for what is too large.
func (m *Memory) Body(chunks ...[]byte) (Body, bool) {
	b := NewBody(chunks...)
	if b.size <= maxInline {
		return NewBody(slices.Concat(chunks...)), true
	}
	m.mu.Lock()
	ok := b.size <= m.max/objectShare && m.room(0, m.outside(b.size))
	if ok && m.file != nil {
		m.file.reserve(b.size) // while the room is there
	}
	m.unlock()
	if !ok {
		return Body{}, false
	}
	if m.file == nil {
		return NewBody(slices.Concat(chunks...)), true
	}
	extent, err := m.file.write(chunks, b.size)
	intro := make([]byte, 0, introSize)
	for _, c := range chunks {
		intro = append(intro, c[:min(len(c), introSize-len(intro))]...)
	}
	return Body{chunks: [][]byte{intro}, extent: extent, size: b.size}, err == nil
}

// outside is the memory that a content of n bytes takes that is not in a record.
func (m *Memory) outside(n int64) int64 {
	if m.file == nil {
		return n + n/8 // what the allocator rounds up
	}
	return m.file.pages(n)
}

// Put stores o, evicting others for room.
func (m *Memory) Put(o *Object) bool {
	body, kept := o.Body, false
	if body.size > maxInline {
		switch {
		case body.extent == nil:
			body, kept = m.Body(body.chunks...)
		default:
			kept = body.Hold()
		}
		if !kept {
			m.Delete(o.Key)
			return false
		}
	}
	buffer := recordPool.Get().(*[]byte)
	defer recordPool.Put(buffer)
	record := appendHeader(appendKey((*buffer)[:0], o.Key), o, m.base)
	header := len(record)
	if !kept || body.extent != nil {
		for _, c := range body.chunks {
			record = append(record, c...)
		}
	}
	*buffer = record[:0]
	hash := maphash.String(m.seed, o.Key)

	m.mu.Lock()
	defer m.unlock()
	freq, inMain := uint32(0), false
	if old := m.lookup(o.Key, hash); old != 0 {
		// A validated response is the same object: it keeps its standing.
		e := m.entries.at(old)
		freq, inMain = e.freq.Load(), e.inMain
		m.unlink(old)
	}
	n := cellsFor(len(record))
	weight := int64(n)*cellSize + entrySize + bucketCost
	if kept {
		weight += m.outside(body.size) + bodyCost
	}
	if int64(len(record)) > m.max/objectShare || !m.room(n, 0) || !m.cells.reserve(n) || !m.entries.reserve() {
		if kept {
			body.Release()
		}
		return false
	}
	stored := body
	if body.extent != nil {
		stored.chunks = nil // they are in the record
	}
	id := m.entries.add()
	e := m.entries.at(id)
	e.hash, e.header, e.cell = hash, uint32(header), m.cells.write(record, id)
	e.inline, e.weight = uint32(len(record)-header), weight
	e.freq.Store(freq)
	s := m.shard(hash)
	s.mu.Lock()
	if kept {
		e.body = s.keep(stored)
		m.outsiders++
		if body.extent == nil {
			m.onHeap += m.outside(body.size)
		}
	}
	s.link(&m.entries, id)
	s.mu.Unlock()
	e.inMain = m.ghost.take(hash) || inMain
	m.queue(e).push(&m.entries, id)
	return true
}

// Delete removes what is stored under key.
func (m *Memory) Delete(key string) bool {
	hash := maphash.String(m.seed, key)
	m.mu.Lock()
	defer m.unlock()
	id := m.lookup(key, hash)
	if id != 0 {
		m.unlink(id)
	}
	return id != 0
}

// unlock gives the memory of dropped bodies back, which takes a while, without
// the lock.
func (m *Memory) unlock() {
	gone := m.gone
	m.gone = nil
	m.mu.Unlock()
	for _, e := range gone {
		e.file.cut(e.offset, e.size)
	}
}

// lookup returns the entry of key, or 0. The caller holds mu, without which no
// entry comes or goes.
func (m *Memory) lookup(key string, hash uint64) uint32 {
	buffer := recordPool.Get().(*[]byte)
	defer recordPool.Put(buffer)
	*buffer = appendKey((*buffer)[:0], key)
	for id := m.shard(hash).first(hash); id != 0; id = m.entries.at(id).collision {
		if e := m.entries.at(id); e.hash == hash && m.cells.begins(e.cell, id, *buffer) {
			return id
		}
	}
	return 0
}

// unlink takes an entry out of the index and its queue, and frees its memory.
// The caller holds mu.
func (m *Memory) unlink(id uint32) {
	e := m.entries.at(id)
	m.queue(e).remove(&m.entries, id)
	var body Body
	s := m.shard(e.hash)
	s.mu.Lock()
	s.unlink(&m.entries, id)
	if e.body != 0 {
		body = s.drop(e.body)
		m.outsiders--
	}
	s.mu.Unlock()
	// Nobody can find the record any more, and nobody reads it still: that took
	// the lock.
	m.cells.release(e.cell)
	m.entries.remove(id)
	switch {
	case body.extent != nil:
		if body.extent.leave() {
			m.gone = append(m.gone, body.extent)
		}
	case body.size > 0:
		m.onHeap -= m.outside(body.size)
	}
}
