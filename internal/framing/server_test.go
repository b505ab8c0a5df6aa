package framing

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/internal/testleak"
)

func TestMain(m *testing.M) { os.Exit(testleak.Main(m)) }

// serve runs a real server behind a guard until the test ends, and returns its address and the reasons of its refusals.
func serve(t testing.TB, server *http.Server) (address string, refused <-chan Reason) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, server, inner)
}

func serveOn(t testing.TB, server *http.Server, inner net.Listener) (string, <-chan Reason) {
	t.Helper()
	reasons := make(chan Reason, 1000)
	if server.Protocols == nil {
		server.Protocols = new(http.Protocols)
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetUnencryptedHTTP2(true)
	}
	guarded := Listen(inner, Options{MaxHead: 1 << 10, HTTP2: true, Linger: 100 * time.Millisecond, OnRefusal: func(r Reason) { reasons <- r }, Logger: zerolog.Nop()})
	done := make(chan error, 1)
	go func() { done <- server.Serve(guarded) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
	return inner.Addr().String(), reasons
}

func dial(t testing.TB, address string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c.(*net.TCPConn)
}

func write(t testing.TB, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatalf("write: %v", err)
	}
}

// answers reads responses to the end of the connection: status and body of each.
func answers(t testing.TB, r io.Reader) (got []string) {
	t.Helper()
	buffered := bufio.NewReader(r)
	for {
		if _, err := buffered.Peek(1); err != nil {
			return got
		}
		response, err := http.ReadResponse(buffered, nil)
		if err != nil {
			t.Errorf("after %q there is no response: %v", got, err)
			return got
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Errorf("body of response %d: %v", len(got), err)
		}
		got = append(got, fmt.Sprintf("%d %s", response.StatusCode, body))
	}
}

// echo answers with method, target and body, and 418 if there is an error in the body.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	fmt.Fprintf(w, "%s %s %s", r.Method, r.RequestURI, body)
}

// TestCorpusThroughAServer sends every stream that the parser refuses, whole and in pieces: what came before it is answered, then the
// refusal, then nothing, and no handler has seen the refused request.
func TestCorpusThroughAServer(t *testing.T) {
	address, refused := serve(t, &http.Server{Handler: http.HandlerFunc(echo), ReadHeaderTimeout: 10 * time.Second})
	for _, c := range refusals {
		for _, piece := range []int{len(c.stream), 7, 1} {
			t.Run(fmt.Sprintf("%s/%d", c.section, piece), func(t *testing.T) {
				t.Parallel()
				v := byteByByte(c.stream)
				var want []string
				for i := range v.messages {
					want = append(want, []string{"200 GET / ", "200 POST /p hello"}[min(i, 1)])
				}
				if strings.HasPrefix(c.stream, post) {
					want = []string{"200 POST /p hello"}
				}
				switch {
				case v.inHead:
					want = append(want, fmt.Sprintf("%d %[1]d %s: %s\n", c.reason.Status(), http.StatusText(c.reason.Status()), c.reason))
				default:
					want = append(want, "418 ")
				}
				client := dial(t, address)
				go func() {
					for at := 0; at < len(c.stream); at += piece {
						if _, err := io.WriteString(client, c.stream[at:min(at+piece, len(c.stream))]); err != nil {
							return
						}
					}
				}()
				if got := answers(t, client); strings.Join(got, "|") != strings.Join(want, "|") {
					t.Errorf("%q in pieces of %d: %q, want %q", c.stream, piece, got, want)
				}
			})
		}
	}
	t.Cleanup(func() {
		counts := map[Reason]int{}
		for len(refused) > 0 {
			counts[<-refused]++
		}
		for _, c := range refusals {
			counts[c.reason] -= 3
		}
		for reason, excess := range counts {
			if excess != 0 {
				t.Errorf("%s was counted %+d times too often", reason, excess)
			}
		}
	})
}

