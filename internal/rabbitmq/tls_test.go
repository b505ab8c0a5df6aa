package rabbitmq

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// encrypted puts TLS in front of an address and returns the new one and the file of the certificate to trust.
func encrypted(t *testing.T, address string) (front, caFile string) {
	t.Helper()
	// The certificate that the standard library keeps for its tests is good for 127.0.0.1 and example.com.
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: server.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { relay(in, address) })
		}
	})
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(caFile, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String(), caFile
}

func relay(in net.Conn, address string) {
	defer in.Close()
	out, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer out.Close()
	var wg sync.WaitGroup
	for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
		wg.Go(func() {
			_, _ = io.Copy(pair[0], pair[1])
			// Either end closing ends both directions.
			in.Close()
			out.Close()
		})
	}
	wg.Wait()
}

func TestTLS(t *testing.T) {
	b := broker.Get(t)
	vhost := b.VHost(t)
	front, caFile := encrypted(t, b.Addr())
	url := "amqps://guest:guest@" + front + "/" + vhost

	trusting := running(t, Options{URL: url, TLS: TLS{CAFile: caFile}})
	eventually(t, "the publisher is up", 30*time.Second, func() bool { return trusting.State() == StateUp })
	trusting.Publish(rate(t, "guest", 1))
	eventually(t, "a message goes out", 30*time.Second, func() bool { return trusting.Counters().Published == 1 })

	for name, test := range map[string]struct {
		tls  TLS
		says string
	}{
		"unknown authority": {TLS{}, "certificate signed by unknown authority"},
		"other name":        {TLS{CAFile: caFile, ServerName: "broker.invalid"}, "broker.invalid"},
		"no certificate":    {TLS{CAFile: writeFile(t, "nothing")}, "holds no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			var log syncBuffer
			p := running(t, Options{URL: url, TLS: test.tls, Logger: zerolog.New(&log)})
			eventually(t, "the certificate is refused", 30*time.Second, func() bool { return strings.Contains(log.String(), test.says) })
			if p.State() == StateUp {
				t.Error("the publisher is up")
			}
		})
	}
}
