package store

import (
	"sync/atomic"
	"unsafe"
)

// entry is what the index and the queues know of an object. It has no
// pointers, so that a million of them are nothing to the collector.
type entry struct {
	hash      uint64
	collision uint32 // next entry of the same bucket
	older     uint32 // neighbours in the queue
	newer     uint32
	cell      uint32 // first of the record
	header    uint32 // bytes of the record before the content
	inline    uint32 // bytes of content in the record: all, or the first
	body      uint32 // number of a body that is elsewhere, 0 for none
	weight    int64  // memory, in bytes
	freq      atomic.Uint32
	inMain    bool
}

const entrySize = int64(unsafe.Sizeof(entry{}))

const entriesPerBlock = blockSize / int(entrySize)

// entries are numbered from 1. The caller sees to it that an entry is not
// removed while somebody looks at it.
type entries struct {
	*blocks
	top  uint32
	free uint32 // head of the list of free ones, linked by collision
	live int
}

func (e *entries) at(id uint32) *entry {
	id--
	b := e.list[id/uint32(entriesPerBlock)]
	// A block is aligned to more than an entry needs.
	return &unsafe.Slice((*entry)(unsafe.Pointer(&b[0])), entriesPerBlock)[id%uint32(entriesPerBlock)]
}

// reserve makes room for one more; false when the system has no memory left.
func (e *entries) reserve() bool {
	return e.free != 0 || e.blocks.reserve(int(e.top)+1, entriesPerBlock)
}

// add returns a zero entry, for which there is room.
func (e *entries) add() uint32 {
	e.live++
	if id := e.free; id != 0 {
		e.free = e.at(id).collision
		*e.at(id) = entry{}
		return id
	}
	e.top++
	return e.top
}

func (e *entries) remove(id uint32) {
	e.live--
	*e.at(id) = entry{collision: e.free}
	e.free = id
}

// bytes is what the entries take up, those that are free included.
func (e *entries) bytes() int64 { return int64(e.top) * entrySize }

// queue is a first-in-first-out list of entries with the sum of their weights.
type queue struct {
	oldest, newest uint32
	bytes          int64
}

func (q *queue) push(all *entries, id uint32) {
	e := all.at(id)
	e.older, e.newer = q.newest, 0
	if q.newest != 0 {
		all.at(q.newest).newer = id
	} else {
		q.oldest = id
	}
	q.newest = id
	q.bytes += e.weight
}

func (q *queue) remove(all *entries, id uint32) {
	e := all.at(id)
	if e.newer != 0 {
		all.at(e.newer).older = e.older
	} else {
		q.newest = e.older
	}
	if e.older != 0 {
		all.at(e.older).newer = e.newer
	} else {
		q.oldest = e.newer
	}
	q.bytes -= e.weight
}