// TestARefusalWaitsForEarlierAnswers is about the interleavings that an error at the wrong time would spoil: a handler runs while the bad
// bytes arrive, at every place where net/http may be reading ahead.
func TestARefusalWaitsForEarlierAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		before, during string
		want           int
	}{
		"with the request":                      {get + "GET  / HTTP/1.1\r\n\r\n", "", 400},
		"later":                                 {get, "GET  / HTTP/1.1\r\n\r\n", 400},
		"later, first byte":                     {get, "\x00", 400},
		"its start was read ahead":              {get + "GET ", " / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"all but its end was read ahead":        {get + "GET / HTTP/1.1\r\nHost: a\r\n\r", "\x00\n" + get, 400},
		"the head of a body was read ahead":     {get + upload, "x\r\n", 418},
		"a piece of its body was read ahead":    {get + upload + "5\r\nhello\r\n", "x\r\n", 418},
		"the start of a preface was read ahead": {get + "PRI * HTTP/2.0\r", "\x00", 505},
	} {
		t.Run(name, func(t *testing.T) {
			var once sync.Once
			running, proceed := make(chan struct{}), make(chan struct{})
			address, refused := serve(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				once.Do(func() {
					_, _ = io.WriteString(w, "first half, ")
					_ = http.NewResponseController(w).Flush()
					close(running)
					<-proceed
					if err := r.Context().Err(); err != nil {
						t.Errorf("a good request was cancelled by the one behind it: %v", err)
					}
				})
				if _, err := io.Copy(io.Discard, r.Body); err != nil {
					w.WriteHeader(http.StatusTeapot)
				}
				_, _ = io.WriteString(w, "second half")
			})})
			client := dial(t, address)
			write(t, client, c.before)
			<-running
			write(t, client, c.during)
			select {
			case <-refused:
				// net/http has had its byte by now, or is about to; either way the handler must not notice.
				time.Sleep(20 * time.Millisecond)
			case <-time.After(100 * time.Millisecond): // the bad byte is behind the one that is read ahead
			}
			close(proceed)
			got := answers(t, client)
			if len(got) != 2 || got[0] != "200 first half, second half" || !strings.HasPrefix(got[1], fmt.Sprint(c.want)) {
				t.Errorf("answers %q, want the whole first one, then %d", got, c.want)
			}
		})
	}
}

func TestHalfAPreface(t *testing.T) {
	address, refused := serve(t, &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a handler got %s %s", r.Method, r.RequestURI)
	})})
	for at := 4; at < len(preface); at++ {
		client := dial(t, address)
		write(t, client, preface[:at])
		time.Sleep(time.Millisecond)
		write(t, client, "\x01\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if got := answers(t, client); len(got) != 1 || !strings.HasPrefix(got[0], "400") {
			t.Errorf("%d bytes of the preface: %q", at, got)
		}
		if reason := <-refused; reason != Preface {
			t.Errorf("%d bytes of the preface: refused for %s", at, reason)
		}
		client.Close()
	}
	client := dial(t, address)
	write(t, client, preface[:20])
	client.Close() // nothing comes of it, least of all a request
}

func TestPipeliningAndSlowSenders(t *testing.T) {
	address, refused := serve(t, &http.Server{Handler: http.HandlerFunc(echo)})
	stream := get + post + "\r\n" + upload + "2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nDigest: x\r\n\r\n" + "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	want := "200 GET / |200 POST /p hello|200 POST /p hello|200 GET /last "
	for _, piece := range []int{len(stream), 100, 13, 1} {
		client := dial(t, address)
		go func() {
			for at := 0; at < len(stream); at += piece {
				_, _ = io.WriteString(client, stream[at:min(at+piece, len(stream))])
				if piece == 1 && at%16 == 0 {
					time.Sleep(time.Millisecond) // so that the bytes do arrive in pieces
				}
			}
		}()
		if got := strings.Join(answers(t, client), "|"); got != want {
			t.Errorf("in pieces of %d: %q, want %q", piece, got, want)
		}
	}
	if len(refused) > 0 {
		t.Errorf("refused for %s", <-refused)
	}
}

