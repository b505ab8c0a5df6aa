package content

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/events"
)

// Opener writes the first event of a log that has none. A replica of an empty log has no position to resume at: each time that it loses its
// connection it must take whatever it holds for possibly purged. With one event in the log it need not.
type Opener struct {
	Replica *Replica
	// Attributes are those of the next event.
	Attributes func(time.Time) events.Attributes
	Publisher  Publisher
	Logger     zerolog.Logger
}

// openAfter is how long a replica must have followed the log without an event before it counts as empty. Two controllers may both find that, and a
// log may have more than one such event: each does nothing.
const openAfter = 5 * time.Second

// nowhere is a URL that no response can be stored for: the name is reserved (RFC 6761).
const nowhere = "http://surgewall.invalid/"

// Run opens the log whenever it is empty, until the context ends.
func (o Opener) Run(ctx context.Context) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var since time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			switch {
			case !o.Replica.empty():
				since = time.Time{}
			case since.IsZero():
				since = now
			case now.Sub(since) >= openAfter:
				since = now
				o.open(now)
			}
		}
	}
}

func (o Opener) open(now time.Time) {
	m, err := events.EncodeContent(o.Attributes(now), "begin-"+rand.Text(), events.Content{
		Action: events.ContentSoft, Scope: events.ScopeURL, Values: []string{nowhere}, Principal: "controller", Reason: "first event of an empty log",
	})
	if err != nil {
		o.Logger.Error().Err(err).Msg("event cannot be encoded")
		return
	}
	o.Publisher.Publish(m)
	o.Logger.Info().Msg("the log of content updates is empty: its first event is published")
}

// empty reports whether the log is followed and nothing has ever come.
func (r *Replica) empty() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.up && r.verified && !r.position.Known()
}
