package events

import (
	"errors"
	"time"
)

// TypeCanary is the CloudEvents type of Canary.
const TypeCanary = "io.surgewall.canary.v1"

// Canary is what a controller sends to itself through the broker each second. When it stops coming back, the path is dead, not the traffic.
type Canary struct {
	// Replica is the sender's pod name.
	Replica string `json:"replica"`
	// SentAt is read by the sender alone, so that only one clock is involved.
	SentAt time.Time `json:"sent_at"`
}

func (*Canary) eventType() string { return TypeCanary }

func (c *Canary) address(Sender) (exchange, key string) {
	return ExchangeTelemetry, "canary." + c.Replica
}

func (c *Canary) validate() error {
	if err := checkLabel("replica", c.Replica, MaxPod); err != nil {
		return err
	}
	if c.SentAt.IsZero() {
		return errors.New("sent_at is missing")
	}
	return nil
}
