package faults

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// link is one client's path to the broker.
type link struct {
	t     testing.TB
	proxy *toxiproxy.Proxy
}

func newLink(t testing.TB, broker string) *link {
	t.Helper()
	proxy := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), t.Name(), "127.0.0.1:0", broker)
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Stop)
	return &link{t, proxy}
}

// hostPort is where the client dials.
func (l *link) hostPort() (host string, port int) {
	host, text, _ := net.SplitHostPort(l.proxy.Listen)
	port, _ = strconv.Atoi(text)
	return host, port
}

func (l *link) toxic(json string) {
	l.t.Helper()
	if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(json)); err != nil {
		l.t.Fatal(err)
	}
}

// blackHole swallows what either side sends and closes nothing.
func (l *link) blackHole() {
	l.toxic(`{"name":"up","type":"timeout","stream":"upstream","attributes":{"timeout":0}}`)
	l.toxic(`{"name":"down","type":"timeout","stream":"downstream","attributes":{"timeout":0}}`)
}

// delay lets what the broker sends arrive late.
func (l *link) delay(by time.Duration) {
	l.toxic(`{"name":"late","type":"latency","stream":"downstream","attributes":{"latency":` + strconv.FormatInt(by.Milliseconds(), 10) + `}}`)
}

// reset breaks every connection with a TCP reset until heal.
func (l *link) reset() {
	l.toxic(`{"name":"reset","type":"reset_peer","stream":"downstream","attributes":{"timeout":0}}`)
}

func (l *link) heal() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	l.proxy.Toxics.ResetToxics(ctx)
}
