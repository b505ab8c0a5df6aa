package faults

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/rabbitmq"
)

// dial opens a channel that has nothing of ours around it.
func dial(t testing.TB, url string) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseDeadline(time.Now().Add(time.Second)) })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func TestRow12PoisonWork(t *testing.T) {
	r := begin(t, 12)
	broker := shared.broker.Get(r)
	vhost := broker.VHost(r)
	broker.Setup(r, vhost)
	ch := dial(r, broker.GuestURL(vhost))
	var poisoned, good atomic.Int64
	worker, err := rabbitmq.NewWorker(rabbitmq.Options{URL: broker.GuestURL(vhost)}, events.QueuePrefetch, 2, func(_ context.Context, m events.Message) rabbitmq.Verdict {
		if string(m.Body) == "poison" {
			poisoned.Add(1)
			return rabbitmq.WorkFailed
		}
		good.Add(1)
		return rabbitmq.WorkDone
	})
	if err != nil {
		r.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = worker.Run(ctx) })
	defer running.Wait()
	defer cancel()
	const others = 50
	for i := range others + 1 {
		body := "good"
		if i == 0 {
			body = "poison"
		}
		if err := ch.PublishWithContext(ctx, events.ExchangeContent, "prefetch.example.com", false, false, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(body)}); err != nil {
			r.Fatal(err)
		}
	}
	dead, err := ch.Consume(events.QueueDead, "", true, false, false, false, nil)
	if err != nil {
		r.Fatal(err)
	}
	select {
	case d := <-dead:
		deaths, _ := d.Headers["x-death"].([]any)
		if string(d.Body) != "poison" || len(deaths) == 0 || !strings.Contains(deaths[0].(amqp.Table)["reason"].(string), "delivery_limit") {
			r.Errorf("dead letter %s with %v", d.Body, d.Headers)
		}
	case <-time.After(2 * time.Minute):
		r.Error("no dead letter")
	}
	eventually(r, "the others are worked", time.Minute, func() bool { return good.Load() == others })
	if n := poisoned.Load(); n > 6 {
		r.Errorf("%d attempts", n)
	}
	r.show("poison tried %d times, then a dead letter with its reason; %d others worked meanwhile", poisoned.Load(), good.Load())
}
