package rabbitmq

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/testrabbit"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t, file: filepath.Join(t.TempDir(), name+".pem")}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	writePEM(t, a.file, "CERTIFICATE", der)
	return a
}

// sign writes a certificate for a common name, which is good for 127.0.0.1 too, into two files.
func (a *authority) sign(name, certFile, keyFile string, until time.Time) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	writePEM(a.t, certFile, "CERTIFICATE", der)
	writePEM(a.t, keyFile, "PRIVATE KEY", secret)
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestCertificatesInPlaceOfPasswords talks to a real broker that wants a client certificate and takes the user from it.
func TestCertificatesInPlaceOfPasswords(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a RabbitMQ of its own: run without -short")
	}
	soon := time.Now().Add(time.Hour)
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	ca.sign("broker", in("broker.pem"), in("broker.key"), soon)
	b := testrabbit.Start(t, testrabbit.TLS(ca.file, in("broker.pem"), in("broker.key")))
	vhost := b.VHost(t)
	b.Declare(t, vhost)
	// A password that nobody is told: these users come with certificates.
	b.User(t, vhost, events.FleetRole(), "edge", "never-used")
	b.User(t, vhost, events.FleetRole(), "video", "never-used")
	var heard seen
	consuming(t.Context(), t, options(b, vhost), allTelemetry(), heard.handle)

	with := func(user, cert string) Options {
		return Options{
			Host: b.Host(), Port: b.TLSPort(), VHost: vhost, Username: user,
			TLS: TLS{Enabled: true, CAFile: ca.file, CertFile: in(cert + ".pem"), KeyFile: in(cert + ".key")},
		}
	}
	t.Run("the user is the certificate's", func(t *testing.T) {
		ca.sign("edge", in("edge.pem"), in("edge.key"), soon)
		p := running(t, with("edge", "edge"))
		eventually(t, "the publisher is up", 30*time.Second, func() bool { return p.State() == StateUp })
		p.Publish(rate(t, "edge", 1))
		eventually(t, "the message is heard", 30*time.Second, func() bool { return heard.last() == 1 })
	})
	t.Run("renewed without a restart", func(t *testing.T) {
		ca.sign("edge", in("renewed.pem"), in("renewed.key"), time.Now().Add(-time.Minute))
		var log syncBuffer
		o := with("edge", "renewed")
		o.Logger = zerolog.New(&log)
		p := running(t, o)
		eventually(t, "the expired certificate is refused", 30*time.Second, func() bool { return strings.Contains(log.String(), "expired") })
		ca.sign("edge", in("renewed.pem"), in("renewed.key"), soon)
		eventually(t, "the new one is taken", 30*time.Second, func() bool { return p.State() == StateUp })
		p.Publish(rate(t, "edge", 2))
		eventually(t, "the message is heard", 30*time.Second, func() bool { return heard.last() == 2 })
	})
	for _, test := range []struct {
		name, says string
		prepare    func() Options
	}{
		{"user of another fleet", "refused for user 'video'", func() Options {
			ca.sign("video", in("video.pem"), in("video.key"), soon)
			return with("edge", "video")
		}},
		{"user that the broker does not know", "username or password not allowed", func() Options {
			ca.sign("nobody", in("nobody.pem"), in("nobody.key"), soon)
			return with("nobody", "nobody")
		}},
		// The broker names the authorities that it takes, so the client sends none of another.
		{"certificate of another authority", "certificate required", func() Options {
			other.sign("edge", in("foreign.pem"), in("foreign.key"), soon)
			return with("edge", "foreign")
		}},
		{"no certificate", "certificate required", func() Options {
			o := with("edge", "edge")
			o.TLS.CertFile, o.TLS.KeyFile, o.PasswordFile = "", "", writeFile(t, "never-used")
			return o
		}},
		{"certificate without its key", "read AMQP certificate", func() Options {
			o := with("edge", "edge")
			o.TLS.KeyFile = in("broker.key")
			return o
		}},
		{"broker of another authority", "certificate signed by unknown authority", func() Options {
			o := with("edge", "edge")
			o.TLS.CAFile = other.file
			return o
		}},
		{"broker of another name", "broker.invalid", func() Options {
			o := with("edge", "edge")
			o.TLS.ServerName = "broker.invalid"
			return o
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := test.prepare()
			var log syncBuffer
			o.Logger = zerolog.New(&log)
			o.MaxAge = time.Minute // the handshake of a busy machine must not outlast what is to be refused
			p := running(t, o)
			p.Publish(rate(t, "edge", 3))
			for end := time.Now().Add(time.Minute); !strings.Contains(log.String(), test.says) && time.Now().Before(end); {
				time.Sleep(10 * time.Millisecond)
			}
			if text := log.String(); !strings.Contains(text, test.says) || strings.Contains(text, "never-used") {
				t.Errorf("the log does not say %q, or holds a password:\n%s", test.says, text)
			}
		})
	}
	if seqs := heard.all(); len(seqs) != 2 {
		t.Errorf("heard %v, want what the two good certificates sent", seqs)
	}
}
