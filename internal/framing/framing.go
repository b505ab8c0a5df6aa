// Package framing reads the bytes of every HTTP/1.x connection before net/http does and refuses a request whose framing two readers could
// understand differently, which is what request smuggling lives on.
//
// net/http is lenient where no handler can see it: it takes Transfer-Encoding beside Content-Length, a bare LF as a line end, and folded
// field lines. Parser is the rule, without any I/O; Listener applies it to connections.
//
// # What a refused request does to its connection
//
// Nothing of a refused request that has not already been handed on is, and the LF that would complete its head never was. What net/http
// reads instead is one filler byte, then an error that it takes for a broken connection. The filler is what keeps answers in order.
// While a handler runs, net/http reads one byte ahead in the background, and an error there would cancel the request being answered,
// which was a good one. Having got its byte, it reads again only when all earlier responses have been written. So the read after the
// filler is the moment when a connection is quiet: there, and only there, the answer (400, 431, 501 or 505) is written, as the last thing.
//
// A body or trailers that break their framing get no answer here: their request is with a handler, which reads an error from the body and
// answers as it sees fit. The connection ends after that.
package framing

import (
	"crypto/tls"
	"net"
	"time"

	"github.com/rs/zerolog"
)

// Options say how strict a guard is, and whom it tells.
type Options struct {
	// MaxHead bounds the head of a request, from the request line to the empty line, in bytes. Zero is 64 KiB. It should not exceed
	// http.Server.MaxHeaderBytes, which then answers first, and the same. Raised, a client may keep more memory busy.
	MaxHead int
	// HTTP2 lets connections pass unread that begin with the preface of HTTP/2. Set it where the server speaks unencrypted HTTP/2, and
	// only there. It has no effect on TLS.
	HTTP2 bool
	// Linger is how long a refused client gets to read the answer and stop sending, before the connection is closed under it. Zero is
	// 500 ms, as in net/http. Raised, refused clients hold connections longer.
	Linger time.Duration
	// OnRefusal, if set, is called once for each refused request, from the goroutine that reads the connection. It must not block.
	OnRefusal func(Reason)
	// Logger gets one line per refusal, at debug.
	Logger zerolog.Logger
}

const (
	defaultMaxHead = 64 << 10
	defaultLinger  = 500 * time.Millisecond
	maxLinger      = 256 << 10 // bytes that are read and thrown away while lingering
)

// Listener guards the connections of another listener. A listener of TLS is wrapped from outside, so that the guard reads plain text;
// its tls.Config must offer no protocol but http/1.1, because net/http serves HTTP/2 over TLS only on a connection of type *tls.Conn.
// It is safe for concurrent use.
type Listener struct {
	net.Listener
	options Options
}

// Listen returns a guard around inner.
func Listen(inner net.Listener, o Options) *Listener {
	if o.MaxHead <= 0 {
		o.MaxHead = defaultMaxHead
	}
	if o.Linger <= 0 {
		o.Linger = defaultLinger
	}
	return &Listener{Listener: inner, options: o}
}

// Accept returns the next connection, guarded.
func (l *Listener) Accept() (net.Conn, error) {
	inner, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	switch inner := inner.(type) {
	case *net.TCPConn:
		c := &tcpConn{tcp: inner}
		c.guard(inner, &l.options, l.options.HTTP2)
		return c, nil
	case *tls.Conn:
		c := &tlsConn{tls: inner}
		c.guard(inner, &l.options, false)
		return c, nil
	default:
		c := new(Conn)
		c.guard(inner, &l.options, l.options.HTTP2)
		return c, nil
	}
}