func TestClientsOfNetHTTP(t *testing.T) {
	address, refused := serve(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%s %d %v %v %s", r.Proto, n, r.TransferEncoding, err, r.Trailer.Get("X-End"))
	})})
	for name, c := range map[string]struct {
		http2, expect, chunked bool
		want                   string
	}{
		"length":             {want: "HTTP/1.1 1000000 [] <nil> "},
		"chunked, trailers":  {chunked: true, want: "HTTP/1.1 1000000 [chunked] <nil> end"},
		"expect":             {expect: true, want: "HTTP/1.1 1000000 [] <nil> "},
		"expect, chunked":    {expect: true, chunked: true, want: "HTTP/1.1 1000000 [chunked] <nil> end"},
		"h2 prior knowledge": {http2: true, want: "HTTP/2.0 1000000 [] <nil> "},
	} {
		t.Run(name, func(t *testing.T) {
			transport := &http.Transport{ExpectContinueTimeout: time.Minute, Protocols: new(http.Protocols)}
			transport.Protocols.SetHTTP1(!c.http2)
			transport.Protocols.SetUnencryptedHTTP2(c.http2)
			defer transport.CloseIdleConnections()
			for range 3 { // the same connection
				var body io.Reader = bytes.NewReader(make([]byte, 1e6))
				if c.chunked {
					body = onlyReader{body}
				}
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/", body)
				if err != nil {
					t.Fatal(err)
				}
				if c.chunked {
					r.Trailer = http.Header{"X-End": {"end"}}
				}
				if c.expect {
					r.Header.Set("Expect", "100-continue")
				}
				began := time.Now()
				response, err := transport.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				got, _ := io.ReadAll(response.Body)
				response.Body.Close()
				if string(got) != c.want {
					t.Errorf("%q, want %q", got, c.want)
				}
				if took := time.Since(began); took > 30*time.Second {
					t.Errorf("took %v: 100 Continue did not come", took)
				}
			}
		})
	}
	if len(refused) > 0 {
		t.Errorf("refused for %s", <-refused)
	}
}

func TestAClientThatLeavesCancelsItsRequest(t *testing.T) {
	running, cancelled := make(chan struct{}), make(chan struct{})
	address, refused := serve(t, &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(running)
		<-r.Context().Done()
		close(cancelled)
	})})
	client := dial(t, address)
	write(t, client, get)
	<-running
	client.Close()
	select {
	case <-cancelled:
	case <-time.After(time.Minute):
		t.Error("the handler was not told")
	}
	if len(refused) > 0 {
		t.Errorf("leaving is not refused: %s", <-refused)
	}
}

func TestDeadlinesStillEndConnections(t *testing.T) {
	address, _ := serve(t, &http.Server{Handler: http.HandlerFunc(echo), ReadHeaderTimeout: 50 * time.Millisecond, IdleTimeout: 50 * time.Millisecond})
	for name, start := range map[string]string{"no head": "", "half a head": "GET / HT", "idle": get, "half a preface": preface[:20]} {
		client := dial(t, address)
		write(t, client, start)
		began := time.Now()
		answers(t, client)
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("%s: open for %v", name, took)
		}
	}
}

func TestShutdownWaitsForRunningAndClosesIdle(t *testing.T) {
	running, proceed := make(chan struct{}), make(chan struct{})
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.RequestURI == "/p" {
			close(running)
			<-proceed
		}
		echo(w, r)
	})}
	address, _ := serve(t, server)
	idle, busy := dial(t, address), dial(t, address)
	write(t, idle, get)
	if _, err := idle.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	write(t, busy, post)
	<-running
	ended := make(chan error, 1)
	go func() { ended <- server.Shutdown(t.Context()) }()
	if _, err := io.Copy(io.Discard, idle); err != nil {
		t.Errorf("the idle connection was not closed in order: %v", err)
	}
	select {
	case err := <-ended:
		t.Errorf("Shutdown did not wait: %v", err)
	default:
	}
	close(proceed)
	if got := answers(t, busy); len(got) != 1 || got[0] != "200 POST /p hello" {
		t.Errorf("the running request got %q", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("shut down: %v", err)
	}
}

