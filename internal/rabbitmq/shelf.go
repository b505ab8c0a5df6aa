package rabbitmq

import (
	"context"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/surgewall/surgewall/events"
)

// Shelf is a queue that is looked through by hand, such as that of the dead letters: each visit has a connection of its own.
type Shelf struct {
	dialer dialer
	queue  string
}

// NewShelf checks the options.
func NewShelf(o Options, queue string) (*Shelf, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	e, err := o.resolve()
	if err != nil {
		return nil, err
	}
	return &Shelf{dialer{o, e}, queue}, nil
}

// Visit calls each for up to limit messages, the oldest first, and returns how many are in the queue. A message for which it returns true is taken
// out for good, one with which it stops is the last; all others are back when Visit returns, in their places as far as the queue keeps them. While a visit lasts, nobody
// else sees the messages. An error of each ends the visit; what it has not taken out stays.
func (s *Shelf) Visit(ctx context.Context, limit int, each func(m events.Message) (take, stop bool, err error)) (total int, err error) {
	session, err := s.dialer.open(ctx)
	if err != nil {
		return 0, fmt.Errorf("look through queue %s: %w", s.queue, err)
	}
	release := session.hangUpWith(ctx)
	defer release()
	// What was not acknowledged goes back when the connection closes.
	defer func() { _ = session.close(closeTimeout) }()
	ch, err := session.conn.Channel()
	if err != nil {
		return 0, fmt.Errorf("look through queue %s: %w", s.queue, err)
	}
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	for seen := 0; seen < limit; seen++ {
		d, ok, err := ch.Get(s.queue, false)
		if err != nil {
			return total, fmt.Errorf("look through queue %s: %w", s.queue, err)
		}
		if !ok {
			break
		}
		total = max(total, seen+1+int(d.MessageCount))
		take, stop, err := each(message(&d))
		if take {
			if err := d.Ack(false); err != nil {
				return total, fmt.Errorf("take a message out of queue %s: %w", s.queue, err)
			}
			// An acknowledgement is not answered: an answer to something else on the channel says that it arrived.
			if err := ch.Qos(0, 0, false); err != nil {
				return total, fmt.Errorf("take a message out of queue %s: %w", s.queue, err)
			}
		}
		if err != nil {
			return total, err
		}
		if stop {
			break
		}
	}
	select {
	case e := <-closed:
		return total, lost(e, nil, errors.New("channel closed"))
	default:
		return total, nil
	}
}
