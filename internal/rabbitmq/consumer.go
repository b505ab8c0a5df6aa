package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/surgewall/surgewall/events"
)

// Consumer receives messages on a connection of its own and hands them to one handler, one after the other.
type Consumer struct {
	options Options
	status  *status
	dialer  dialer
	queue   events.Queue
	handler func(events.Message)
	running atomic.Bool
	// arguments are asked for at each session of a consumer of a queue that somebody else has declared; nil where this one declares it.
	arguments func() amqp.Table
	again     chan struct{}
	// absent is true while the broker says that there is no such queue.
	absent atomic.Bool

	received atomic.Uint64
}

// NewConsumer checks the options. The queue is declared on each session with its bindings and the exchanges that those name; one without
// a name is named by the broker. The handler is called from Run's goroutine; while it works, at most Prefetch messages wait in memory
// and the rest in the queue. A message is acknowledged after the handler returned, and again delivered to another if the session is lost before.
func NewConsumer(o Options, queue events.Queue, handler func(events.Message)) (*Consumer, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	e, err := o.resolve()
	if err != nil {
		return nil, err
	}
	return &Consumer{options: o, status: newStatus(o, e.address), dialer: dialer{o, e}, queue: queue, handler: handler, again: make(chan struct{}, 1)}, nil
}

// State says what the connection is doing. In StateUp the bindings are in place.
func (c *Consumer) State() State { return c.status.get() }

// Received counts the messages that the handler has got.
func (c *Consumer) Received() uint64 { return c.received.Load() }

// Resubscribe ends the session: the next, which follows without a wait, declares anew and begins where the reader of a stream says then. It returns at
// once. Who calls it must not do so at each session: nothing else slows that down.
func (c *Consumer) Resubscribe() {
	select {
	case c.again <- struct{}{}:
	default:
	}
}

// Run connects and keeps connected until ctx is done. An absent broker is no error: Run only fails when it is called twice.
func (c *Consumer) Run(ctx context.Context) error {
	if !c.running.CompareAndSwap(false, true) {
		return errors.New("consumer was run before")
	}
	c.dialer.supervise(c.status, c.serve).run(ctx, ctx)
	return nil
}

// serve consumes on a session until it ends.
func (c *Consumer) serve(ctx context.Context, s *session) error {
	subscribe := func(ch *amqp.Channel) (<-chan amqp.Delivery, error) {
		deliveries, err := c.subscribe(s, ch)
		c.absent.Store(missing(err))
		return deliveries, err
	}
	return s.subscribed(ctx, c.status, c.options.OnUp, subscribe, func(ch *amqp.Channel, deliveries <-chan amqp.Delivery, cancelled <-chan string) error {
		return c.consume(ctx, s, ch, deliveries, cancelled)
	})
}

func (c *Consumer) subscribe(s *session, ch *amqp.Channel) (<-chan amqp.Delivery, error) {
	if err := ch.Qos(c.options.Prefetch, 0, false); err != nil {
		return nil, fmt.Errorf("set prefetch: %w", err)
	}
	name := c.queue.Name
	var arguments amqp.Table
	if c.arguments != nil {
		arguments = c.arguments()
	} else {
		var err error
		if name, err = s.declareQueue(ch, c.queue); err != nil {
			return nil, err
		}
	}
	deliveries, err := ch.Consume(name, consumerTag, false, c.queue.Exclusive, false, false, arguments)
	if err != nil {
		return nil, fmt.Errorf("consume from queue %q: %w", name, err)
	}
	return deliveries, nil
}

// consume handles deliveries until the session ends. Acknowledgements go to the channel that delivered: after a loss nothing of it is
// left, and a tag can never settle a message of the next session.
func (c *Consumer) consume(ctx context.Context, s *session, ch *amqp.Channel, deliveries <-chan amqp.Delivery, cancelled <-chan string) error {
	acks := acker{every: ackEvery}
	var due <-chan time.Time
	flush := func() error {
		due = nil
		if tag, ok := acks.take(); ok {
			return ch.Ack(tag, true)
		}
		return nil
	}
	blocked := s.blocked
	for {
		select {
		case _, open := <-blocked:
			// Only connections that publish are told, but an unread notification would stall this one.
			if !open {
				blocked = nil
			}
		case <-ctx.Done():
			_ = flush() // the connection may be gone already
			return nil
		case <-c.again:
			_ = flush()
			return errAnew
		case _, real := <-cancelled:
			if !real {
				return errors.New("session ended")
			}
			return errors.New("broker cancelled the consumer: its queue is gone")
		case <-due:
			if err := flush(); err != nil {
				return fmt.Errorf("acknowledge: %w", err)
			}
		case d, open := <-deliveries:
			if !open {
				return errors.New("session ended")
			}
			c.received.Add(1)
			c.handler(message(&d))
			if acks.handled(d.DeliveryTag) {
				if err := flush(); err != nil {
					return fmt.Errorf("acknowledge: %w", err)
				}
			} else if due == nil {
				due = time.After(ackWithin)
			}
		}
	}
}
