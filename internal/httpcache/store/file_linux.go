package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// file is the memory that bodies are in, as a file without a name. It is safe
// for concurrent use.
type file struct {
	f     *os.File
	fd    int
	next  atomic.Int64 // where no body has been yet
	bytes atomic.Int64 // in use, whole pages
	page  int64
	sends bool // connections may take pages as they are
}

// newFile returns nil where the system has no such memory.
func newFile() *file {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_FSIZE, &limit) != nil || limit.Cur != unix.RLIM_INFINITY {
		return nil // a place far into the file counts as its size
	}
	fd, err := unix.MemfdCreate("surgewall-store", unix.MFD_CLOEXEC)
	if err != nil {
		return nil
	}
	return &file{f: os.NewFile(uintptr(fd), "surgewall-store"), fd: fd, page: int64(os.Getpagesize()), sends: smallPages()}
}

// smallPages reports whether such memory consists of single pages. Of a larger
// one a part cannot always be cut out, and then would be written twice.
func smallPages() bool {
	settings, _ := filepath.Glob("/sys/kernel/mm/transparent_hugepage/hugepages-*/shmem_enabled")
	for _, name := range append(settings, "/sys/kernel/mm/transparent_hugepage/shmem_enabled") {
		text, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue // not in this kernel
		}
		_, rest, _ := strings.Cut(string(text), "[")
		chosen, _, _ := strings.Cut(rest, "]")
		switch chosen {
		case "never", "deny", "advise", "inherit":
		default:
			return false
		}
	}
	return true
}

// pages is the memory that a body of n bytes takes.
func (f *file) pages(n int64) int64 { return (n + f.page - 1) / f.page * f.page }

// reserve counts the memory of a body that will be written, or, negative, of
// one that will be cut out.
func (f *file) reserve(size int64) {
	if size < 0 {
		f.bytes.Add(-f.pages(-size))
		return
	}
	f.bytes.Add(f.pages(size))
}

// write makes an extent with one holder, for whose size there is a reserve.
func (f *file) write(chunks [][]byte, size int64) (*extent, error) {
	length := f.pages(size)
	e := &extent{file: f, offset: f.next.Add(length) - length, size: size}
	e.refs.Store(1)
	at := e.offset
	for _, c := range chunks {
		n, err := f.f.WriteAt(c, at)
		at += int64(n)
		if err != nil {
			e.release()
			return nil, fmt.Errorf("writing a body of %d bytes into memory: %w", size, err)
		}
	}
	return e, nil
}

// cut gives the memory of a body back.
func (f *file) cut(offset, size int64) {
	// It fails only if the file is not one of memory.
	_ = unix.Fallocate(f.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, offset, f.pages(size))
}

func (f *file) readAt(p []byte, offset int64) (int, error) { return f.f.ReadAt(p, offset) }

// sending is the state of a span that a connection takes without copying.
type sending struct {
	step func(fd uintptr) bool // made once, or it would be allocated each time
	sent int64
	err  error
}

// SendTo lets a connection take the rest of the span from the file, with
// sendfile(2).
func (s *span) SendTo(c syscall.RawConn) (int64, error) {
	if !s.extent.file.sends {
		return 0, errors.ErrUnsupported
	}
	if s.extent.refs.Load() <= 0 {
		return 0, errGone
	}
	if s.step == nil {
		s.step = s.send
	}
	s.sent, s.err = 0, nil
	err := c.Write(s.step)
	return s.sent, errors.Join(s.err, err)
}

// send is called whenever the connection can take more.
func (s *span) send(fd uintptr) (done bool) {
	for s.left > 0 {
		offset := s.extent.offset + s.offset
		n, err := unix.Sendfile(int(fd), s.extent.file.fd, &offset, int(min(s.left, 1<<30)))
		switch {
		case n > 0:
			s.offset += int64(n)
			s.left -= int64(n)
			s.sent += int64(n)
		case err == unix.EINTR: //nolint:errorlint // an errno as it comes
		case err == unix.EAGAIN: //nolint:errorlint
			return false
		case err == nil:
			s.err = io.ErrUnexpectedEOF
			return true
		default:
			s.err = os.NewSyscallError("sendfile", err)
			return true
		}
	}
	return true
}
