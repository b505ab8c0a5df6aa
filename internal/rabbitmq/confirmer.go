package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/surgewall/surgewall/events"
)

// What became of a message that was not confirmed. The error of Confirmer.Publish wraps one of them.
var (
	// ErrReturned: no queue is bound that would take the message, and none was until the time was over. Nothing was stored: a message that a
	// lost session may have stored before it was returned ends as ErrUnknown.
	ErrReturned = errors.New("no queue takes the message")
	// ErrNacked: the broker refused it, as a full queue does.
	ErrNacked = errors.New("the broker refused the message")
	// ErrUnsent: the time was over before it was sent.
	ErrUnsent = errors.New("the message was not sent")
	// ErrUnknown: the time was over, or the process ended, before the broker answered. The message may have been stored.
	ErrUnknown = errors.New("the broker did not answer")
)

// Confirmer publishes messages that must not be lost, on a connection of its own: each is mandatory, and is done when the broker has said
// that it is stored. What was on its way when a session ended may have been stored or not; it is sent again, with the same id, so
// that whoever receives it must take an id twice. Any goroutine may publish.
type Confirmer struct {
	options Options
	status  *status
	dialer  dialer
	sentry  sentry
	running atomic.Bool
	over    chan struct{}
	// doubt counts the sessions in a row that were given up because nothing was confirmed on them. Only the goroutine that hears uses it.
	doubt int
	// slots bound what waits and what is on its way, together.
	slots chan struct{}
	ready chan struct{}

	mu      sync.Mutex
	waiting []*parcel // guarded by mu, the oldest first

	confirmed, returned, nacked, unsent, unknown, repeated atomic.Uint64
}

// parcel is one message on its way.
type parcel struct {
	message events.Message
	done    chan error
	// sent is true once a session has begun to write it and no answer came that settles what happened; left once nobody waits for it any more.
	sent, left atomic.Bool
	// doubtful is true once such a session has ended: then nothing that happens later says that it was not stored. Of the session's goroutines.
	doubtful bool
	// back is why it was returned the last time, nil if it never was.
	back atomic.Pointer[string]
}

// Outcomes tells what became of the messages so far. Repeated counts those that were sent once more because a session ended before the answer.
type Outcomes struct{ Confirmed, Returned, Nacked, Unsent, Unknown, Repeated uint64 }

// NewConfirmer checks the options. Nothing is dialled before Run. RingSize bounds how many messages are under way at once.
func NewConfirmer(o Options) (*Confirmer, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	e, err := o.resolve()
	if err != nil {
		return nil, err
	}
	c := &Confirmer{
		options: o, status: newStatus(o, e.address), dialer: dialer{o, e}, over: make(chan struct{}),
		slots: make(chan struct{}, o.RingSize), ready: make(chan struct{}, 1),
	}
	c.sentry = sentry{status: c.status, limit: o.BlockedLimit}
	return c, nil
}

// State says what the connection is doing.
func (c *Confirmer) State() State { return c.status.get() }

// Outcomes tells what became of the messages so far.
func (c *Confirmer) Outcomes() Outcomes {
	return Outcomes{
		Confirmed: c.confirmed.Load(), Returned: c.returned.Load(), Nacked: c.nacked.Load(), Unsent: c.unsent.Load(), Unknown: c.unknown.Load(),
		Repeated: c.repeated.Load(),
	}
}

// Publish returns nil when the broker has confirmed the message, and otherwise an error that wraps ErrReturned, ErrNacked, ErrUnsent or
// ErrUnknown, the last two when ctx was done first.
func (c *Confirmer) Publish(ctx context.Context, m events.Message) error {
	select {
	case c.slots <- struct{}{}:
	case <-c.over:
		return c.account(fmt.Errorf("publish %s: %w: closed", m.MessageID, ErrUnsent))
	case <-ctx.Done():
		return c.account(fmt.Errorf("publish %s: %w: %d others wait", m.MessageID, ErrUnsent, cap(c.slots)))
	}
	p := &parcel{message: m, done: make(chan error, 1)}
	c.push(p)
	select {
	case err := <-p.done:
		return c.account(err)
	case <-ctx.Done():
	case <-c.over:
	}
	p.left.Store(true)
	select {
	case err := <-p.done: // it came in the same moment
		return c.account(err)
	default:
	}
	outcome := ErrUnsent
	switch back := p.back.Load(); {
	case p.sent.Load() && back != nil:
		return c.account(fmt.Errorf("publish %s to exchange %s with key %s: %w the first time; then no queue took it: %s", m.MessageID, m.Exchange, m.Key, ErrUnknown, *back))
	case p.sent.Load():
		outcome = ErrUnknown
	case back != nil:
		return c.account(fmt.Errorf("publish %s to exchange %s with key %s: %w: %s; surgectl setup makes the queue and its bindings", m.MessageID, m.Exchange, m.Key, ErrReturned, *back))
	}
	if why := c.status.reason(); why != "" {
		return c.account(fmt.Errorf("publish %s: %w: %s", m.MessageID, outcome, why))
	}
	return c.account(fmt.Errorf("publish %s: %w: connection is %s", m.MessageID, outcome, c.status.get()))
}

func (c *Confirmer) account(err error) error {
	switch {
	case err == nil:
		c.confirmed.Add(1)
	case errors.Is(err, ErrReturned):
		c.returned.Add(1)
	case errors.Is(err, ErrNacked):
		c.nacked.Add(1)
	case errors.Is(err, ErrUnsent):
		c.unsent.Add(1)
	default:
		c.unknown.Add(1)
	}
	return err
}

func (c *Confirmer) push(p *parcel) {
	c.mu.Lock()
	c.waiting = append(c.waiting, p)
	c.mu.Unlock()
	c.wake()
}

// again puts parcels whose session ended before those that wait, in their order.
func (c *Confirmer) again(ps []*parcel) {
	if len(ps) == 0 {
		return
	}
	c.repeated.Add(uint64(len(ps)))
	for _, p := range ps {
		p.doubtful = p.doubtful || p.sent.Load()
	}
	c.mu.Lock()
	c.waiting = append(ps, c.waiting...)
	c.mu.Unlock()
	c.wake()
}

func (c *Confirmer) wake() {
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

// pop takes the oldest parcel that somebody still waits for. A slot is free again when its parcel is settled or dropped here.
func (c *Confirmer) pop() *parcel {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.waiting) > 0 {
		p := c.waiting[0]
		c.waiting[0] = nil
		c.waiting = c.waiting[1:]
		if !p.left.Load() {
			return p
		}
		<-c.slots
	}
	return nil
}

// later sends a returned parcel once more after a while: right after a broker's start, its streams take nothing yet.
func (c *Confirmer) later(p *parcel, why string) {
	p.back.Store(&why)
	p.sent.Store(p.doubtful)
	time.AfterFunc(returnedPause, func() { c.push(p) })
}

// patience is how long the broker may take for the next confirm before its session is given up: twice as long each time.
func (c *Confirmer) patience() time.Duration { return min(confirmWithin<<min(c.doubt, 5), maxConfirm) }

// settle tells who waits what became of a parcel.
func (c *Confirmer) settle(p *parcel, err error) {
	p.done <- err
	<-c.slots
}

// Run connects and keeps connected until ctx is done; then what is under way fails with ErrUnsent or ErrUnknown. It only fails when it is called twice.
func (c *Confirmer) Run(ctx context.Context) error {
	if !c.running.CompareAndSwap(false, true) {
		return errors.New("confirmer was run before")
	}
	defer close(c.over)
	c.dialer.supervise(c.status, c.serve).run(ctx, ctx)
	return nil
}
