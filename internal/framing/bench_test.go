package framing

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// A browser's request for a segment of video, and the least that a client sends.
const (
	browser = "GET /live/channel-7/1080p/segment-000123456.m4s HTTP/1.1\r\nHost: video.example\r\nConnection: keep-alive\r\n" +
		"sec-ch-ua-platform: \"Linux\"\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n" +
		"sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"\r\nsec-ch-ua-mobile: ?0\r\nAccept: */*\r\nOrigin: https://www.video.example\r\n" +
		"Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\nReferer: https://www.video.example/live/channel-7\r\n" +
		"Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\r\n"
	least = "GET / HTTP/1.1\r\nHost: video.example\r\n\r\n"
)

var heads = []struct{ name, head string }{{"browser", browser}, {"least", least}}

// BenchmarkParser is the guard's own work: one head.
func BenchmarkParser(b *testing.B) {
	for _, h := range heads {
		b.Run(h.name, func(b *testing.B) {
			head := []byte(h.head)
			p := NewParser(64<<10, true)
			b.SetBytes(int64(len(head)))
			b.ReportAllocs()
			for b.Loop() {
				if _, reason := p.Parse(head); reason != Accepted {
					b.Fatal(reason)
				}
			}
		})
	}
}

// again is a connection from which the same head is read again and again.
type again struct {
	net.Conn
	head []byte
	at   int
}

func (a *again) Read(b []byte) (int, error) {
	n := copy(b, a.head[a.at:])
	if a.at += n; a.at == len(a.head) {
		a.at = 0
	}
	return n, nil
}

// BenchmarkReadRequest is the work of net/http on a head, without and with the guard below it, in turn within one run.
func BenchmarkReadRequest(b *testing.B) {
	for _, h := range heads {
		b.Run(h.name, func(b *testing.B) {
			bare := &again{head: []byte(h.head)}
			guarded := new(Conn)
			guarded.guard(&again{head: []byte(h.head)}, &Options{MaxHead: 64 << 10}, true)
			compare(b, readRequests(b, bare), readRequests(b, guarded))
		})
	}
}

func readRequests(b *testing.B, from io.Reader) func() {
	r := bufio.NewReader(from)
	return func() {
		if _, err := http.ReadRequest(r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkServer is a whole exchange on a keep-alive connection through the loopback interface, without and with the guard, in turn
// within one run.
func BenchmarkServer(b *testing.B) {
	for _, h := range heads {
		b.Run(h.name, func(b *testing.B) {
			var exchanges [2]func()
			for i := range exchanges {
				inner, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					b.Fatal(err)
				}
				server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })}
				listener := inner
				if i == 1 {
					listener = Listen(inner, Options{})
				}
				go func() { _ = server.Serve(listener) }()
				defer server.Close()
				client := dial(b, inner.Addr().String())
				_ = client.SetDeadline(time.Time{})
				buffer := make([]byte, 4096)
				exchanges[i] = func() {
					if _, err := client.Write([]byte(h.head)); err != nil {
						b.Fatal(err)
					}
					for n, end := 0, []byte("\r\n\r\nok"); !bytes.HasSuffix(buffer[:n], end); {
						more, err := client.Read(buffer[n:])
						if err != nil {
							b.Fatal(err)
						}
						n += more
					}
				}
			}
			compare(b, exchanges[0], exchanges[1])
		})
	}
}

// compare times both, a batch of each in turn, so that both have the same neighbours on the machine.
func compare(b *testing.B, bare, guarded func()) {
	const batch = 64
	var took [2]time.Duration
	operations := 0
	for b.Loop() {
		for i, f := range [...]func(){bare, guarded} {
			began := time.Now()
			for range batch {
				f()
			}
			took[i] += time.Since(began)
		}
		operations += batch
	}
	b.ReportMetric(0, "ns/op") // of both together, which says nothing
	b.ReportMetric(float64(took[0].Nanoseconds())/float64(operations), "bare-ns")
	b.ReportMetric(float64(took[1].Nanoseconds())/float64(operations), "guarded-ns")
	b.ReportMetric(float64(took[1])/float64(took[0]), "ratio")
	b.ReportMetric(testing.AllocsPerRun(100, bare), "bare-allocs")
	b.ReportMetric(testing.AllocsPerRun(100, guarded), "guarded-allocs")
}
