// Package object makes the bodies of the demo's objects from nothing but their name, so that an origin needs no files and a client
// can tell a right body from a wrong, shifted or mixed-up one.
package object

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
)

const (
	// DefaultBytes is the size of an object whose name states none.
	DefaultBytes = 4 << 10
	// Host is the site that has the objects, whichever edge is asked: it is part of a cache's key.
	Host = "www.example.com"
	// MaxBytes bounds what a name may ask for.
	MaxBytes = 1 << 30
	// block is the unit of a body: 16 hex digits of the block's number, 47 of the name's hash, a newline.
	block = 64
)

// Path is the request path of object id with size bytes: "/obj/<id>?bytes=<size>".
func Path(id string, size int64) string {
	return "/obj/" + id + "?bytes=" + strconv.FormatInt(size, 10)
}

// Size reads the size out of an object's URL. Unknown parameters are ignored: they only make another object of it.
func Size(u *url.URL) (int64, error) {
	text := u.Query().Get("bytes")
	if text == "" {
		return DefaultBytes, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > MaxBytes {
		return 0, fmt.Errorf("bytes=%q: want a number from 0 to %d", text, MaxBytes)
	}
	return n, nil
}

// Body reads the body of one object; it is an io.ReadSeeker for one goroutine.
type Body struct {
	name string // hash of the key in hex, 47 digits
	size int64
	off  int64
}

// New is the body of the object with this key, which is its path with its query.
func New(key string, size int64) *Body {
	sum := sha256.Sum256([]byte(key))
	return &Body{name: hex.EncodeToString(sum[:])[:47], size: size}
}

// ETag is the strong validator of the object.
func (b *Body) ETag() string { return `"` + b.name[:16] + "-" + strconv.FormatInt(b.size, 16) + `"` }

// Read implements io.Reader.
func (b *Body) Read(p []byte) (int, error) {
	if b.off >= b.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), b.size-b.off))
	b.fill(p[:n], b.off)
	b.off += int64(n)
	return n, nil
}

// Seek implements io.Seeker.
func (b *Body) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.off
	case io.SeekEnd:
		offset += b.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the start of the body")
	}
	b.off = offset
	return offset, nil
}

// fill writes the bytes from off on. Each block carries its number: a repeated pattern would hide a body glued together wrongly.
func (b *Body) fill(p []byte, off int64) {
	var line [block]byte
	copy(line[16:], b.name)
	line[block-1] = '\n'
	for len(p) > 0 {
		var number [8]byte
		binary.BigEndian.PutUint64(number[:], uint64(off/block))
		hex.Encode(line[:16], number[:])
		n := copy(p, line[off%block:])
		p, off = p[n:], off+int64(n)
	}
}

// Verify passes a body through and fails the read in which it stops being the body of the key. The end is not checked: whoever reads
// knows from Content-Length or chunking whether it came.
func Verify(key string, r io.Reader) io.Reader { return &verifier{want: New(key, MaxBytes), r: r} }

type verifier struct {
	want *Body
	r    io.Reader
	buf  []byte
}

// ErrWrongBody is what a read through Verify fails with.
var ErrWrongBody = errors.New("wrong body")

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	if n > 0 {
		if cap(v.buf) < n {
			v.buf = make([]byte, n)
		}
		buf := v.buf[:n]
		v.want.fill(buf, v.want.off)
		if string(buf) != string(p[:n]) {
			return 0, fmt.Errorf("%w at or after byte %d", ErrWrongBody, v.want.off)
		}
		v.want.off += int64(n)
	}
	return n, err
}

// IsObject tells whether a path is one that Path makes.
func IsObject(path string) bool { return strings.HasPrefix(path, "/obj/") && len(path) > len("/obj/") }
