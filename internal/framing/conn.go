package framing

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is a guarded connection. Only Read differs from the connection underneath; it is for one goroutine at a time, as http.Server
// calls it.
type Conn struct {
	net.Conn
	options  *Options
	parser   Parser
	err      error // of a refused request, from then on
	filled   bool  // the filler has been read
	answered bool
	released atomic.Bool
}

func (c *Conn) guard(inner net.Conn, o *Options, http2 bool) {
	c.Conn, c.options, c.parser = inner, o, NewParser(o.MaxHead, http2)
}

// A Refusal is the error that ends a connection.
type Refusal struct{ Reason Reason }

func (r *Refusal) Error() string { return "refused by its framing: " + r.Reason.String() }

// NetConn returns the connection underneath. What is read from it is not guarded.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Release hands on unread whatever comes after: for a handler that has taken over the connection for a protocol that is not HTTP. A
// connection that has already been refused stays so. It is safe for concurrent use.
func (c *Conn) Release() { c.released.Store(true) }

// ReleaseHijacked is for http.Server.ConnState where handlers hijack: it releases the connection before the handler gets it.
func ReleaseHijacked(c net.Conn, s http.ConnState) {
	if guarded, ok := c.(interface{ Release() }); ok && s == http.StateHijacked {
		guarded.Release()
	}
}

// Read reads what has been found in order.
func (c *Conn) Read(b []byte) (int, error) {
	if c.err != nil {
		return c.readRefused(b)
	}
	n, err := c.Conn.Read(b)
	if n <= 0 || c.released.Load() {
		return n, err
	}
	accepted, reason := c.parser.Parse(b[:n])
	for reason == Accepted && err == nil && c.parser.Hold() {
		// At most six bytes are missing. net/http asks for exactly as many as the preface has, so there is room.
		if n == len(b) {
			accepted, reason = 0, Preface
			break
		}
		var more int
		if more, err = c.Conn.Read(b[n:]); more == 0 {
			return 0, err
		}
		_, reason = c.parser.Parse(b[n : n+more])
		n += more
		accepted = 0
	}
	if reason == Accepted {
		return n, err
	}
	c.refuse(reason)
	if accepted > 0 {
		return accepted, nil
	}
	return c.readRefused(b)
}

func (c *Conn) refuse(reason Reason) {
	// On a failed read of the network net/http closes in silence. On any other error it would answer 400, whatever the status should be.
	c.err = &net.OpError{Op: "read", Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: &Refusal{reason}}
	if c.options.OnRefusal != nil {
		c.options.OnRefusal(reason)
	}
	c.options.Logger.Debug().Stringer("reason", reason).Stringer("client", c.RemoteAddr()).Msg("request refused by its framing")
}

func (c *Conn) readRefused(b []byte) (int, error) {
	switch {
	case len(b) == 0:
		return 0, nil
	case !c.filled:
		// A letter goes on with whatever was begun, and ends nothing.
		c.filled = true
		b[0] = 'X'
		return 1, nil
	case !c.answered:
		c.answered = true
		if c.parser.InHead() {
			c.answer()
		}
	}
	return 0, c.err
}

// answer writes the last response of the connection, and waits a little for the client to take it: closing a connection with bytes unread
// resets it, and a reset may overtake the response.
func (c *Conn) answer() {
	status := c.parser.refused.Status()
	body := fmt.Sprintf("%d %s: %s\n", status, http.StatusText(status), c.parser.refused)
	response := fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), len(body), body)
	if c.Conn.SetDeadline(time.Now().Add(c.options.Linger)) != nil {
		return
	}
	if _, err := io.WriteString(c.Conn, response); err != nil {
		return
	}
	if half, ok := c.Conn.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, onlyReader{c.Conn}, maxLinger)
}

// onlyReader hides WriteTo, with which a *net.TCPConn would allocate a buffer of its own or a pipe.
type onlyReader struct{ io.Reader }

// tcpConn keeps what net/http looks for in a *net.TCPConn. It must not have WriteTo, which would read past the guard.
type tcpConn struct {
	Conn
	tcp *net.TCPConn
	raw syscall.RawConn // of tcp, once it was asked for
}

// sender is a source whose bytes the system can send without copying them.
type sender interface {
	// SendTo writes what is left to c. An error of ErrUnsupported means that nothing was written, and Read will do.
	SendTo(c syscall.RawConn) (int64, error)
}

// ReadFrom sends without copying, from files and from what has SendTo, where the system can. Like Write it is for one goroutine at a time.
func (c *tcpConn) ReadFrom(r io.Reader) (int64, error) {
	if s, ok := r.(sender); ok {
		if c.raw == nil {
			raw, err := c.tcp.SyscallConn()
			if err != nil {
				return 0, fmt.Errorf("send to %v: %w", c.RemoteAddr(), err)
			}
			c.raw = raw
		}
		if n, err := s.SendTo(c.raw); !errors.Is(err, errors.ErrUnsupported) {
			return n, err
		}
	}
	return c.tcp.ReadFrom(r)
}

// CloseWrite ends the response, and leaves the request readable.
func (c *tcpConn) CloseWrite() error { return c.tcp.CloseWrite() }

// tlsConn keeps what net/http looks for in a connection over TLS that is not a *tls.Conn.
type tlsConn struct {
	Conn
	tls       *tls.Conn
	handshake sync.Once
}

// handshakeTimeout bounds the handshake, which net/http leaves to us, without a deadline.
const handshakeTimeout = 10 * time.Second

// ConnectionState makes the handshake, if it has not been made. net/http asks first of all, from the connection's own goroutine. The
// error of a failed handshake comes with the first read.
func (c *tlsConn) ConnectionState() tls.ConnectionState {
	c.handshake.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
		defer cancel()
		_ = c.tls.HandshakeContext(ctx)
	})
	return c.tls.ConnectionState()
}

// CloseWrite ends the response, and leaves the request readable.
func (c *tlsConn) CloseWrite() error { return c.tls.CloseWrite() }
