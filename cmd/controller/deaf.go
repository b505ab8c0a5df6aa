package main

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/controllers/ingest"
	"github.com/surgewall/surgewall/internal/rabbitmq"
)

// deafFor is how long our own canary may stay away from a session that seems whole before it is made anew: a queue that was bound to an
// exchange which somebody deleted and declared again hears nothing, and nobody says so.
const deafFor = 8 * time.Second

// listenAgain makes the subscription anew while nothing comes through it.
func listenAgain(ctx context.Context, in *ingest.Ingest, consumer *rabbitmq.Consumer, logger zerolog.Logger) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			if deaf := in.Deaf(); deaf > deafFor && now.Sub(last) > deafFor && consumer.State() == rabbitmq.StateUp {
				last = now
				logger.Warn().Dur("silent_for", deaf).Msg("own canary does not come back: subscribing anew")
				consumer.Resubscribe()
			}
		}
	}
}
