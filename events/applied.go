package events

import "fmt"

// TypeApplied is the CloudEvents type of Applied.
const TypeApplied = "io.surgewall.content.applied.v1"

// Applied says how far one edge or shield has followed the log of content updates: soon after each change, and every few seconds without one.
type Applied struct {
	// Role is "edge" or "shield".
	Role string `json:"role"`
	// Position is Position.String: "<mark>;<offset>", empty before the first event.
	Position string `json:"position,omitempty"`
	// Live is true while the replica follows the log, by the broker or by HTTP. What it has not applied otherwise is not served as fresh for
	// longer than its policy for disconnection allows.
	Live bool `json:"live"`
	// Applied and Gaps count the updates that this boot applied, and the times that it could not know whether it missed one.
	Applied uint64 `json:"applied"`
	Gaps    uint64 `json:"gaps"`
	// Closing: the last word of this boot.
	Closing bool `json:"closing,omitempty"`
}

func (*Applied) eventType() string { return TypeApplied }

func (*Applied) address(s Sender) (exchange, key string) {
	return ExchangeTelemetry, "applied." + s.Pod
}

func (a *Applied) validate() error {
	if a.Role != "edge" && a.Role != "shield" {
		return fmt.Errorf("role %q: edge and shield are allowed", clip(a.Role))
	}
	if a.Position != "" {
		if _, err := ParsePosition(a.Position); err != nil {
			return err
		}
	}
	return all(count("applied", a.Applied), count("gaps", a.Gaps))
}
