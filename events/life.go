package events

import "fmt"

// TypeLife is the CloudEvents type of Life.
const TypeLife = "io.surgewall.edge.life.v1"

// LifeState is where an edge is in its life.
type LifeState string

// The states in the order in which an edge passes through them.
const (
	// LifeStarting: the process runs and does not serve yet.
	LifeStarting LifeState = "starting"
	// LifeWarming: it fills its cache from the shields and is not Ready.
	LifeWarming LifeState = "warming"
	// LifeReady: it serves.
	LifeReady LifeState = "ready"
	// LifeDraining: it serves, but asks its clients to leave.
	LifeDraining LifeState = "draining"
	// LifeClosing: the last word of this boot. Its rate counts as gone from here on.
	LifeClosing LifeState = "closing"
)

// Life says what an edge is about to do, so that a pod that leaves on purpose is not taken for one that fell silent.
type Life struct {
	State LifeState `json:"state"`
	// Reason is for people; at most 256 bytes.
	Reason string `json:"reason,omitempty"`
}

func (*Life) eventType() string { return TypeLife }

func (*Life) address(s Sender) (exchange, key string) {
	return ExchangeTelemetry, "life." + s.Fleet + "." + s.Pod
}

func (l *Life) validate() error {
	switch l.State {
	case LifeStarting, LifeWarming, LifeReady, LifeDraining, LifeClosing:
	default:
		return fmt.Errorf("state %q: starting, warming, ready, draining and closing are allowed", clip(string(l.State)))
	}
	return text("reason", l.Reason, 256)
}
