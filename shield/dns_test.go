package shield

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// zone is a name server on loopback whose answers a test sets. It is safe for concurrent use.
type zone struct {
	conn net.PacketConn
	mu   sync.Mutex
	has  map[string][]netip.Addr // by name with a dot at the end; guarded by mu
}

func newZone(t *testing.T) *zone {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	z := &zone{conn: conn, has: map[string][]netip.Addr{}}
	ended := make(chan struct{})
	go func() { defer close(ended); z.serve() }()
	t.Cleanup(func() { conn.Close(); <-ended })
	return z
}

func (z *zone) set(name string, addresses ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.has[name+"."] = nil
	for _, a := range addresses {
		z.has[name+"."] = append(z.has[name+"."], netip.MustParseAddr(a))
	}
}

func (z *zone) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", z.conn.LocalAddr().String())
	}}
}

func (z *zone) serve() {
	buffer := make([]byte, 1500)
	for {
		n, from, err := z.conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buffer[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		z.answer(&m)
		if packed, err := m.Pack(); err == nil {
			_, _ = z.conn.WriteTo(packed, from)
		}
	}
}

func (z *zone) answer(m *dnsmessage.Message) {
	q := m.Questions[0]
	z.mu.Lock()
	addresses, known := z.has[q.Name.String()]
	z.mu.Unlock()
	m.Response, m.Authoritative, m.RecursionAvailable = true, true, true
	m.Additionals = nil
	if !known {
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, a := range addresses {
		h := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, Type: q.Type}
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
}
