package rabbitmq

import (
	"context"
	"fmt"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/surgewall/surgewall/events"
)

// confirming is one session of a Confirmer: one goroutine writes, and may wait for the broker's socket; another hears what became of what
// was written, in the same order.
type confirming struct {
	confirmer *Confirmer
	session   *session
	channel   *amqp.Channel
	gate      *gate
	returns   <-chan amqp.Return
	written   chan written
	// stop is closed when the session ends; ended when the writer has returned, for the reason in err.
	stop, ended chan struct{}
	err         error
	// doubtful gets a token when no confirm came for too long.
	doubtful chan struct{}
	// warned is true once it was said that something came back. It belongs to the goroutine that hears.
	warned bool
}

type written struct {
	parcel *parcel
	// tag is the message's correlation id: two parcels may carry messages with the same id.
	tag    string
	answer *amqp.DeferredConfirmation
}

func (c *Confirmer) serve(ctx context.Context, s *session) error {
	release := s.hangUpWith(ctx)
	ch, err := s.conn.Channel()
	if err == nil {
		err = ch.Confirm(false)
	}
	release()
	if err != nil {
		return lost(nil, s.close(closeTimeout), fmt.Errorf("open channel with confirms: %w", err))
	}
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	r := &confirming{
		confirmer: c, session: s, channel: ch, gate: newGate(), stop: make(chan struct{}), ended: make(chan struct{}),
		// Room for all that can be under way: the client never waits for us to read a return, and has handed it over before it hears the
		// confirm that the broker sends after it.
		returns:  ch.NotifyReturn(make(chan amqp.Return, cap(c.slots))),
		written:  make(chan written, cap(c.slots)),
		doubtful: make(chan struct{}, 1),
	}
	c.status.set(StateUp, nil)
	if c.options.OnUp != nil {
		c.options.OnUp()
	}
	go r.write()
	open := make(chan []*parcel, 1)
	go func() { open <- r.hear() }()
	reason, err := c.sentry.watch(ctx, s, r.gate, closed, r.ended, r.doubtful, func() error { return r.err })
	close(r.stop)
	// The connection closes first: that frees a publish which is stuck in the socket.
	connection := s.close(closeTimeout)
	<-r.ended
	close(r.written)
	c.again(<-open)
	if after := last(closed); reason == nil {
		reason = after
	}
	if err == nil {
		return nil
	}
	return lost(reason, connection, err)
}

func (r *confirming) write() {
	defer close(r.ended)
	r.err = r.loop()
}

func (r *confirming) loop() error {
	c := r.confirmer
	looked := make(map[string]bool)
	for {
		if !r.gate.pass(r.stop) {
			return nil
		}
		p := c.pop()
		if p == nil {
			select {
			case <-c.ready:
				continue
			case <-r.stop:
				return nil
			}
		}
		m := p.message
		if !looked[m.Exchange] {
			if err := r.session.ensureExchange(m.Exchange); err != nil {
				c.again([]*parcel{p})
				return err
			}
			looked[m.Exchange] = true
		}
		p.sent.Store(true)
		out := publishing(m, r.session.user)
		out.CorrelationId = strconv.FormatUint(r.channel.GetNextPublishSeqNo(), 10)
		answer, err := r.channel.PublishWithDeferredConfirmWithContext(context.Background(), m.Exchange, m.Key, true, false, out)
		if err != nil {
			c.again([]*parcel{p})
			return fmt.Errorf("publish to %s: %w", m.Exchange, err)
		}
		r.written <- written{p, out.CorrelationId, answer}
	}
}

// hear settles what was written, and returns what the session's end left open.
func (r *confirming) hear() (open []*parcel) {
	returned := make(map[string]string)
	for w := range r.written {
		if !r.answered(w.answer) {
			open = append(open, w.parcel)
			continue
		}
		for more := true; more; {
			select {
			case back, ok := <-r.returns:
				if more = ok; ok {
					returned[back.CorrelationId] = back.ReplyText
				}
			default:
				more = false
			}
		}
		m := w.parcel.message
		why, back := returned[w.tag]
		delete(returned, w.tag)
		switch {
		case !w.answer.Acked() && r.channel.IsClosed():
			// The client answers for a channel that is gone. The broker has not.
			open = append(open, w.parcel)
		case !w.answer.Acked():
			r.confirmer.settle(w.parcel, fmt.Errorf("publish %s: %w", m.MessageID, ErrNacked))
		case back:
			r.warn(m, why)
			r.confirmer.later(w.parcel, why)
		default:
			r.confirmer.doubt = 0
			r.confirmer.settle(w.parcel, nil)
		}
	}
	return open
}

// warn says once a session that the broker has no queue for a message: whoever waits for it hears that too late.
func (r *confirming) warn(m events.Message, why string) {
	if r.warned {
		return
	}
	r.warned = true
	r.confirmer.status.log.Warn().Str("exchange", m.Exchange).Str("key", m.Key).Str("reply", why).
		Msg("broker has no queue for a message that must not be lost; surgectl setup makes the queue and its bindings")
}

// answered waits until the broker has answered or the session ends; true for the first. A broker that has come back after a crash may take messages
// for a stream whose leader is not there, and never answer: a new session asks for the leader again. While it blocks us it owes no answer.
func (r *confirming) answered(answer *amqp.DeferredConfirmation) bool {
	for {
		patience := time.NewTimer(r.confirmer.patience())
		select {
		case <-answer.Done():
			patience.Stop()
			return true
		case <-r.stop:
			patience.Stop()
			select {
			case <-answer.Done():
				return true
			default:
				return false
			}
		case <-patience.C:
			if r.gate.shuts() {
				continue
			}
			r.confirmer.doubt++
			select {
			case r.doubtful <- struct{}{}:
			default:
			}
		}
	}
}
