package tier

import (
	"fmt"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/cmd/internal/boot"
	"github.com/surgewall/surgewall/config"
	"github.com/surgewall/surgewall/internal/rabbitmq"
	"github.com/surgewall/surgewall/internal/telemetry"
)

// Publisher is the one connection by which a replica says what it has to say.
type Publisher struct {
	*rabbitmq.Publisher
	// Resume is called when a session is up. It is set before the start.
	Resume func()
}

// NewPublisher returns a Publisher that is running whenever the process does, and nil without a broker.
func NewPublisher(amqp config.AMQP, name string, runners *boot.Runners, registry *telemetry.Registry, logger zerolog.Logger) (*Publisher, error) {
	if !amqp.Configured() {
		return nil, nil
	}
	p := &Publisher{Resume: func() {}}
	options := boot.Broker(amqp, name, logger)
	options.OnUp = func() { p.Resume() }
	var err error
	if p.Publisher, err = rabbitmq.NewPublisher(options); err != nil {
		return nil, fmt.Errorf("make the publisher: %w", err)
	}
	boot.WatchPublisher(registry, p.Publisher)
	runners.Go("publisher", p.Run)
	return p, nil
}
