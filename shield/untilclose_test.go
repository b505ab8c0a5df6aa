package shield

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// scripted is an origin that answers each request on a connection with the next of texts, cut into pieces, and closes the connection
// after the last.
func scripted(t *testing.T, piece int, texts ...string) (url string, connections func() int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := make(chan int, 1)
	n <- 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			n <- <-n + 1
			buf := make([]byte, 4096)
			for _, text := range texts {
				if _, err := conn.Read(buf); err != nil {
					break
				}
				for len(text) > 0 {
					k := min(piece, len(text))
					if _, err := io.WriteString(conn, text[:k]); err != nil {
						break
					}
					text = text[k:]
					time.Sleep(100 * time.Microsecond)
				}
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return "http://" + l.Addr().String(), func() int { k := <-n; n <- k; return k }
}

// TestAContentThatEndsWithTheConnection is RFC 9112, section 6.3, rule 4: a transfer coding that is not chunked.
func TestAContentThatEndsWithTheConnection(t *testing.T) {
	const plain = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain"
	for name, c := range map[string]struct {
		text string
		want string // empty: refused
	}{
		"unknown coding":         {"HTTP/1.1 200 OK\r\ntransfer-ENCODING:  abc \r\nConnection: keep-alive\r\n\r\nbody", "body"},
		"identity":               {"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nX: y\r\n\r\nbody", "body"},
		"with a length":          {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: abc\r\n\r\nbody", ""},
		"kept, with a length":    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 4\r\n\r\nbody", ""},
		"what follows":           {"HTTP/1.1 200 OK\r\nTransfer-Encoding: abc\r\n\r\n" + plain, plain},
		"after interim":          {"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: abc\r\n\r\nbody", "body"},
		"chunked":                {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", "body"},
		"in the body":            {"HTTP/1.1 200 OK\r\nContent-Length: 34\r\n\r\nTransfer-Encoding: abc\r\n\r\nTransfer-", "Transfer-Encoding: abc\r\n\r\nTransfer-"},
		"a coding to be decoded": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nbody", ""},
		"chunked last":           {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", ""},
		"twice":                  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: abc\r\nTransfer-Encoding: chunked\r\n\r\nbody", ""},
		"cut head":               {"HTTP/1.1 200 OK\r\nTransfer-Encoding: abc\r\n", ""},
	} {
		for _, piece := range []int{1, 7, 4096} {
			want := c.want
			if name == "in the body" {
				want = "Transfer-Encoding: abc\r\n\r\nTransfer-"[:34]
			}
			url, connections := scripted(t, piece, plain, c.text)
			o := several(t, url)
			if code, text, err := send(t, o, "GET", nil); code != 200 || text != "plain" || err != nil {
				t.Fatalf("%s: the response before: %d %q, %v", name, code, text, err)
			}
			code, text, err := send(t, o, "GET", nil)
			if want == "" {
				if err == nil {
					t.Errorf("%s in pieces of %d: %d %q, want an error", name, piece, code, text)
				}
				continue
			}
			if code != 200 || text != want || err != nil {
				t.Errorf("%s in pieces of %d: %d %q, %v; want %q", name, piece, code, text, err, want)
			}
			if n := connections(); n != 1 {
				t.Errorf("%s: %d connections", name, n)
			}
		}
	}
}

// readerConn is a connection from which a reader's bytes arrive.
type readerConn struct {
	net.Conn
	r io.Reader
}

func (c readerConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// What has no foreign coding passes byte for byte, in whatever pieces it comes; and what has one passes the same way in any pieces.
func FuzzHeadConn(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: abc\r\nContent-Length: 3\r\n\r\nbody"))
	f.Add([]byte("HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\nA: b\n\nbody"))
	f.Add([]byte("HTTP/1.1 101 Switching\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: x\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		read := func(r io.Reader) []byte {
			c := &headConn{Conn: readerConn{r: r}}
			c.awaitHead()
			out, err := io.ReadAll(c)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		whole := read(bytes.NewReader(in))
		if single := read(iotest.OneByteReader(bytes.NewReader(in))); !bytes.Equal(whole, single) {
			t.Fatalf("%q: in one piece %q, byte by byte %q", in, whole, single)
		}
		if !bytes.Contains(bytes.ToLower(in), []byte("transfer-encoding:")) && !bytes.Equal(in, whole) {
			t.Fatalf("%q became %q", in, whole)
		}
		if n := strings.Count(string(whole), "Connection: close\r\n") - strings.Count(string(in), "Connection: close\r\n"); n < -1 || n > 1 {
			t.Fatalf("%q became %q", in, whole)
		}
	})
}
