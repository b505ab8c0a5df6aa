package events

import (
	"errors"
	"fmt"
	"time"
)

// TypeDecision is the CloudEvents type of Decision.
const TypeDecision = "io.surgewall.decision.v1"

const (
	// MaxReason bounds the explanation of a decision in bytes.
	MaxReason = 1024
	// MaxLimits bounds the list of limits that shaped a decision.
	MaxLimits = 16
)

// Decision is what a controller decided for a fleet, and why.
type Decision struct {
	// At is when it was decided, on the leader's clock.
	At time.Time `json:"at"`
	// Fleet is whose scale it is about.
	Fleet string `json:"fleet"`
	// From is the replica count that was found, To the one to be written, Desired what the load alone asks for.
	From    int `json:"from"`
	To      int `json:"to"`
	Desired int `json:"desired"`
	// Mode says what is done with the decision: "observe" or "direct".
	Mode string `json:"mode"`
	// Path names the rule that decided: spike, stable, bounds, hold, freeze and so on.
	Path string `json:"path"`
	// Reason explains it in one line.
	Reason string `json:"reason"`
	// Cause is why the fleet is busier than it was: audience, scan, slow-origin or edge-loss; empty where it is not.
	Cause string `json:"cause,omitempty"`
	// Limits names what held the recommendation back: "max-replicas", "step" and so on.
	Limits []string `json:"limits,omitempty"`
	// Load is what was seen.
	Load DecisionLoad `json:"load"`
	// Written is true once the API server accepted the new scale, at WrittenAt; Error says why it did not.
	Written   bool      `json:"written"`
	WrittenAt time.Time `json:"written_at,omitzero"`
	Error     string    `json:"error,omitempty"`
}

// DecisionLoad is the load that a decision rests on.
type DecisionLoad struct {
	// OfferedRPS is the fleet's offered rate over the stable window, FastRPS over the short one; requests per second.
	OfferedRPS float64 `json:"offered_rps"`
	FastRPS    float64 `json:"fast_rps"`
	// HitRatio is the part of requests that needed no forwarding, 0 to 1.
	HitRatio float64 `json:"hit_ratio"`
}

func (*Decision) eventType() string { return TypeDecision }

func (d *Decision) address(Sender) (exchange, key string) {
	return ExchangeDecision, "decision." + d.Fleet
}

func (d *Decision) validate() error {
	if d.At.IsZero() {
		return errors.New("at is missing")
	}
	if len(d.Limits) > MaxLimits {
		return fmt.Errorf("limits has %d entries, at most %d are allowed", len(d.Limits), MaxLimits)
	}
	for _, limit := range d.Limits {
		if err := text("limits", limit, 256); err != nil {
			return err
		}
	}
	return all(
		CheckFleet(d.Fleet),
		within("from", d.From, 0, MaxReplicas), within("to", d.To, 0, MaxReplicas), within("desired", d.Desired, 0, MaxReplicas),
		text("mode", d.Mode, 32), text("path", d.Path, 32), text("cause", d.Cause, 32), text("reason", d.Reason, MaxReason), text("error", d.Error, MaxReason),
		number("load.offered_rps", d.Load.OfferedRPS, 1e12), number("load.fast_rps", d.Load.FastRPS, 1e12),
		number("load.hit_ratio", d.Load.HitRatio, 1),
	)
}
