// Package testport chooses loopback ports for servers that a test starts by their address.
//
// They lie below the range from which the kernel takes the local ports of outgoing connections. Inside it, a connection of any process may
// have taken the port before the server does, and a client that dials a server which is down can connect to itself.
package testport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
)

const lowest, number = 20_000, 10_000

// next makes no port come twice in one process: the server of the first may have yet to take it.
var next atomic.Uint32

// first is where this process begins, so that two at once hardly ever choose the same.
var first = rand.IntN(number) //nolint:gosec // a port, no secret

// Free returns an address such as 127.0.0.1:23456 where nobody listens.
func Free(t testing.TB) string {
	t.Helper()
	ports, err := Take(1)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0]))
}

// Take returns as many ports where nobody listens.
func Take(n int) (ports []int, err error) {
	for range number {
		port := lowest + (first+int(next.Add(1)))%number
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		_ = l.Close()
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("found %d free ports from %d to %d, want %d", len(ports), lowest, lowest+number-1, n)
}
