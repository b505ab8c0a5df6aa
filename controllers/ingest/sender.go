package ingest

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/surgewall/surgewall/events"
)

// Fleet is the name under which controllers speak on the bus.
const Fleet = "controller"

// Sender numbers what one controller process says on the bus. It is safe for
// concurrent use.
type Sender struct {
	replica, boot string
	seq           atomic.Uint64
}

// NewSender returns the sender of a replica. Boot is drawn anew by each process:
// 8 to 36 characters of a-z, 0-9 and hyphen.
func NewSender(replica, boot string) *Sender { return &Sender{replica: replica, boot: boot} }

// Replica is the name of the controller.
func (s *Sender) Replica() string { return s.replica }

// Next returns the attributes of the next event.
func (s *Sender) Next(now time.Time) events.Attributes {
	return events.Attributes{Source: events.Source(Fleet, s.replica), Time: now, BootID: s.boot, Seq: s.seq.Add(1)}
}

// Publisher sends a message or drops it; it never blocks.
type Publisher interface{ Publish(events.Message) }

// canaryEvery is the period of the canary.
const canaryEvery = time.Second

// Canary is a message that a controller sends to itself through the broker once
// a second. When it stops coming back, the path is dead, and the silence of the
// edges means nothing any more.
type Canary struct {
	Sender *Sender
	To     Publisher
}

// Run sends until the context ends.
func (c Canary) Run(ctx context.Context) error {
	ticker := time.NewTicker(canaryEvery)
	defer ticker.Stop()
	for {
		now := time.Now()
		m, err := events.EncodeCanary(c.Sender.Next(now), events.Canary{Replica: c.Sender.replica, SentAt: now})
		if err != nil {
			return err // the replica's name is outside the contract: no canary will ever be
		}
		c.To.Publish(m)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}
