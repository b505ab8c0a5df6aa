package store

import "runtime"

// blockSize is the unit in which memory is taken from the system and given
// back to it: small beside any cache, large enough that few calls are made.
const blockSize = 1 << 20

// blocks is memory outside of the collector's reach: what lies there is
// neither scanned nor makes the heap grow to twice its size. Blocks are added
// and removed at the end only. It is not safe for concurrent use, but a block
// that exists may be read while another is added.
type blocks struct {
	list [][]byte
	n    int
	more func() (block []byte, ok bool)
}

// newBlocks has room for as many blocks as hold bytes, and gives all back when
// owner is collected.
func newBlocks[T any](owner *T, bytes int64) *blocks {
	b := &blocks{list: make([][]byte, bytes/blockSize+2), more: takeBlock}
	runtime.AddCleanup(owner, func(b *blocks) {
		for b.n > 0 {
			b.remove()
		}
	}, b)
	return b
}

// reserve makes blocks of zeros until there are as many as hold units, of
// which a block holds perBlock. It reports false when the system has none left.
func (b *blocks) reserve(units, perBlock int) bool {
	for b.n*perBlock < units {
		block, ok := b.more()
		if !ok {
			return false
		}
		b.list[b.n] = block
		b.n++
	}
	return true
}

// remove gives the last block back to the system.
func (b *blocks) remove() {
	b.n--
	giveBlock(b.list[b.n])
	b.list[b.n] = nil
}
