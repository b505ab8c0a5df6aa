package httpcache

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/surgewall/surgewall/internal/httpcache/store"
)

// chunkSize is the unit of a body in flight. Large enough that a list of them
// is short, small enough that a pool of them wastes little.
const chunkSize = 64 << 10

// chunkPool has chunks that nobody reads any more, for those who come next. It
// is no sync.Pool, which would forget them at a collection: then the heap would
// grow with what passes through, not with what is under way.
type chunkPool struct {
	mu    sync.Mutex
	free  [][]byte
	limit int         // of free
	lend  func(int64) // tells the store what bodies under way take
}

const (
	// idleShare is the most that lies idle, of the store's bytes 1/idleShare.
	idleShare = 64
	// chunkCost is a chunk with the room that the collector lets the heap grow for it.
	chunkCost = 2 * chunkSize
)

func newChunkPool(s store.Store) *chunkPool {
	return &chunkPool{limit: int(max(s.Stats().MaxBytes/idleShare, 1<<20) / chunkSize), lend: s.Lend}
}

func (p *chunkPool) get() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		chunk := p.free[n-1]
		p.free[n-1], p.free = nil, p.free[:n-1]
		return chunk
	}
	p.lend(chunkCost)
	return make([]byte, chunkSize)
}

// lose leaves n chunks to the collector.
func (p *chunkPool) lose(n int) { p.lend(int64(-n * chunkCost)) }

// recycle takes chunks back. Nobody may read them any more.
func (p *chunkPool) recycle(list [][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, chunk := range list {
		switch {
		case cap(chunk) != chunkSize || len(chunk) != chunkSize: // made to measure
		case len(p.free) < p.limit:
			p.free = append(p.free, chunk)
		default:
			p.lose(1)
		}
	}
}

// fillState says how far a body has come.
type fillState int32

const (
	filling fillState = iota
	complete
	broken
)

var (
	errBroken = errors.New("upstream broke off the body")
	errLagged = errors.New("reader fell behind the window of a body that is not kept")
)

// chunks is the content of a response while it arrives: one writer appends,
// any number of readers follow, each at its own pace and without a lock. Only
// bytes below size are published; a writer never touches those again.
type chunks struct {
	size  atomic.Int64
	state atomic.Int32
	list  atomic.Pointer[chunkList]
	grown atomic.Pointer[signal]

	length int64 // Content-Length, or -1
	pool   *chunkPool

	unwoken int         // bytes published since the last wake-up of a crowd; the writer's
	armed   atomic.Bool // a late wake-up is due
}

const (
	// crowdSize is how many readers make a crowd: to wake them for each of the
	// upstream's small writes would cost more than to send what it wrote.
	crowdSize = 1000
	// crowdDelay is how long a crowd waits for more than a few bytes.
	crowdDelay = time.Millisecond
)

// chunkList holds the chunks from index base on. All but the last are full, so
// a position's chunk is position/chunkSize. Immutable once published.
type chunkList struct {
	base   int64
	chunks [][]byte
}

// signal is a channel that closes at the next change. Readers take it before
// they look at size and state: a change in between then shows as a closed channel.
type signal struct{ ch chan struct{} }

func newChunks(length int64, pool *chunkPool) *chunks {
	c := &chunks{length: length, pool: pool}
	c.list.Store(&chunkList{})
	c.grown.Store(&signal{make(chan struct{})})
	return c
}

// space returns where the writer puts the next bytes: the rest of the last
// chunk, or a new one.
func (c *chunks) space() []byte {
	size, l := c.size.Load(), c.list.Load()
	rest := int64(chunkSize)
	if c.length >= 0 {
		// One byte more than announced lets the writer see the end, or an overrun.
		rest = max(c.length-size, 1)
	}
	if i := size/chunkSize - l.base; i < int64(len(l.chunks)) {
		part := l.chunks[i][size%chunkSize:]
		return part[:min(int64(len(part)), rest)]
	}
	var chunk []byte
	if size == 0 && rest < chunkSize {
		chunk = make([]byte, rest)
	} else {
		chunk = c.pool.get()
	}
	// The old list stays valid for readers that hold it: append only writes
	// beyond its length.
	c.list.Store(&chunkList{l.base, append(l.chunks, chunk)})
	return chunk[:min(int64(len(chunk)), rest)]
}

// publish makes n more bytes of the last space visible and wakes the readers: a
// crowd only for a chunk's worth, or after crowdDelay.
func (c *chunks) publish(n int, crowd bool) {
	c.size.Add(int64(n))
	if c.unwoken += n; crowd && c.unwoken < chunkSize {
		if c.armed.CompareAndSwap(false, true) {
			time.AfterFunc(crowdDelay, func() {
				c.armed.Store(false) // first: what is published from here on is woken for again
				c.wake()
			})
		}
		return
	}
	c.unwoken = 0
	c.wake()
}

// finish ends the body.
func (c *chunks) finish(s fillState) {
	c.state.Store(int32(s))
	c.wake()
}

func (c *chunks) wake() { close(c.grown.Swap(&signal{make(chan struct{})}).ch) }

// next returns published bytes from offset on, at most to the end of their
// chunk. Where there are none yet it returns the channel to wait on; at the
// end, neither.
func (c *chunks) next(offset int64) (p []byte, wait <-chan struct{}, err error) {
	grown := c.grown.Load()
	state := fillState(c.state.Load()) // before size: a final state means a final size
	size := c.size.Load()
	if offset < size {
		l := c.list.Load()
		i := offset/chunkSize - l.base
		if i < 0 {
			return nil, nil, errLagged
		}
		chunk := l.chunks[i]
		from := offset % chunkSize
		return chunk[from:min(int64(len(chunk)), from+size-offset)], nil, nil
	}
	switch state {
	case complete:
		return nil, nil, nil
	case broken:
		return nil, nil, errBroken
	}
	return nil, grown.ch, nil
}

// drop forgets whole chunks before offset. Their memory is left to the
// collector, since a reader may be writing from one.
func (c *chunks) drop(offset int64) {
	l := c.list.Load()
	n := min(offset/chunkSize-l.base, int64(len(l.chunks))-1)
	if n > 0 {
		c.pool.lose(int(n))
		c.list.Store(&chunkList{l.base + n, append([][]byte(nil), l.chunks[n:]...)})
	}
}

// held is how many bytes of chunks are in memory.
func (c *chunks) held() int64 { return int64(len(c.list.Load().chunks)) * chunkSize }

// content is the complete body. It stays as it is until the chunks are recycled.
func (c *chunks) content() [][]byte {
	l := c.list.Load()
	left := c.size.Load()
	var out [][]byte
	for _, chunk := range l.chunks {
		if n := min(left, int64(len(chunk))); n > 0 {
			out = append(out, chunk[:n])
			left -= n
		}
	}
	return out
}
