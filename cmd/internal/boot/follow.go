package boot

import (
	"fmt"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/config"
	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/content"
	"github.com/surgewall/surgewall/internal/rabbitmq"
	"github.com/surgewall/surgewall/internal/telemetry"
)

// Follow has a replica follow the log of content updates whenever the process runs, and exports how that goes. The name is what the broker's tools show.
func Follow(amqp config.AMQP, name string, replica *content.Replica, registry *telemetry.Registry, runners *Runners, logger zerolog.Logger) (*rabbitmq.StreamConsumer, error) {
	options := Broker(amqp, name, logger)
	options.OnUp = replica.Up
	options.OnState = func(state rabbitmq.State) {
		if state != rabbitmq.StateUp {
			replica.Down()
		}
	}
	from := func() rabbitmq.Start {
		offset, latest := replica.From()
		return rabbitmq.Start{Latest: latest, Offset: offset}
	}
	stream, err := rabbitmq.NewStreamConsumer(options, events.StreamContent, from, replica.Event)
	if err != nil {
		return nil, fmt.Errorf("make the reader of content updates: %w", err)
	}
	watchReplica(registry, replica, stream)
	runners.Go("content replica", replica.Run)
	runners.Go("content log", stream.Run)
	return stream, nil
}

func watchReplica(registry *telemetry.Registry, replica *content.Replica, stream *rabbitmq.StreamConsumer) {
	for _, metric := range []struct {
		name, help string
		kind       telemetry.Kind
		read       func() float64
	}{
		{"surgewall_content_live", "One while content updates are followed, by the broker or over HTTP.", telemetry.Gauge, func() float64 {
			if replica.Live() {
				return 1
			}
			return 0
		}},
		{"surgewall_content_offset", "Offset of the content update that was applied last; -1 before the first.", telemetry.Gauge, func() float64 {
			if p := replica.Position(); p.Known() {
				return float64(p.Offset)
			}
			return -1
		}},
		{"surgewall_content_gaps_total", "Times that content updates may have been missed, so that all that was stored is validated before its next use.", telemetry.Counter,
			func() float64 { return float64(replica.Counters().Gaps) }},
	} {
		registry.Register(telemetry.Func{Name: metric.name, Help: metric.help, Kind: metric.kind, Read: func(report func(float64, ...string)) { report(metric.read()) }})
	}
	registry.Register(telemetry.Func{Name: "surgewall_content_updates_total", Help: "Content updates that arrived, by what became of them.", Kind: telemetry.Counter, Labels: []string{"outcome"},
		Read: func(report func(float64, ...string)) {
			c := replica.Counters()
			report(float64(c.Applied), "applied")
			report(float64(c.Repeated), "repeated")
			report(float64(c.Refused), "refused")
		}})
	registry.Register(telemetry.Func{Name: "surgewall_content_pulls_total", Help: "Ranges of content updates asked for over HTTP, by outcome.", Kind: telemetry.Counter, Labels: []string{"outcome"},
		Read: func(report func(float64, ...string)) {
			c := replica.Counters()
			report(float64(c.Pulls), "pulled")
			report(float64(c.PullErrors), "failed")
		}})
	registry.Register(telemetry.Func{Name: "surgewall_broker_content_state", Help: "One for the state of the connection that reads content updates.", Kind: telemetry.Gauge, Labels: []string{"state"},
		Read: func(report func(float64, ...string)) {
			for _, state := range rabbitmq.States() {
				value := 0.0
				if state == stream.State() {
					value = 1
				}
				report(value, string(state))
			}
		}})
}
