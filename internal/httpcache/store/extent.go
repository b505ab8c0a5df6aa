package store

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
)

// extent is a body in the file of a store: memory that the kernel sends from
// without copying it.
//
// What it sends it does not copy later either: the pages stay in the queue of
// the connection after the response has ended, and after the body was
// released. So no page is ever written twice. A released body's pages are cut
// out of the file, which leaves those that are still being sent as they are, and
// no two bodies ever have the same place in the file: it has 2^63 bytes of
// them. A mistake here would read zeros, not what is another's.
type extent struct {
	file   *file
	offset int64
	size   int64
	refs   atomic.Int64 // holders; from 0 on it is gone for good
}

// hold adds a holder unless the extent is gone.
func (e *extent) hold() bool {
	for {
		n := e.refs.Load()
		if n <= 0 {
			return false
		}
		if e.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release takes a holder away, and with the last one the extent.
func (e *extent) release() {
	if e.leave() {
		e.file.cut(e.offset, e.size)
	}
}

// leave is release without the cut, which is left to the caller if it reports
// true.
func (e *extent) leave() (last bool) {
	n := e.refs.Add(-1)
	if n < 0 {
		stop("store: a body was released that nobody holds")
	}
	if n == 0 {
		e.file.reserve(-e.size)
	}
	return n == 0
}

// held reports whether others than the store hold the extent.
func (e *extent) held() bool { return e.refs.Load() > 1 }

// span is a part of an extent that is being sent.
type span struct {
	extent       *extent
	intro        []byte // the extent's first bytes
	offset, left int64
	sending      // how the system sends it
}

var spans = sync.Pool{New: func() any { return new(span) }}

func (s *span) done() {
	s.extent, s.intro = nil, nil
	spans.Put(s)
}

// Read copies the next bytes.
func (s *span) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	if s.extent.refs.Load() <= 0 {
		return 0, errGone
	}
	p = p[:min(int64(len(p)), s.left)]
	var n int
	var err error
	if s.offset+int64(len(p)) <= int64(len(s.intro)) {
		n = copy(p, s.intro[s.offset:])
	} else {
		n, err = s.extent.file.readAt(p, s.extent.offset+s.offset)
	}
	s.offset += int64(n)
	s.left -= int64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // the file is longer than any of its bodies' ends
	}
	return n, err
}
