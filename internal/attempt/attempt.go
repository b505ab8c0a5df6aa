// Package attempt says what may be sent once more after an attempt to forward a request has failed, and keeps the request's body for that.
package attempt

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
)

// NotConnected reports whether the last thing that failed was to connect, so that nothing can have been sent. The transport itself repeats
// on a new connection what it sent on one that turned out to be closed, but only what may be repeated.
func NotConnected(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// BrokeBeforeResponse reports whether the connection ended before the head of a response, as when the other process is killed.
func BrokeBeforeResponse(err error) bool {
	for _, broken := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, broken) {
			return true
		}
	}
	return false
}

// Repeatable reports whether a request that may have been acted on may be sent again: it is safe (RFC 9110, section 9.2.2) and has no body.
func Repeatable(r *http.Request) bool {
	switch r.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions:
		return r.Body == nil || r.Body == http.NoBody
	}
	return false
}

// CloseBody closes the body of a request that is not sent, as RoundTrip has to.
func CloseBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}

// Body keeps a request's body open over attempts: a transport closes the body of a request that it could not connect for, and the next
// attempt needs it. A nil Body is the body of a request without one. It is safe for concurrent use.
type Body struct {
	io.ReadCloser
	mu       sync.Mutex
	closed   bool // guarded by mu: a transport closed it
	released bool // guarded by mu: no further attempt will come
}

// Hold returns the body of a request, nil if it has none.
func Hold(r *http.Request) *Body {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	return &Body{ReadCloser: r.Body}
}

// Close is what the transport calls, at any time, even after RoundTrip has returned.
func (b *Body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.released {
		return b.ReadCloser.Close()
	}
	return nil
}

// Release says that no further attempt will come.
func (b *Body) Release() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.released = true
	if b.closed {
		_ = b.ReadCloser.Close()
	}
}
