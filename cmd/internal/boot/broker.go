package boot

import (
	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/config"
	"github.com/surgewall/surgewall/internal/rabbitmq"
	"github.com/surgewall/surgewall/internal/telemetry"
)

// Broker returns the options of a connection to the broker that the settings describe. The name is what the broker's tools show.
func Broker(a config.AMQP, name string, logger zerolog.Logger) rabbitmq.Options {
	if a.URL != "" {
		a.VHost = "" // the URL's own; the setting has a default
	}
	return rabbitmq.Options{
		URL: a.URL, Host: a.Host, Port: a.Port, VHost: a.VHost, Username: a.Username, PasswordFile: a.PasswordFile,
		TLS: rabbitmq.TLS{Enabled: a.CAFile != "", CAFile: a.CAFile, CertFile: a.CertFile, KeyFile: a.KeyFile}, Name: name, Logger: logger,
	}
}

// WatchPublisher exports what becomes of the events that this process publishes.
func WatchPublisher(registry *telemetry.Registry, publisher *rabbitmq.Publisher) {
	registry.Register(telemetry.Func{
		Name: "surgewall_events_published_total", Help: "Events written to a connection with the broker.", Kind: telemetry.Counter,
		Read: func(report func(float64, ...string)) { report(float64(publisher.Counters().Published)) },
	})
	registry.Register(telemetry.Func{
		Name: "surgewall_events_dropped_total", Help: "Events that did not get out, by reason.", Kind: telemetry.Counter, Labels: []string{"reason"},
		Read: func(report func(float64, ...string)) {
			counters := publisher.Counters()
			report(float64(counters.Overflowed), "overflowed")
			report(float64(counters.Expired), "expired")
			report(float64(counters.Failed), "failed")
		},
	})
	registry.Register(telemetry.Func{
		Name: "surgewall_broker_publisher_state", Help: "One for the state of the connection that publishes.", Kind: telemetry.Gauge, Labels: []string{"state"},
		Read: func(report func(float64, ...string)) {
			for _, state := range rabbitmq.States() {
				value := 0.0
				if state == publisher.State() {
					value = 1
				}
				report(value, string(state))
			}
		},
	})
}
