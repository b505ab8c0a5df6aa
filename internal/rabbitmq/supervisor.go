package rabbitmq

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// errAnew ends a session that its user wants made anew. The broker is there, so the next one is not waited for; who asks for it sees to it that this
// is not again and again.
var errAnew = errors.New("subscription is made anew")

// supervisor runs one session after the other.
type supervisor struct {
	status  *status
	backoff backoff
	// open dials and shakes hands.
	open func(ctx context.Context) (*session, error)
	// serve uses a session until it ends, and closes it.
	serve func(ctx context.Context, s *session) error
}

// supervise returns what keeps one connection of these options open and serves it.
func (d dialer) supervise(st *status, serve func(context.Context, *session) error) *supervisor {
	return &supervisor{
		status:  st,
		backoff: backoff{base: d.options.BackoffBase, cap: d.options.BackoffCap, random: rand.Float64},
		open:    d.open,
		serve:   serve,
	}
}

// run opens sessions while wanted lasts. A session is served under life: one that is up when it is no longer wanted may finish its work.
func (s *supervisor) run(wanted, life context.Context) {
	for wanted.Err() == nil {
		s.status.set(StateConnecting, nil)
		err := s.once(wanted, life)
		if wanted.Err() != nil {
			break
		}
		s.status.set(StateDown, err)
		if errors.Is(err, errAnew) {
			continue
		}
		select {
		case <-wanted.Done():
		case <-time.After(s.backoff.next()):
		}
	}
	s.status.set(StateDown, nil)
}

func (s *supervisor) once(wanted, life context.Context) error {
	session, err := s.open(wanted)
	if err != nil {
		return err
	}
	began := time.Now()
	err = s.serve(life, session)
	// A session that dies young, say because each publish is refused, must not turn the loop into a storm of dials.
	if time.Since(began) >= steady {
		s.backoff.reset()
	}
	return err
}
