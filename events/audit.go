package events

import (
	"errors"
	"fmt"
	"time"
)

// TypeAudit is the CloudEvents type of Audit.
const TypeAudit = "io.surgewall.content.audit.v1"

// Audit says who asked for which content update and what came of it. It never holds a token.
type Audit struct {
	// At is when the call was answered, on the controller's clock.
	At time.Time `json:"at"`
	// Call is the resource that was called: purge, prefetch or dead.
	Call string `json:"call"`
	// Outcome is accepted, repeated, dry-run, refused, forbidden, unauthorized, limited or unavailable.
	Outcome string `json:"outcome"`
	// Principal is the name of the token, empty where there was none that is known; Remote the caller's address.
	Principal string `json:"principal,omitempty"`
	Remote    string `json:"remote,omitempty"`
	// ContentID, Scope, Soft, Values and First tell what was asked for: First is the first of so many values.
	ContentID string `json:"content_id,omitempty"`
	Scope     string `json:"scope,omitempty"`
	Soft      bool   `json:"soft,omitempty"`
	Values    int    `json:"values,omitempty"`
	First     string `json:"first,omitempty"`
	// Reason is the caller's, Error ours.
	Reason string `json:"reason,omitempty"`
	Error  string `json:"error,omitempty"`
}

func (*Audit) eventType() string { return TypeAudit }

func (*Audit) address(s Sender) (exchange, key string) { return ExchangeDecision, "audit." + s.Pod }

func (a *Audit) validate() error {
	switch a.Call {
	case "purge", "prefetch", "dead":
	default:
		return fmt.Errorf("call %q: purge, prefetch and dead are allowed", clip(a.Call))
	}
	switch a.Outcome {
	case "accepted", "repeated", "dry-run", "refused", "forbidden", "unauthorized", "limited", "unavailable":
	default:
		return fmt.Errorf("outcome %q is unknown", clip(a.Outcome))
	}
	if a.At.IsZero() {
		return errors.New("at is missing")
	}
	return all(
		text("principal", a.Principal, MaxPrincipal), text("remote", a.Remote, 64), text("content_id", a.ContentID, MaxContentID),
		text("scope", a.Scope, 16), within("values", a.Values, 0, MaxContentValues), text("first", a.First, 256),
		text("reason", a.Reason, MaxReason), text("error", a.Error, MaxReason),
	)
}
