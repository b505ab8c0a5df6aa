package shield

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync/atomic"
)

// maxHead bounds how much of a response is held back while its head is incomplete. What is longer is left to net/http, which refuses it.
const maxHead = 64 << 10

// headConn is a connection to an origin on which responses with a transfer coding that is neither chunked nor known can be read: by RFC
// 9112, section 6.3, such a content ends where the connection does, but net/http refuses the response. The head is changed before net/http
// sees it: the coding is taken out, and Connection: close put in, after which net/http reads on to the end and never uses the
// connection again. So nothing that follows can be taken for another response. A response with a length besides is left as it is, and
// refused: a server that sends both means to keep the connection, and its end would never come. Connections with TLS are not looked at.
type headConn struct {
	net.Conn
	awaited atomic.Bool // the next bytes to arrive are the head of a response
	held    []byte      // of a head that is not complete, or not looked at; belongs to Read
	ready   []byte      // to be passed on; belongs to Read
}

// awaitHead is called before a request goes out on a connection on which nothing else is under way.
func (c *headConn) awaitHead() { c.awaited.Store(true) }

// Read reads as the connection does, but looks at each head as a whole first.
func (c *headConn) Read(p []byte) (int, error) {
	var err error
	for len(c.ready) == 0 && err == nil {
		if end := headEnd(c.held); c.awaited.Load() && (end > 0 || len(c.held) > maxHead) {
			c.look(end)
			break
		}
		var n int
		n, err = c.Conn.Read(p)
		if len(c.held) == 0 {
			if !c.awaited.Load() {
				return n, err
			}
			if end := headEnd(p[:n]); end > 0 && !untilClose(p[:end]) && !isInterim(p[:end]) {
				c.awaited.Store(false) // as nearly always: nothing to change, nothing to copy
				return n, err
			}
		}
		c.held = append(c.held, p[:n]...)
	}
	if len(c.ready) == 0 { // the connection ended within a head
		c.ready, c.held = c.held, nil
	}
	n := copy(p, c.ready)
	c.ready = c.ready[n:]
	if len(c.ready) > 0 {
		err = nil // it will come again
	}
	return n, err
}

// look makes the head that ends at end ready, and what follows it too unless that is another head.
func (c *headConn) look(end int) {
	switch head := c.held[:end]; {
	case isInterim(head):
		c.ready, c.held = head, c.held[end:]
		return
	case untilClose(head):
		c.ready = append(endsWithConnection(head), c.held[end:]...)
	default:
		c.ready = c.held
	}
	c.held = nil
	c.awaited.Store(false)
}

// headEnd is where a head ends, after its empty line, or 0.
func headEnd(b []byte) int {
	for i := 0; ; {
		j := bytes.IndexByte(b[i:], '\n')
		if j < 0 {
			return 0
		}
		i += j + 1
		if i < len(b) && b[i] == '\n' {
			return i + 1
		}
		if i+1 < len(b) && b[i] == '\r' && b[i+1] == '\n' {
			return i + 2
		}
	}
}

// isInterim reports whether a head is of a 1xx response other than 101, which another response follows.
func isInterim(head []byte) bool {
	_, status, _ := bytes.Cut(head, []byte(" "))
	return len(status) >= 3 && status[0] == '1' && !bytes.HasPrefix(status, []byte("101"))
}

// untilClose reports whether the one transfer coding that a head names is neither chunked nor one that would have to be decoded, and there
// is no length.
func untilClose(head []byte) bool {
	found := false
	for line := range bytes.Lines(head) {
		if _, ok := fieldValue(line, "content-length"); ok {
			return false
		}
		value, ok := fieldValue(line, "transfer-encoding")
		if !ok {
			continue
		}
		switch strings.ToLower(value) {
		case "", "chunked", "gzip", "x-gzip", "deflate", "compress", "x-compress":
			return false
		}
		if found || strings.Contains(value, ",") {
			return false // a list of codings, which net/http refuses
		}
		found = true
	}
	return found
}

// endsWithConnection is a head that says so.
func endsWithConnection(head []byte) []byte {
	out := make([]byte, 0, len(head)+len("Connection: close\r\n"))
	first := true
	for line := range bytes.Lines(head) {
		if _, coding := fieldValue(line, "transfer-encoding"); !coding {
			out = append(out, line...)
		}
		if first {
			out, first = append(out, "Connection: close\r\n"...), false
		}
	}
	return out
}

// fieldValue is the value of a field line, if that has the name.
func fieldValue(line []byte, name string) (string, bool) {
	if len(line) <= len(name) || line[len(name)] != ':' || !strings.EqualFold(string(line[:len(name)]), name) {
		return "", false
	}
	return string(bytes.Trim(line[len(name)+1:], " \t\r\n")), true
}

// untilCloseDial makes the connections of dial ones that can read such responses.
func untilCloseDial(dial func(ctx context.Context, network, address string) (net.Conn, error)) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &headConn{Conn: conn}, nil
	}
}
