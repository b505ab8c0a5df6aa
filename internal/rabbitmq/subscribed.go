package rabbitmq

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// consumerTag is ours: the client would tell the broker the path of our binary.
const consumerTag = "surgewall"

// subscribed opens a channel, subscribes, and has handle take the deliveries until it returns. It closes the session and says why that ended.
func (s *session) subscribed(
	ctx context.Context, st *status, onUp func(), subscribe func(*amqp.Channel) (<-chan amqp.Delivery, error),
	handle func(ch *amqp.Channel, deliveries <-chan amqp.Delivery, cancelled <-chan string) error,
) error {
	release := s.hangUpWith(ctx)
	ch, err := s.conn.Channel()
	if err != nil {
		release()
		return lost(nil, s.close(closeTimeout), fmt.Errorf("open channel: %w", err))
	}
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	cancelled := ch.NotifyCancel(make(chan string, 1))
	deliveries, err := subscribe(ch)
	release()
	if err == nil {
		st.set(StateUp, nil)
		if onUp != nil {
			onUp()
		}
		err = handle(ch, deliveries, cancelled)
	}
	connection := s.close(closeTimeout)
	for range cancelled { // an unread notification stalls the client's reader
	}
	return lost(last(closed), connection, err)
}
