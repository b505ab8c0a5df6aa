package events

import (
	"fmt"
	"strconv"
	"time"
)

// Attributes are the CloudEvents context attributes of an event. (Source, BootID, Seq) kills duplicates and disorder without clocks.
type Attributes struct {
	// ID is unique within Source. Empty means "<bootid>-<seq>".
	ID string
	// Source is "/<fleet>/<pod>"; see Source.
	Source string
	// Type is the CloudEvents type. Encode sets it.
	Type string
	// Time is the sender's wall clock, for people; nothing is computed from it. Zero means absent.
	Time time.Time
	// BootID is drawn anew by each process: 8 to 36 characters of a-z, 0-9 and hyphen.
	BootID string
	// Seq starts at 1 and grows by one with each event that this boot of Source sends, whatever its type.
	// A gap is a lost event, an equal or a lower number a duplicate or a late one.
	Seq uint64
	// TraceParent is a W3C trace context, empty for none. One that is not well formed is dropped, as that standard asks.
	TraceParent string
}

// Sender returns the fleet and the pod of Source. It is zero when Source is not well formed, which no decoded event is.
func (a Attributes) Sender() Sender {
	s, _ := parseSender(a.Source)
	return s
}

// Names of the headers in binary mode. The prefix is the one that Knative's RabbitMQ eventing writes, the only convention for AMQP 0.9.1.
const (
	headerPrefix      = "ce-"
	headerSpecVersion = headerPrefix + "specversion"
	headerID          = headerPrefix + "id"
	headerSource      = headerPrefix + "source"
	headerType        = headerPrefix + "type"
	headerTime        = headerPrefix + "time"
	headerBootID      = headerPrefix + "bootid"
	headerSequence    = headerPrefix + "sequence"
	headerTraceParent = "traceparent"
)

const (
	specVersion = "1.0"
	maxID       = 128
	minBootID   = 8
	maxBootID   = 36
	maxTime     = 40
	// timeLayout is RFC 3339 with milliseconds: AMQP's own timestamp has a resolution of one second.
	timeLayout = "2006-01-02T15:04:05.000Z07:00"
)

// headers writes the attributes in binary mode.
func (a Attributes) headers() map[string]string {
	h := make(map[string]string, 8)
	h[headerSpecVersion] = specVersion
	h[headerID] = a.ID
	h[headerSource] = a.Source
	h[headerType] = a.Type
	h[headerBootID] = a.BootID
	// The CloudEvents extension "sequence" compares as text, hence the leading zeros: 20 digits hold any uint64.
	h[headerSequence] = fmt.Sprintf("%020d", a.Seq)
	if !a.Time.IsZero() {
		h[headerTime] = a.Time.UTC().Format(timeLayout)
	}
	if a.TraceParent != "" {
		h[headerTraceParent] = a.TraceParent
	}
	return h
}

// attributes reads them back. get returns the empty string for an attribute that is absent; trace context has its own name.
func attributes(get func(name string) string) (Attributes, error) {
	if v := get("specversion"); v != specVersion {
		return Attributes{}, fmt.Errorf("specversion %q is not %s", clip(v), specVersion)
	}
	a := Attributes{ID: get("id"), Source: get("source"), Type: get("type"), BootID: get("bootid"), TraceParent: get("traceparent")}
	seq := get("sequence")
	if len(seq) > 20 {
		return Attributes{}, fmt.Errorf("sequence has %d characters, at most 20 are allowed", len(seq))
	}
	var err error
	if a.Seq, err = strconv.ParseUint(seq, 10, 64); err != nil {
		return Attributes{}, fmt.Errorf("sequence %q is not a whole number", seq)
	}
	if t := get("time"); t != "" {
		if len(t) > maxTime {
			return Attributes{}, fmt.Errorf("time has %d characters, at most %d are allowed", len(t), maxTime)
		}
		if a.Time, err = time.Parse(time.RFC3339, t); err != nil {
			return Attributes{}, fmt.Errorf("time %q is not RFC 3339", t)
		}
	}
	if !validTraceParent(a.TraceParent) {
		a.TraceParent = ""
	}
	return a, nil
}

// validate checks everything but the type.
func (a Attributes) validate() error {
	if len(a.ID) == 0 || len(a.ID) > maxID || !printable(a.ID) {
		return fmt.Errorf("id %q: 1 to %d printable characters are allowed", clip(a.ID), maxID)
	}
	if len(a.BootID) < minBootID || len(a.BootID) > maxBootID {
		return fmt.Errorf("bootid %q has %d characters, %d to %d are allowed", clip(a.BootID), len(a.BootID), minBootID, maxBootID)
	}
	for i := range len(a.BootID) {
		if !labelByte(a.BootID[i]) {
			return fmt.Errorf("bootid %q: only a-z, 0-9 and - are allowed", a.BootID)
		}
	}
	if a.Seq == 0 {
		return fmt.Errorf("sequence 0: numbers start at 1")
	}
	_, err := parseSender(a.Source)
	return err
}

// validTraceParent checks the form of version 00 of the W3C trace context: 00-<32 hex>-<16 hex>-<2 hex>.
func validTraceParent(s string) bool {
	if len(s) != 55 || s[:3] != "00-" {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case i == 2 || i == 35 || i == 52:
			if c != '-' {
				return false
			}
		case ('0' > c || c > '9') && ('a' > c || c > 'f'):
			return false
		}
	}
	return true
}
