package events

import (
	"fmt"
	"strings"
	"time"
)

// TypeOrigin is the CloudEvents type of Origin.
const TypeOrigin = "io.surgewall.shield.origin.v1"

// OriginState is how a shield sees an origin server.
type OriginState string

// The states of an origin server.
const (
	OriginHealthy OriginState = "healthy"
	OriginSlow    OriginState = "slow"
	OriginFailing OriginState = "failing"
	OriginDown    OriginState = "down"
)

// MaxSite bounds a site's name in bytes. AMQP limits a routing key to 255.
const MaxSite = 240

// Origin says how one shield saw one origin server in one window.
type Origin struct {
	// Site is the host name of the site in lower case, with no port.
	Site  string      `json:"site"`
	State OriginState `json:"state"`
	// WindowMS is the window's length in milliseconds, 1 to MaxWindowMS.
	WindowMS int64 `json:"window_ms"`
	// Fetches counts requests to the origin server that ended in the window, Errors those of them that failed.
	Fetches uint64 `json:"fetches"`
	Errors  uint64 `json:"errors"`
	// InFlight is the number of requests under way when the window ended.
	InFlight uint64 `json:"in_flight"`
	// LatencyMS is the median time to first byte in milliseconds.
	LatencyMS float64 `json:"latency_ms"`
}

// Window is the window's length.
func (o *Origin) Window() time.Duration { return time.Duration(o.WindowMS) * time.Millisecond }

func (*Origin) eventType() string { return TypeOrigin }

func (o *Origin) address(Sender) (exchange, key string) { return ExchangeTelemetry, "origin." + o.Site }

func (o *Origin) validate() error {
	switch o.State {
	case OriginHealthy, OriginSlow, OriginFailing, OriginDown:
	default:
		return fmt.Errorf("state %q: healthy, slow, failing and down are allowed", clip(string(o.State)))
	}
	return all(
		CheckSite(o.Site),
		within("window_ms", o.WindowMS, 1, MaxWindowMS),
		count("fetches", o.Fetches), count("errors", o.Errors), count("in_flight", o.InFlight),
		number("latency_ms", o.LatencyMS, 1e9),
	)
}

// CheckSite says what is wrong with a site's name: DNS labels joined by dots, which are so many words of a routing key.
func CheckSite(site string) error {
	if len(site) > MaxSite {
		return fmt.Errorf("site has %d bytes, at most %d are allowed", len(site), MaxSite)
	}
	for label := range strings.SplitSeq(site, ".") {
		if err := checkLabel("site", label, 63); err != nil {
			return err
		}
	}
	return nil
}
