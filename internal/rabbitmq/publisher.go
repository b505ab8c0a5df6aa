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

// Publisher sends messages on a connection of its own. Publish may be called from any goroutine.
type Publisher struct {
	options Options
	status  *status
	dialer  dialer
	ring    *ring

	running atomic.Bool
	done    chan struct{}
	// accepting is done from Close on: what waits is sent, nothing more is taken. life is done when that too must end.
	accepting, life context.Context
	stop, abort     context.CancelFunc

	published, overflowed, expired, failed atomic.Uint64
	sentry                                 sentry
}

// Counters tells what became of the messages so far.
type Counters struct {
	// Published were written to a connection. The broker confirms nothing, so the last ones before a loss may have been lost with it.
	Published uint64
	// Overflowed made room for newer ones, Expired waited longer than MaxAge, Failed were refused by a dying connection or came after Close.
	Overflowed, Expired, Failed uint64
}

// Dropped is the number of messages that certainly did not get out.
func (c Counters) Dropped() uint64 { return c.Overflowed + c.Expired + c.Failed }

// NewPublisher checks the options. Nothing is dialled before Run.
func NewPublisher(o Options) (*Publisher, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	e, err := o.resolve()
	if err != nil {
		return nil, err
	}
	p := &Publisher{
		options: o, status: newStatus(o, e.address), dialer: dialer{o, e}, ring: newRing(o.RingSize), done: make(chan struct{}),
	}
	p.sentry = sentry{status: p.status, limit: o.BlockedLimit}
	p.life, p.abort = context.WithCancel(context.Background())
	p.accepting, p.stop = context.WithCancel(p.life)
	return p, nil
}

// Publish hands a message over and returns at once, whatever the broker does. Messages go out in the order of the calls. The session's
// user is put in as the user id, since the broker refuses any other.
func (p *Publisher) Publish(m events.Message) {
	if p.accepting.Err() != nil {
		p.failed.Add(1)
		return
	}
	if p.ring.push(m, time.Now()) {
		p.overflowed.Add(1)
	}
}

// State says what the connection is doing.
func (p *Publisher) State() State { return p.status.get() }

// Counters tells what became of the messages so far.
func (p *Publisher) Counters() Counters {
	return Counters{
		Published: p.published.Load(), Overflowed: p.overflowed.Load(), Expired: p.expired.Load(), Failed: p.failed.Load(),
	}
}

// Dropped is short for Counters().Dropped().
func (p *Publisher) Dropped() uint64 { return p.Counters().Dropped() }

// Waiting is the number of messages that wait for the broker.
func (p *Publisher) Waiting() int { return p.ring.len() }

// Run connects and keeps connected until ctx is done or Close is called. Then it sends what waits, for FlushTimeout at most after ctx.
// An absent broker is no error: Run only fails when it is called twice.
func (p *Publisher) Run(ctx context.Context) error {
	if !p.running.CompareAndSwap(false, true) {
		return errors.New("publisher was run before")
	}
	defer close(p.done)
	defer p.abort()
	release := context.AfterFunc(ctx, func() {
		p.stop()
		select {
		case <-p.done:
		case <-time.After(p.options.FlushTimeout):
			p.abort()
		}
	})
	defer release()
	p.dialer.supervise(p.status, p.serve).run(p.accepting, p.life)
	return nil
}

// Close stops accepting messages, sends those that wait if a session is up, and ends Run. It returns when Run has, soon after ctx is done
// at the latest, with an error if messages were left.
func (p *Publisher) Close(ctx context.Context) error {
	p.stop()
	if p.running.Load() {
		select {
		case <-p.done:
		case <-ctx.Done():
			p.abort()
			<-p.done
		}
	}
	p.abort()
	if n := p.ring.len(); n > 0 {
		return fmt.Errorf("close publisher: %d messages were not sent", n)
	}
	return nil
}

// serve publishes on a session until it ends or, after Close, until nothing waits.
func (p *Publisher) serve(ctx context.Context, s *session) error {
	release := s.hangUpWith(ctx)
	ch, err := s.conn.Channel()
	release()
	if err != nil {
		return lost(nil, s.close(closeTimeout), fmt.Errorf("open channel: %w", err))
	}
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	w := &writer{publisher: p, session: s, channel: ch, gate: newGate(), stop: make(chan struct{}), ended: make(chan struct{})}
	p.status.set(StateUp, nil)
	if p.options.OnUp != nil {
		p.options.OnUp()
	}
	go w.run()
	reason, err := p.sentry.watch(ctx, s, w.gate, closed, w.ended, nil, func() error { return w.err })
	close(w.stop)
	// The connection closes first: that frees a publish which is stuck in the socket.
	connection := s.close(closeTimeout)
	<-w.ended
	if after := last(closed); reason == nil {
		reason = after
	}
	if err == nil {
		return nil
	}
	return lost(reason, connection, err)
}
