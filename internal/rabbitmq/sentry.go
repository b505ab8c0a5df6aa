package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// maxBlockedLimit bounds how far the patience with a blocking broker grows. Each connection that is given up stays open in the broker until
// it reads again, so an alarm of an hour must not cost it a connection every few seconds.
const maxBlockedLimit = time.Minute

// sentry watches the session of something that publishes. It belongs to the goroutine that supervises.
type sentry struct {
	status *status
	// limit is how long a connection may stay blocked.
	limit time.Duration
	// strikes counts the connections in a row that were given up because the broker blocked them.
	strikes int
}

// watch returns when the session must end: without an error because that is wanted, otherwise with what happened, and the broker's word on
// the channel where that closed. The gate is shut while the broker blocks; ended is closed when the writer has returned, for the reason
// that why tells; doubtful, which may be nil, gets a token when the broker should have answered long ago.
func (g *sentry) watch(ctx context.Context, s *session, gate *gate, closed <-chan *amqp.Error, ended, doubtful <-chan struct{}, why func() error) (*amqp.Error, error) {
	var patience <-chan time.Time
	blocked := s.blocked
	for {
		select {
		case <-ctx.Done():
			return nil, nil
		case e := <-s.closed:
			return nil, lost(nil, e, errors.New("connection closed"))
		case e := <-closed:
			return e, errors.New("channel closed")
		case <-ended:
			return nil, why()
		case <-doubtful:
			return nil, errors.New("broker confirmed nothing for too long")
		case b, open := <-blocked:
			switch {
			case !open:
				blocked = nil
			case b.Active:
				gate.shut()
				patience = time.After(g.patience())
				g.status.set(StateBlocked, fmt.Errorf("broker blocks publishing: %s", b.Reason))
			default:
				gate.open()
				patience, g.strikes = nil, 0
				g.status.set(StateUp, nil)
			}
		case <-patience:
			g.strikes++
			return nil, errors.New("broker blocked publishing for too long")
		}
	}
}

// patience is how long this connection may stay blocked: twice as long as the one before, if that was given up too.
func (g *sentry) patience() time.Duration {
	return min(g.limit<<min(g.strikes, 10), max(maxBlockedLimit, g.limit))
}
