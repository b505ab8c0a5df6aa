package rabbitmq

import (
	"context"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// writer is the one goroutine that may wait for the broker's socket: it takes messages from the ring and publishes them on a session.
type writer struct {
	publisher *Publisher
	session   *session
	channel   *amqp.Channel
	gate      *gate
	// stop is closed when the session ends; ended when run has returned, for the reason in err.
	stop, ended chan struct{}
	err         error
}

func (w *writer) run() {
	defer close(w.ended)
	w.err = w.loop()
}

// loop returns nil when it was stopped, and when nothing waits and nothing more will come.
func (w *writer) loop() error {
	p := w.publisher
	looked := make(map[string]bool)
	warned := false
	for {
		// While the broker blocks us nothing is taken from the ring: what the kernel would buffer comes out as a backlog when the block ends.
		if !w.gate.pass(w.stop) {
			return nil
		}
		m, at, ok := p.ring.pop()
		if !ok {
			select {
			case <-p.ring.ready:
				continue
			case <-w.stop:
				return nil
			case <-p.accepting.Done():
			}
			if p.ring.len() == 0 {
				return nil
			}
			continue
		}
		if time.Since(at) > p.options.MaxAge {
			p.expired.Add(1)
			continue
		}
		if m.UserID != "" && m.UserID != w.session.user && !warned {
			warned = true
			p.status.log.Warn().Str("message_user", m.UserID).Str("session_user", w.session.user).
				Msg("messages name another user than the connection's; receivers refuse those of a fleet")
		}
		if !looked[m.Exchange] {
			if err := w.session.ensureExchange(m.Exchange); err != nil {
				p.failed.Add(1)
				return err
			}
			looked[m.Exchange] = true
		}
		// The context is not looked at once the write has begun, so it would bound nothing: closing the connection does.
		err := w.channel.PublishWithContext(context.Background(), m.Exchange, m.Key, false, false, publishing(m, w.session.user))
		if err != nil {
			p.failed.Add(1)
			return fmt.Errorf("publish to %s: %w", m.Exchange, err)
		}
		p.published.Add(1)
	}
}
