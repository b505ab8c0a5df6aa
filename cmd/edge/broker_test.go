package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/rabbitmq"
	"github.com/surgewall/surgewall/internal/testorigin"
	"github.com/surgewall/surgewall/internal/testrabbit"
)

// listener hears what a controller would.
type listener struct {
	mu      sync.Mutex
	offered uint64
	windows int
	misses  uint64
	states  []events.LifeState
	refused []error
}

func (l *listener) hear(m events.Message) {
	e, err := events.Decode(m)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.refused = append(l.refused, err)
		return
	}
	switch body := e.Body.(type) {
	case *events.Rate:
		l.offered += body.Offered
		l.windows++
	case *events.Miss:
		l.misses += body.Misses
	case *events.Life:
		l.states = append(l.states, body.State)
	}
}

// until waits until the listener has heard enough.
func (l *listener) until(t *testing.T, what string, enough func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		l.mu.Lock()
		done := enough()
		l.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(deadline) {
			l.mu.Lock()
			defer l.mu.Unlock()
			t.Fatalf("never heard %s: %+v", what, l)
		}
	}
}

// TestAControllerHearsTheEdgeThroughARealBroker follows one edge from its first word to its last, over a crash of the broker.
func TestAControllerHearsTheEdgeThroughARealBroker(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a RabbitMQ of its own: run without -short")
	}
	broker := testrabbit.Start(t)
	vhost := broker.VHost(t)
	broker.Declare(t, vhost)
	broker.User(t, vhost, events.FleetRole(), "sports", "secret")
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	var heard listener
	consumer, err := rabbitmq.NewConsumer(rabbitmq.Options{URL: broker.GuestURL(vhost)}, events.ControllerQueue(), heard.hear)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = consumer.Run(ctx) })
	t.Cleanup(func() { stop(); group.Wait() })
	for consumer.State() != rabbitmq.StateUp {
		time.Sleep(5 * time.Millisecond)
	}

	origin := testorigin.New(t)
	origin.Serve("/a", testorigin.Response{Header: cacheable, Body: []byte("content")})
	edge := startEdge(t, "--origin", origin.URL(), "--fleet", "sports", "--pod", "edge-1", "--amqp-host", broker.Host(), "--amqp-port", strconv.Itoa(broker.Port()),
		"--amqp-vhost", vhost, "--amqp-username", "sports", "--amqp-password-file", password)
	client := newClient(t)
	ask := func(n int) {
		for range n {
			if _, _, err := get(t.Context(), client, edge.url+"/a"); err != nil {
				t.Error(err)
			}
		}
	}

	heard.until(t, "that the edge is ready", func() bool { return slices.Contains(heard.states, events.LifeReady) })
	ask(50)
	heard.until(t, "50 requests, one of them a miss", func() bool { return heard.offered == 50 && heard.misses == 1 })

	broker.Kill()
	ask(50) // served as ever
	broker.Restart(t)
	back := time.Now()
	windows := 0
	heard.until(t, "anything after the broker's return", func() bool {
		if windows == 0 {
			windows = heard.windows
		}
		return heard.windows > windows
	})
	t.Logf("heard again %s after the broker answers", time.Since(back).Round(time.Millisecond))

	ask(50)
	edge.stop()
	<-edge.ended
	heard.until(t, "the last word", func() bool { return slices.Contains(heard.states, events.LifeClosing) })
	heard.mu.Lock()
	defer heard.mu.Unlock()
	// What was counted while the broker was away may be lost with the messages of those windows, but nothing is counted twice.
	if heard.offered < 100 || heard.offered > 150 {
		t.Errorf("heard of %d requests; 150 were made, 50 of them while the broker was away", heard.offered)
	}
	if last := heard.states[len(heard.states)-2:]; !slices.Equal(last, []events.LifeState{events.LifeDraining, events.LifeClosing}) {
		t.Errorf("the last states are %v", heard.states)
	}
	if len(heard.refused) > 0 {
		t.Errorf("refused: %v", heard.refused)
	}
}
