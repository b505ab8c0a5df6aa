package content

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/events"
)

// Publisher sends a message or drops it; it never blocks.
type Publisher interface{ Publish(events.Message) }

// Reporter tells the controllers how far a replica is: soon after each change, and every few seconds without one.
type Reporter struct {
	Replica          *Replica
	Role, Fleet, Pod string
	BootID           string // of this reporter alone, since it numbers its events itself
	Publisher        Publisher
	Logger           zerolog.Logger
}

const (
	// reportEvery bounds the silence, reportPause the number of reports while updates come one after the other.
	reportEvery = 5 * time.Second
	reportPause = 100 * time.Millisecond
)

// Run reports until the context ends; the last word is that this replica is gone.
func (p *Reporter) Run(ctx context.Context) error {
	var seq uint64
	report := func(closing bool) {
		p.Replica.mu.Lock()
		body := events.Applied{
			Role: p.Role, Position: p.Replica.position.String(), Live: p.Replica.live(), Applied: p.Replica.counters.Applied,
			Gaps: p.Replica.counters.Gaps, Closing: closing,
		}
		p.Replica.mu.Unlock()
		seq++
		m, err := events.EncodeApplied(events.Attributes{
			Source: events.Source(p.Fleet, p.Pod), Time: time.Now(), BootID: p.BootID, Seq: seq,
		}, body)
		if err != nil {
			p.Logger.Error().Err(err).Msg("event cannot be encoded")
			return
		}
		p.Publisher.Publish(m)
	}
	ticker := time.NewTicker(reportEvery)
	defer ticker.Stop()
	defer report(true)
	for {
		report(false)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(reportPause):
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-p.Replica.changed:
		}
	}
}
