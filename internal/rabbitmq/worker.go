package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/surgewall/surgewall/events"
)

// Verdict says what is to become of a piece of work.
type Verdict int

// The verdicts.
const (
	// WorkDone: it is finished and never comes again.
	WorkDone Verdict = iota
	// WorkFailed: it should be tried again, here or elsewhere. The queue's delivery limit counts this.
	WorkFailed
	// WorkHopeless: trying again is pointless. It becomes a dead letter at once.
	WorkHopeless
	// WorkLeft: nobody tried, as when the process stops.
	WorkLeft
)

// Worker takes work from a queue that setup has declared, several pieces at once, each until a verdict: at least once in all. Work that was
// under way when a session ended goes to somebody else, and what the old one's verdict would be concerns nobody.
type Worker struct {
	options  Options
	status   *status
	dialer   dialer
	queue    string
	parallel int
	work     func(ctx context.Context, m events.Message) Verdict
	running  atomic.Bool
	verdicts [4]atomic.Uint64
}

// NewWorker checks the options. work is called from up to parallel goroutines, 1 to 1000; its context ends with the session.
func NewWorker(o Options, queue string, parallel int, work func(ctx context.Context, m events.Message) Verdict) (*Worker, error) {
	if parallel < 1 || parallel > 1000 {
		return nil, fmt.Errorf("parallel %d: 1 to 1000 are allowed", parallel)
	}
	o.Prefetch = parallel
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	e, err := o.resolve()
	if err != nil {
		return nil, err
	}
	return &Worker{options: o, status: newStatus(o, e.address), dialer: dialer{o, e}, queue: queue, parallel: parallel, work: work}, nil
}

// State says what the connection is doing.
func (w *Worker) State() State { return w.status.get() }

// Verdicts counts the pieces of work with this verdict so far.
func (w *Worker) Verdicts(v Verdict) uint64 { return w.verdicts[v].Load() }

// Run works until ctx is done. An absent broker is no error: Run only fails when it is called twice.
func (w *Worker) Run(ctx context.Context) error {
	if !w.running.CompareAndSwap(false, true) {
		return errors.New("worker was run before")
	}
	w.dialer.supervise(w.status, w.serve).run(ctx, ctx)
	return nil
}

func (w *Worker) serve(ctx context.Context, s *session) error {
	subscribe := func(ch *amqp.Channel) (<-chan amqp.Delivery, error) {
		if err := ch.Qos(w.parallel, 0, false); err != nil {
			return nil, fmt.Errorf("set prefetch: %w", err)
		}
		deliveries, err := ch.Consume(w.queue, consumerTag, false, false, false, false, nil)
		if err != nil {
			return nil, fmt.Errorf("consume from queue %q: %w", w.queue, err)
		}
		return deliveries, nil
	}
	return s.subscribed(ctx, w.status, w.options.OnUp, subscribe, func(_ *amqp.Channel, deliveries <-chan amqp.Delivery, cancelled <-chan string) error {
		return w.share(ctx, s, deliveries, cancelled)
	})
}

// share hands the deliveries out until the session ends, and returns when nobody works for it any more.
func (w *Worker) share(ctx context.Context, s *session, deliveries <-chan amqp.Delivery, cancelled <-chan string) error {
	life, end := context.WithCancel(ctx)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer end()
	blocked := s.blocked
	for {
		select {
		case _, open := <-blocked:
			if !open {
				blocked = nil
			}
		case <-ctx.Done():
			return nil
		case _, real := <-cancelled:
			if !real {
				return errors.New("session ended")
			}
			return errors.New("broker cancelled the consumer: its queue is gone")
		case d, open := <-deliveries:
			if !open {
				return errors.New("session ended")
			}
			// The prefetch count is the bound on these.
			workers.Go(func() { w.one(life, &d) })
		}
	}
}

// one does one piece of work. Its verdict goes to the channel that delivered it: if that is gone, so is the right to judge.
func (w *Worker) one(ctx context.Context, d *amqp.Delivery) {
	verdict := w.work(ctx, message(d))
	if ctx.Err() != nil && verdict != WorkDone {
		verdict = WorkLeft
	}
	w.verdicts[verdict].Add(1)
	var err error
	switch verdict {
	case WorkDone:
		err = d.Ack(false)
	case WorkFailed:
		err = d.Reject(true)
	case WorkHopeless:
		err = d.Reject(false)
	default:
		// From RabbitMQ 4.3 on, a nack does not count towards the delivery limit, and a reject does.
		err = d.Nack(false, true)
	}
	if err != nil {
		w.status.log.Debug().Err(err).Msg("verdict on work came too late")
	}
}
