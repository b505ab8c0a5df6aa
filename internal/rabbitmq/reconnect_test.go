package rabbitmq

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/surgewall/surgewall/events"
)

// cutter dials connections that it can cut.
type cutter struct {
	mu    sync.Mutex
	conns []net.Conn
	open  atomic.Int64
	dials atomic.Int64
}

type cutConn struct {
	net.Conn
	closed func()
}

func (c *cutConn) Close() error {
	c.closed()
	return c.Conn.Close()
}

func (c *cutter) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.dials.Add(1)
	c.open.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns = append(c.conns, conn)
	return &cutConn{conn, sync.OnceFunc(func() { c.open.Add(-1) })}, nil
}

// cut resets every connection that was dialled since the last time.
func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, as from a process that died
		}
		_ = conn.Close()
	}
	c.conns = nil
}

// TestAThousandReconnectsLeakNothing cuts the connections of everything that has one, again and again: afterwards there are as many connections
// and goroutines as before, and everything works.
func TestAThousandReconnectsLeakNothing(t *testing.T) {
	b := broker.Get(t)
	vhost := b.VHost(t)
	b.Setup(t, vhost)
	rounds := 40 // of five connections
	switch {
	case testing.Short():
		rounds = 10
	case os.Getenv("SURGEWALL_FAULTS") == "full":
		rounds = 200
	}
	var cut cutter
	o := options(b, vhost)
	o.BackoffBase, o.BackoffCap, o.DialContext = time.Millisecond, 5*time.Millisecond, cut.dial

	publisher, confirmed := running(t, o), confirmer(t, o)
	var in seen
	consumer, _ := consuming(t.Context(), t, o, allTelemetry(), in.handle)
	var l log
	reader := reading(t, o, &l)
	worker, err := NewWorker(o, events.QueuePrefetch, 2, func(context.Context, events.Message) Verdict { return WorkDone })
	if err != nil {
		t.Fatal(err)
	}
	background(t, worker.Run)
	up := func() bool {
		return publisher.State() == StateUp && confirmed.State() == StateUp && consumer.State() == StateUp && reader.State() == StateUp && worker.State() == StateUp
	}
	eventually(t, "everything is up", 30*time.Second, up)
	eventually(t, "five connections", 30*time.Second, func() bool { return b.Connections(t, vhost) == 5 })
	before := runtime.NumGoroutine()

	for n := range rounds {
		cut.cut()
		// Each of the five has dialled again, or the cut has yet to be noticed.
		eventually(t, "the cut is noticed and everything is back", 60*time.Second, func() bool {
			return cut.dials.Load() >= int64(5*(n+2)) && cut.open.Load() == 5 && up()
		})
		if n%50 == 0 {
			if err := confirmed.Publish(within(t, time.Minute), update(t, fmt.Sprint("round-", n), events.ContentPurge)); err != nil {
				t.Fatal(err)
			}
		}
	}
	last := fmt.Sprint("round-", (rounds-1)/50*50)
	eventually(t, "the log is whole", time.Minute, func() bool {
		_, ids := l.read()
		return len(ids) > 0 && ids[len(ids)-1] == last
	})
	eventually(t, "as many connections as before", 30*time.Second, func() bool { return b.Connections(t, vhost) == 5 })
	eventually(t, "as many goroutines as before", time.Minute, func() bool { return runtime.NumGoroutine() <= before })
	t.Logf("%d connections were cut and %d dialled anew; goroutines %d before, %d after", 5*rounds, cut.dials.Load()-5, before, runtime.NumGoroutine())
}
