package testrabbit

import (
	"fmt"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/surgewall/surgewall/events"
)

// Setup makes every exchange, every named queue and every binding in a virtual host, as the setup of an installation does. What is there
// stays as it is.
func (b *Broker) Setup(t testing.TB, vhost string) {
	t.Helper()
	b.onChannel(t, vhost, func(ch *amqp.Channel) error {
		for _, x := range events.Exchanges() {
			if err := ch.ExchangeDeclare(x.Name, x.Kind, true, false, false, false, nil); err != nil {
				return err
			}
		}
		for _, q := range events.Queues() {
			if _, err := ch.QueueDeclare(q.Name, q.Durable, q.AutoDelete, q.Exclusive, false, amqp.Table(q.Args)); err != nil {
				return fmt.Errorf("queue %s: %w", q.Name, err)
			}
			for _, binding := range q.Bindings {
				if err := ch.QueueBind(q.Name, binding.Key, binding.Exchange, false, nil); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Sync has the broker write out what it knows of its queues. The names of new streams lie in its memory for up to three seconds: RabbitMQ 3.10 that
// is killed before does not start them again, ever. An installation is older than that.
func (b *Broker) Sync(t testing.TB) {
	t.Helper()
	b.Eval(t, "mnesia:sync_log(), [dets:sync(T) || T <- dets:all()].")
}

// DeleteQueue deletes a queue or a stream with all that is in it.
func (b *Broker) DeleteQueue(t testing.TB, vhost, name string) {
	t.Helper()
	b.onChannel(t, vhost, func(ch *amqp.Channel) error {
		_, err := ch.QueueDelete(name, false, false, false)
		return err
	})
}

// Ready counts the messages of a queue that nobody holds.
func (b *Broker) Ready(t testing.TB, vhost, name string) (n int) {
	t.Helper()
	b.onChannel(t, vhost, func(ch *amqp.Channel) error {
		q, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
		n = q.Messages
		return err
	})
	return n
}

func (b *Broker) onChannel(t testing.TB, vhost string, do func(*amqp.Channel) error) {
	t.Helper()
	conn, err := amqp.Dial(b.GuestURL(vhost))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := do(ch); err != nil {
		t.Fatal(err)
	}
}

// Log returns the end of what the broker has logged.
func (b *Broker) Log() string { return b.logTail() }
