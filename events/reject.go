package events

import "fmt"

// Reason says why a message was dropped. It is a metric label: the set is closed and small.
type Reason string

// The reasons of Decode.
const (
	// ReasonOversize: the body is larger than MaxBody.
	ReasonOversize Reason = "oversize"
	// ReasonMalformed: no CloudEvent 1.0, no JSON object, or a field of the wrong kind.
	ReasonMalformed Reason = "malformed"
	// ReasonUnknownType: a type or a major version that this release does not know.
	ReasonUnknownType Reason = "unknown_type"
	// ReasonOutOfRange: a number, string or list outside the bounds of the contract, or a required field left out.
	ReasonOutOfRange Reason = "out_of_range"
	// ReasonNoUser: no user id, so that the broker has not checked who sent it.
	ReasonNoUser Reason = "no_user"
	// ReasonForged: the routing key or the user id contradicts the source.
	ReasonForged Reason = "forged"
)

// The reasons of whoever applies events: decoding needs no memory, these do.
const (
	// ReasonDuplicate: this (source, boot id, sequence) was seen before.
	ReasonDuplicate Reason = "duplicate"
	// ReasonStale: a newer one of the same source was seen, or it is from an earlier boot.
	ReasonStale Reason = "stale"
	// ReasonUnknownEdge: the source is not a pod of its fleet.
	ReasonUnknownEdge Reason = "unknown_edge"
	// ReasonClamped: kept, but its numbers were cut to what one edge can do.
	ReasonClamped Reason = "clamped"
)

// Reasons lists every reason, so that each counter exists before the first drop.
func Reasons() []Reason {
	return []Reason{
		ReasonOversize, ReasonMalformed, ReasonUnknownType, ReasonOutOfRange, ReasonNoUser, ReasonForged,
		ReasonDuplicate, ReasonStale, ReasonUnknownEdge, ReasonClamped,
	}
}

// RejectError is the one error of Decode.
type RejectError struct {
	Reason Reason
	// Err says what exactly; it quotes at most 80 bytes of any value.
	Err error
}

// Error names the reason and the cause.
func (e *RejectError) Error() string { return fmt.Sprintf("%s: %v", e.Reason, e.Err) }

// Unwrap returns the cause.
func (e *RejectError) Unwrap() error { return e.Err }

func reject(reason Reason, format string, args ...any) *RejectError {
	return &RejectError{Reason: reason, Err: fmt.Errorf(format, args...)}
}
