package rabbitmq

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/testleak"
	"github.com/surgewall/surgewall/internal/testrabbit"
)

var broker testrabbit.Shared

// TestMain also checks that no test of the package leaves a goroutine behind.
func TestMain(m *testing.M) {
	os.Exit(testleak.Check(broker.Main(m)))
}

// options is how the tests reach the shared broker as guest.
func options(b *testrabbit.Broker, vhost string) Options {
	return Options{URL: b.GuestURL(vhost), Name: "test"}
}

// running starts a publisher and ends it with the test.
func running(t testing.TB, o Options) *Publisher {
	t.Helper()
	p, err := NewPublisher(o)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := p.Run(context.Background()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = p.Close(ctx) // what is left is no concern of most tests
		wg.Wait()
	})
	return p
}

// connected is running, and returns once messages flow: one that waits for its connection expires after MaxAge, which a busy machine makes short.
func connected(t testing.TB, o Options) *Publisher {
	t.Helper()
	p := running(t, o)
	eventually(t, "the publisher is up", 60*time.Second, func() bool { return p.State() == StateUp })
	return p
}

// consuming starts a consumer with a queue of its own and returns when it is up. done is closed once it has ended.
func consuming(ctx context.Context, t testing.TB, o Options, bindings []events.Binding, handle func(events.Message)) (c *Consumer, done <-chan struct{}) {
	t.Helper()
	queue := events.ControllerQueue()
	queue.Bindings = bindings
	c, err := NewConsumer(o, queue, handle)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	eventually(t, "consumer is up", 30*time.Second, func() bool { return c.State() == StateUp })
	return c, ended
}

// eventually waits until a condition holds that another process brings about. The limit only matters when the test fails.
func eventually(t testing.TB, what string, limit time.Duration, holds func() bool) (took time.Duration) {
	t.Helper()
	start := time.Now()
	for !holds() {
		if time.Since(start) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return time.Since(start)
}

func allTelemetry() []events.Binding {
	return []events.Binding{{Exchange: events.ExchangeTelemetry, Key: "#"}}
}

func rate(t testing.TB, fleet string, seq uint64) events.Message {
	t.Helper()
	m, err := events.EncodeRate(
		events.Attributes{Source: events.Source(fleet, fleet+"-1"), BootID: "0123456789abcdef", Seq: seq},
		events.Rate{WindowMS: 1000, Offered: seq},
	)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func writeFile(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// seen collects the sequence numbers that arrive.
type seen struct {
	mu   sync.Mutex
	seqs []uint64
	at   time.Time
}

func (s *seen) handle(m events.Message) {
	e, err := events.Decode(m)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.seqs, s.at = append(s.seqs, e.Seq), time.Now()
	}
}

func (s *seen) last() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seqs) == 0 {
		return 0
	}
	return s.seqs[len(s.seqs)-1]
}

func (s *seen) all() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]uint64(nil), s.seqs...)
}