// TestRefusedClientsDoNotHoldUpShutdown refuses a client that neither reads nor leaves.
func TestRefusedClientsDoNotHoldUpShutdown(t *testing.T) {
	server := &http.Server{Handler: http.HandlerFunc(echo)}
	address, refused := serve(t, server)
	client := dial(t, address)
	write(t, client, "GET  ")
	<-refused
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		t.Errorf("shut down: %v", err)
	}
}

func TestHijackedConnectionsAreReleased(t *testing.T) {
	address, refused := serve(t, &http.Server{ConnState: ReleaseHijacked, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("hijack: %v", err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		line, _ := rw.ReadString('!')
		_, _ = io.WriteString(conn, line)
	})})
	client := dial(t, address)
	write(t, client, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
	if _, err := http.ReadResponse(bufio.NewReaderSize(client, 16), nil); err != nil {
		t.Fatal(err)
	}
	write(t, client, "\x00\n \x7f!")
	if got, _ := io.ReadAll(client); string(got) != "\x00\n \x7f!" {
		t.Errorf("the other protocol came back as %q", got)
	}
	if len(refused) > 0 {
		t.Errorf("refused for %s", <-refused)
	}
}

func TestOverTLS(t *testing.T) {
	certificate := httptest.NewUnstartedServer(nil)
	certificate.StartTLS()
	config := &tls.Config{Certificates: certificate.TLS.Certificates, NextProtos: []string{"http/1.1"}}
	pool := certificate.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	certificate.Close()
	inner, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	address, refused := serveOn(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || !r.TLS.HandshakeComplete || r.TLS.NegotiatedProtocol != "http/1.1" {
			t.Errorf("TLS of the request: %+v", r.TLS)
		}
		echo(w, r)
	})}, inner)
	client, err := tls.Dial("tcp", address, &tls.Config{RootCAs: pool, ServerName: "example.com", NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	write(t, client, post+"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n")
	if got := strings.Join(answers(t, client), "|"); got != "200 POST /p hello|400 400 Bad Request: whitespace-after-name\n" {
		t.Errorf("answers %q", got)
	}
	if reason := <-refused; reason != WhitespaceAfterName {
		t.Errorf("refused for %s", reason)
	}
	stranger := dial(t, address)
	write(t, stranger, get) // no TLS: the handshake fails, and nothing else happens
	_, _ = io.Copy(io.Discard, stranger)
}

func TestWhatNetHTTPLooksFor(t *testing.T) {
	var c any = &tcpConn{}
	if _, ok := c.(io.ReaderFrom); !ok {
		t.Error("no ReadFrom: files would be copied through user space")
	}
	if _, ok := c.(interface{ CloseWrite() error }); !ok {
		t.Error("no CloseWrite")
	}
	if _, ok := c.(io.WriterTo); ok {
		t.Error("WriteTo would read past the guard")
	}
	if _, ok := c.(interface{ ConnectionState() tls.ConnectionState }); ok {
		t.Error("net/http would take plain TCP for TLS")
	}
}

func TestFilesAreServed(t *testing.T) {
	content := strings.Repeat("0123456789abcdef", 1<<16)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	address, _ := serve(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) })})
	client := dial(t, address)
	write(t, client, get+get+"GET  ")
	got := answers(t, client)
	if len(got) != 3 || got[0] != "200 "+content || got[1] != got[0] || !strings.HasPrefix(got[2], "400") {
		t.Errorf("%d answers", len(got))
	}
}
