package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// EncodeRate returns the message that carries r. It fails only when r or a is outside the contract.
func EncodeRate(a Attributes, r Rate) (Message, error) { return Encode(a, &r) }

// EncodeMiss returns the message that carries m.
func EncodeMiss(a Attributes, m Miss) (Message, error) { return Encode(a, &m) }

// EncodeLife returns the message that carries l.
func EncodeLife(a Attributes, l Life) (Message, error) { return Encode(a, &l) }

// EncodeOrigin returns the message that carries o.
func EncodeOrigin(a Attributes, o Origin) (Message, error) { return Encode(a, &o) }

// EncodeCanary returns the message that carries c.
func EncodeCanary(a Attributes, c Canary) (Message, error) { return Encode(a, &c) }

// EncodeDecision returns the message that carries d. Its text is cut to the bounds: an explanation too long must not cost the decision.
func EncodeDecision(a Attributes, d Decision) (Message, error) {
	d.Reason, d.Error = CleanText(d.Reason, MaxReason), CleanText(d.Error, MaxReason)
	return Encode(a, &d)
}

// EncodeContent returns the message that carries c, persistent, under the id that makes the update idempotent; see CheckContentID.
func EncodeContent(a Attributes, id string, c Content) (Message, error) {
	if err := CheckContentID(id); err != nil {
		return Message{}, fmt.Errorf("encode %s: %w", TypeContent, err)
	}
	a.ID = id
	m, err := Encode(a, &c)
	m.Persistent = true
	return m, err
}

// EncodeApplied returns the message that carries p.
func EncodeApplied(a Attributes, p Applied) (Message, error) { return Encode(a, &p) }

// EncodeAudit returns the message that carries u. Its text is cut to the bounds: a hostile call must not escape the audit by its length.
func EncodeAudit(a Attributes, u Audit) (Message, error) {
	u.Principal, u.Remote, u.ContentID = CleanText(u.Principal, MaxPrincipal), CleanText(u.Remote, 64), CleanText(u.ContentID, MaxContentID)
	u.Scope, u.First = CleanText(u.Scope, 16), CleanText(u.First, 256)
	u.Reason, u.Error = CleanText(u.Reason, MaxReason), CleanText(u.Error, MaxReason)
	u.Values = min(u.Values, MaxContentValues)
	return Encode(a, &u)
}

// Encode checks b against the contract and returns the message that carries it, with exchange, routing key and user id filled in:
// the user id is the fleet of a.Source, which is what a receiver expects. a.Type is ignored.
func Encode(a Attributes, b Body) (Message, error) {
	a.Type = b.eventType()
	if a.ID == "" {
		a.ID = fmt.Sprintf("%s-%d", a.BootID, a.Seq)
	}
	if !validTraceParent(a.TraceParent) {
		a.TraceParent = ""
	}
	if err := a.validate(); err != nil {
		return Message{}, fmt.Errorf("encode %s: %w", a.Type, err)
	}
	if err := b.validate(); err != nil {
		return Message{}, fmt.Errorf("encode %s: %w", a.Type, err)
	}
	body, err := marshal(b)
	if err != nil {
		return Message{}, fmt.Errorf("encode %s: %w", a.Type, err)
	}
	sender := a.Sender()
	exchange, key := b.address(sender)
	return Message{
		Exchange: exchange, Key: key, Headers: a.headers(),
		ContentType: ContentTypeJSON, MessageID: a.ID, UserID: sender.Fleet, Body: body,
	}, nil
}

// marshal leaves <, > and & alone: escaping them would make keys up to six times as long and protects nothing here.
func marshal(b Body) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(b); err != nil {
		return nil, err
	}
	body := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	if len(body) > MaxBody {
		return nil, fmt.Errorf("body has %d bytes, at most %d are allowed", len(body), MaxBody)
	}
	return body, nil
}

// Decode reads a message from the bus and checks all of it: size, form, bounds, and that routing key and user id do not contradict
// the source. Its error is always a *RejectError. It keeps no part of m.
func Decode(m Message) (Event, error) {
	if len(m.Body) > MaxBody {
		return Event{}, reject(ReasonOversize, "body has %d bytes, at most %d are allowed", len(m.Body), MaxBody)
	}
	a, data, err := open(m)
	if err != nil {
		return Event{}, &RejectError{Reason: ReasonMalformed, Err: err}
	}
	body := newBody(a.Type)
	if body == nil {
		return Event{}, reject(ReasonUnknownType, "type %q", clip(a.Type))
	}
	if err := a.validate(); err != nil {
		return Event{}, &RejectError{Reason: ReasonOutOfRange, Err: err}
	}
	if body, err = read(data, body, a.Type); err != nil {
		return Event{}, &RejectError{Reason: ReasonMalformed, Err: err}
	}
	if err := body.validate(); err != nil {
		return Event{}, &RejectError{Reason: ReasonOutOfRange, Err: err}
	}
	if err := identify(m, a, body); err != nil {
		return Event{}, err
	}
	return Event{Attributes: a, Body: body}, nil
}

// open takes the envelope off.
func open(m Message) (Attributes, []byte, error) {
	mode, _, _ := strings.Cut(m.ContentType, ";")
	switch mode = strings.ToLower(strings.TrimSpace(mode)); mode {
	case ContentTypeJSON:
		a, err := attributes(func(name string) string {
			if name == headerTraceParent {
				if v := m.Headers[headerTraceParent]; v != "" {
					return v
				}
			}
			return m.Headers[headerPrefix+name]
		})
		return a, m.Body, err
	case ContentTypeStructured:
		return openStructured(m.Body)
	default:
		return Attributes{}, nil, fmt.Errorf("content type %q: %s and %s are allowed", clip(m.ContentType), ContentTypeJSON, ContentTypeStructured)
	}
}

// read fills an empty body of this type, or another one.
func read(data []byte, body Body, eventType string) (Body, error) {
	if b, ok := body.(quickBody); ok {
		if b.quick(data) {
			return body, nil
		}
		body = newBody(eventType) // without what was read so far
	}
	return body, unmarshal(data, body)
}

// unmarshal wants an object: null would leave the body at its zero value, which reads as an idle edge.
func unmarshal(data []byte, body Body) error {
	if trimmed := bytes.TrimLeft(data, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return errors.New("body is not a JSON object")
	}
	if err := json.Unmarshal(data, body); err != nil {
		return fmt.Errorf("body: %s", clip(err.Error()))
	}
	if b, ok := body.(interface{ complete() error }); ok {
		if err := b.complete(); err != nil {
			return fmt.Errorf("body: %w", err)
		}
	}
	return nil
}

// identify checks that the message may speak for its source. The broker has compared the user id with the connection's user, and may
// have compared the routing key with the user's topic permission; the source inside must agree with both.
func identify(m Message, a Attributes, body Body) error {
	sender := a.Sender()
	exchange, key := body.address(sender)
	switch {
	case m.UserID == "":
		return reject(ReasonNoUser, "no user id from %s", a.Source)
	case m.Exchange != exchange || m.Key != key:
		return reject(ReasonForged, "came by %s %q, belongs to %s %q", clip(m.Exchange), clip(m.Key), exchange, key)
	case ofFleet(body) && m.UserID != sender.Fleet:
		return reject(ReasonForged, "user %q speaks for fleet %q", clip(m.UserID), sender.Fleet)
	}
	return nil
}
