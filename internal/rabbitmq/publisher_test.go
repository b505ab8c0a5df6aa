package rabbitmq

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/surgewall/surgewall/events"
)

func nobody(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("connection refused")
}

// With no broker at all a publisher runs, counts and ends.
func TestPublisherAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := NewPublisher(Options{URL: "amqp://nowhere", RingSize: 4, DialContext: nobody})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- p.Run(t.Context()) }()
		for range 10 {
			p.Publish(events.Message{})
		}
		time.Sleep(time.Hour)
		if c := p.Counters(); c.Overflowed != 6 || p.Waiting() != 4 || p.Dropped() != 6 {
			t.Errorf("%+v and %d waiting, want 6 dropped and 4 waiting", c, p.Waiting())
		}
		start := time.Now()
		if err := p.Close(t.Context()); err == nil {
			t.Error("Close lost four messages and said nothing")
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("Close took %v with nobody to flush to", took)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := p.Run(t.Context()); err == nil {
			t.Error("a closed publisher ran again")
		}
	})
}

func BenchmarkPublish(b *testing.B) {
	p, err := NewPublisher(Options{URL: "amqp://nowhere", DialContext: nobody})
	if err != nil {
		b.Fatal(err)
	}
	m := events.Message{Exchange: events.ExchangeTelemetry, Key: "rate.edge.edge-1", Body: make([]byte, 400)}
	b.ReportAllocs()
	for b.Loop() {
		p.Publish(m)
	}
}
