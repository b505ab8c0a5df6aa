package rabbitmq

import (
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/surgewall/surgewall/events"
)

// ensureExchange makes sure that an exchange is there. It looks first: that needs no permission on most brokers, while a refused
// declaration costs a channel and an error in the broker's log on every session. An exchange that is not ours is left to its owner.
func (s *session) ensureExchange(name string) error {
	exchange, ours := exchangeNamed(name)
	if !ours {
		return nil
	}
	err := s.onChannel(func(ch *amqp.Channel) error {
		return ch.ExchangeDeclarePassive(exchange.Name, exchange.Kind, true, false, false, false, nil)
	})
	switch {
	case err == nil, refused(err):
		// Newer brokers may refuse the look itself. Then setup made the exchange, or the first publish will say otherwise.
		return nil
	case !missing(err):
		return fmt.Errorf("look for exchange %s: %w", name, err)
	}
	err = s.onChannel(func(ch *amqp.Channel) error {
		return ch.ExchangeDeclare(exchange.Name, exchange.Kind, true, false, false, false, nil)
	})
	if refused(err) {
		return fmt.Errorf("exchange %s is missing and user %q may not declare it: %w", name, s.user, err)
	}
	if err != nil {
		return fmt.Errorf("declare exchange %s: %w", name, err)
	}
	return nil
}

// declareQueue makes a queue with its bindings on the channel that will consume from it, and returns its name.
func (s *session) declareQueue(ch *amqp.Channel, q events.Queue) (string, error) {
	for _, b := range q.Bindings {
		if err := s.ensureExchange(b.Exchange); err != nil {
			return "", err
		}
	}
	declared, err := ch.QueueDeclare(q.Name, q.Durable, q.AutoDelete, q.Exclusive, false, amqp.Table(q.Args))
	if err != nil {
		return "", fmt.Errorf("declare queue %q: %w", q.Name, err)
	}
	for _, b := range q.Bindings {
		if err := ch.QueueBind(declared.Name, b.Key, b.Exchange, false, nil); err != nil {
			return "", fmt.Errorf("bind queue %q to %q of exchange %s: %w", q.Name, b.Key, b.Exchange, err)
		}
	}
	return declared.Name, nil
}

// onChannel runs a call on a channel of its own: a call that fails takes its channel with it.
func (s *session) onChannel(call func(*amqp.Channel) error) error {
	ch, err := s.conn.Channel()
	if err != nil {
		return fmt.Errorf("open channel: %w", err)
	}
	if err := call(ch); err != nil {
		return err
	}
	return ch.Close()
}

func exchangeNamed(name string) (events.Exchange, bool) {
	for _, x := range events.Exchanges() {
		if x.Name == name {
			return x, true
		}
	}
	return events.Exchange{}, false
}

func refused(err error) bool { return hasCode(err, amqp.AccessRefused) }

func missing(err error) bool { return hasCode(err, amqp.NotFound) }

func hasCode(err error, code int) bool {
	var e *amqp.Error
	return errors.As(err, &e) && e.Code == code
}
