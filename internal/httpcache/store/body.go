package store

import (
	"errors"
	"io"
	"sync"
)

// Body is the content of a response: a list of chunks, or a part of a store's
// memory. The bytes must not be changed. The zero value is an empty body.
//
// A body in a store's memory lasts as long as somebody holds it: the store while
// the object is in it, and each successful Hold until its Release. A list of
// chunks lasts for good.
type Body struct {
	chunks [][]byte // all of it, or with an extent just its first bytes
	extent *extent
	size   int64
}

// introSize is how much of a body in an extent is kept beside it: as much as
// net/http asks for to send with the header, which would be a system call.
const introSize = 512

// NewBody returns a body made of chunks, which it takes over.
func NewBody(chunks ...[]byte) Body {
	b := Body{chunks: chunks}
	for _, c := range chunks {
		b.size += int64(len(c))
	}
	return b
}

// Size is the length in bytes.
func (b Body) Size() int64 { return b.size }

// Hold keeps the body readable until Release. It reports false if it was gone
// before, as that of an object which has been evicted or replaced meanwhile may be.
func (b Body) Hold() bool { return b.extent == nil || b.extent.hold() }

// Release is the end of a Hold that reported true.
func (b Body) Release() {
	if b.extent != nil {
		b.extent.release()
	}
}

// WriteTo writes the whole body to w.
func (b Body) WriteTo(w io.Writer) (int64, error) { return b.WriteRange(w, 0, b.size) }

// WriteRange writes n bytes from offset on to w, less where the body ends. The
// caller holds the body. Where w has ReadFrom that is used, so that a
// connection can take the bytes without copying.
func (b Body) WriteRange(w io.Writer, offset, n int64) (written int64, err error) {
	if offset < 0 {
		return 0, errBefore
	}
	n = max(0, min(n, b.size-offset))
	if b.extent != nil && n > 0 {
		return b.sendRange(w, offset, n)
	}
	for _, c := range b.chunks {
		if n <= 0 {
			break
		}
		if offset >= int64(len(c)) {
			offset -= int64(len(c))
			continue
		}
		part := c[offset:]
		offset = 0
		part = part[:min(int64(len(part)), n)]
		m, err := w.Write(part)
		written += int64(m)
		n -= int64(m)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

var copyPool = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// sendRange is WriteRange from an extent.
func (b Body) sendRange(w io.Writer, offset, n int64) (written int64, err error) {
	s := spans.Get().(*span)
	defer s.done()
	s.extent, s.intro, s.offset, s.left = b.extent, b.chunks[0], offset, n
	if to, ok := w.(io.ReaderFrom); ok {
		written, err = to.ReadFrom(s)
		return written, err
	}
	buf := copyPool.Get().(*[64 << 10]byte)
	defer copyPool.Put(buf)
	for {
		m, err := s.Read(buf[:])
		if errors.Is(err, io.EOF) {
			return written, nil
		}
		if err != nil {
			return written, err
		}
		k, err := w.Write(buf[:m])
		written += int64(k)
		if err != nil {
			return written, err
		}
	}
}

// errBefore is of a range that begins in front of a body, where another's is.
var errBefore = errors.New("store: a body was asked for what lies before it")

var errGone = errors.New("store: a body was read that nobody holds")
