package testrabbit

import (
	"sync"
	"testing"
)

// Shared is one broker for all tests of a package; it starts when the first test asks for it. The zero value is ready:
//
//	var broker testrabbit.Shared
//
//	func TestMain(m *testing.M) { os.Exit(broker.Main(m)) }
type Shared struct {
	mu     sync.Mutex
	broker *Broker
	failed bool
}

// Get returns the broker, and skips or fails the test where there is none. The options matter to the first call only.
func (s *Shared) Get(t testing.TB, options ...Option) *Broker {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed {
		t.Fatal("RabbitMQ did not start for an earlier test")
	}
	if s.broker == nil {
		// A broker that cannot start takes its full time to say so: once is enough.
		defer func() { s.failed = s.broker == nil && t.Failed() }()
		s.broker = create(t, options...)
	}
	return s.broker
}

// Main runs the tests, stops the broker and returns the exit code.
func (s *Shared) Main(m *testing.M) int {
	code := m.Run()
	s.Stop()
	return code
}

// Stop stops the broker if it was started.
func (s *Shared) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broker != nil {
		s.broker.Stop()
		s.broker = nil
	}
}
