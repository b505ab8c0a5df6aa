package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/cmd/internal/boot"
	"github.com/surgewall/surgewall/config"
	"github.com/surgewall/surgewall/controllers/ingest"
	"github.com/surgewall/surgewall/controllers/updates"
	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/content"
	"github.com/surgewall/surgewall/internal/rabbitmq"
	"github.com/surgewall/surgewall/internal/telemetry"
)

// newTracker returns what the API knows of updates, from the log and from the replicas.
func newTracker() *updates.Tracker { return updates.NewTracker(nil) }

// nothing is the cache of a controller, which follows the log only to tell others.
type nothing struct{}

func (nothing) Apply(events.Content) error { return nil }
func (nothing) Distrust()                  {}
func (nothing) Bypass(bool)                {}

// newReplica returns what follows the log and opens an empty one, nil without a broker.
func newReplica(settings *config.Controller, sender *ingest.Sender, tracker *updates.Tracker, publisher *rabbitmq.Publisher, runners *boot.Runners,
	registry *telemetry.Registry, logger zerolog.Logger) (*content.Replica, error) {
	if !settings.AMQP.Configured() {
		return nil, nil
	}
	var stream *rabbitmq.StreamConsumer
	replica := content.NewReplica(content.Options{
		Cache: nothing{}, Policy: content.Serve, Resubscribe: func() { stream.Resubscribe() }, OnApplied: tracker.Logged, OnPosition: tracker.Followed,
		Logger: logger.Level(zerolog.WarnLevel), // the replicas say what they apply
	})
	var err error
	stream, err = boot.Follow(settings.AMQP, "controller "+sender.Replica()+" follows", replica, registry, runners, logger)
	opener := content.Opener{Replica: replica, Attributes: sender.Next, Publisher: publisher, Logger: logger}
	runners.Go("content log's beginning", opener.Run)
	return replica, err
}

// newUpdates returns the API for content updates, nil where nobody has a token or there is no broker.
func newUpdates(settings *config.Controller, sender *ingest.Sender, tracker *updates.Tracker, publisher *rabbitmq.Publisher, runners *boot.Runners,
	registry *telemetry.Registry, logger zerolog.Logger) (*updates.API, error) {
	if settings.ContentTokenFile == "" {
		return nil, nil
	}
	tokens := func() ([]updates.Token, error) { return readTokens(settings.ContentTokenFile) }
	if _, err := tokens(); err != nil {
		return nil, fmt.Errorf("--content-token-file: %w", err)
	}
	if publisher == nil {
		logger.Warn().Msg("no message broker is configured: there is no API for content updates")
		return nil, nil
	}
	confirmer, err := rabbitmq.NewConfirmer(boot.Broker(settings.AMQP, "controller "+sender.Replica()+" updates", logger))
	if err != nil {
		return nil, fmt.Errorf("make the publisher of content updates: %w", err)
	}
	shelf, err := rabbitmq.NewShelf(boot.Broker(settings.AMQP, "controller "+sender.Replica()+" dead letters", logger), events.QueueDead)
	if err != nil {
		return nil, fmt.Errorf("look at dead letters: %w", err)
	}
	runners.Go("content publisher", confirmer.Run)
	watchConfirmer(registry, confirmer)
	api := updates.New(updates.Options{
		Tokens: tokens, Next: sender.Next, Publisher: confirming{confirmer}, Audit: publisher.Publish, Shelf: shelf, Tracker: tracker, Logger: logger,
	})
	registry.Register(telemetry.Func{Name: "surgewall_content_calls_total", Help: "Calls for content updates, by what came of them.", Kind: telemetry.Counter, Labels: []string{"call", "outcome"},
		Read: func(report func(float64, ...string)) {
			api.Counts(func(call, outcome string, n uint64) { report(float64(n), call, outcome) })
		}})
	return api, nil
}

// confirming tells a full queue from other trouble.
type confirming struct{ *rabbitmq.Confirmer }

// Publish returns nil when the broker has the message.
func (c confirming) Publish(ctx context.Context, m events.Message) error {
	err := c.Confirmer.Publish(ctx, m)
	if errors.Is(err, rabbitmq.ErrNacked) {
		return fmt.Errorf("%w: %w", updates.ErrFull, err)
	}
	return err
}

// readTokens reads the file at each call, so that a Secret can change.
func readTokens(path string) ([]updates.Token, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, updates.MaxTokenText+1))
	if err != nil {
		return nil, fmt.Errorf("read the tokens: %w", err)
	}
	if len(text) > updates.MaxTokenText {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, updates.MaxTokenText)
	}
	tokens, err := updates.ParseTokens(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return tokens, nil
}

// mount adds what content updates need to the API of the fleets.
func mount(fleets http.Handler, api *updates.API, replica *content.Replica) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", fleets)
	for _, pattern := range updates.Patterns() {
		if api != nil {
			mux.Handle(pattern, api)
			continue
		}
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotImplemented)
			fmt.Fprintln(w, `{"error":"this controller takes no content updates: it needs --content-token-file and a message broker"}`)
		})
	}
	if replica != nil {
		mux.Handle(content.Path, replica.Handler())
	}
	return mux
}

func watchConfirmer(registry *telemetry.Registry, confirmer *rabbitmq.Confirmer) {
	registry.Register(telemetry.Func{Name: "surgewall_content_published_total", Help: "Content updates handed to the broker, by its answer; repeated are those sent once more.",
		Kind: telemetry.Counter, Labels: []string{"outcome"}, Read: func(report func(float64, ...string)) {
			o := confirmer.Outcomes()
			for _, c := range []struct {
				outcome string
				n       uint64
			}{{"confirmed", o.Confirmed}, {"returned", o.Returned}, {"refused", o.Nacked}, {"unsent", o.Unsent}, {"unknown", o.Unknown}, {"repeated", o.Repeated}} {
				report(float64(c.n), c.outcome)
			}
		}})
	registry.Register(telemetry.Func{Name: "surgewall_broker_confirmer_state", Help: "One for the state of the connection that publishes content updates.", Kind: telemetry.Gauge,
		Labels: []string{"state"}, Read: func(report func(float64, ...string)) {
			for _, state := range rabbitmq.States() {
				report(one(state == confirmer.State()), string(state))
			}
		}})
}
