// Package events is the contract on the bus: what edges, shields and controllers tell each other, as CloudEvents 1.0 over AMQP 0.9.1.
//
// A stranger can implement it from this package alone. Each message is one CloudEvent in binary mode: the attributes are headers
// whose names start with "ce-", the body is JSON. Structured mode (application/cloudevents+json) is understood on input.
//
//	exchange surgewall.telemetry
//	  rate.<fleet>.<pod>     [Rate]    what one edge was asked for in one window
//	  miss.<fleet>.<pod>     [Miss]    which keys it had to forward
//	  life.<fleet>.<pod>     [Life]    what it is about to do
//	  origin.<site>          [Origin]  how a shield sees an origin server
//	  canary.<replica>       [Canary]  a controller's test of its own path
//	  applied.<replica>      [Applied] how far an edge or a shield has followed the content updates
//	exchange surgewall.content
//	  purge.<site>           [Content] what may not be used any more
//	  soft.<site>            [Content] what is stale from now on
//	  prefetch.<site>        [Content] what a shield should fetch
//	exchange surgewall.plan
//	  plan.<fleet>           [Plan]    an event that will bring load
//	exchange surgewall.decision
//	  decision.<fleet>       [Decision] what a controller decided, and why
//	  audit.<replica>        [Audit]   who asked a controller for a content update
//
// Changes are additive: unknown fields are ignored, and a new major version gets a new type and a new routing root. Input from the bus
// is not trusted: [Decode] bounds sizes, numbers, strings and lists, and refuses the rest with a [*RejectError] that names a [Reason].
// Nothing that was refused is ever requeued.
//
// The package is pure: no clock, no log, no goroutine, no client library.
package events

// MaxBody is the size limit of a message body in bytes. It is far below what any broker accepts, so that one sender cannot fill a queue.
const MaxBody = 64 << 10

// ContentTypeJSON is the content type of a binary-mode body.
const ContentTypeJSON = "application/json"

// ContentTypeStructured is the content type of a whole CloudEvent in one JSON body. It is understood, never sent.
const ContentTypeStructured = "application/cloudevents+json"

// Message is one AMQP message, free of any client library. Once it is handed to a bus, nobody may change its headers or its body.
type Message struct {
	// Exchange and Key say where to publish the message, or where it came from.
	Exchange, Key string
	// Headers holds the CloudEvents attributes ("ce-…") and "traceparent".
	Headers map[string]string
	// ContentType is ContentTypeJSON for everything that this package encodes.
	ContentType string
	// MessageID repeats the CloudEvents id for tools that show AMQP properties only.
	MessageID string
	// UserID is the sender's broker user. A broker refuses a message whose user id is not the one of the connection,
	// so a receiver may believe it; see https://www.rabbitmq.com/docs/validated-user-id.
	UserID string
	// Persistent asks the broker to keep the message over a restart, where the queue is durable too.
	Persistent bool
	// Body is at most MaxBody bytes.
	Body []byte
}

// Event is a decoded message: who said it and what.
type Event struct {
	Attributes
	// Body is one of *Rate, *Miss, *Life, *Origin, *Canary, *Decision, *Plan, *Content, *Applied and *Audit.
	Body Body
}

// Body is the content of an event. The set is closed: a type switch over the types that Event names is complete.
type Body interface {
	// eventType is the CloudEvents type.
	eventType() string
	// address is where the event of this sender belongs.
	address(from Sender) (exchange, key string)
	// validate says what is outside the contract; the text names the field, the value and the allowed range.
	validate() error
}

// newBody returns an empty body for a CloudEvents type, nil for a type that this version does not know.
func newBody(eventType string) Body {
	switch eventType {
	case TypeRate:
		return &Rate{Offered: unset}
	case TypeMiss:
		return &Miss{Misses: unset}
	case TypeLife:
		return new(Life)
	case TypeOrigin:
		return new(Origin)
	case TypeCanary:
		return new(Canary)
	case TypeDecision:
		return new(Decision)
	case TypePlan:
		return new(Plan)
	case TypeContent:
		return new(Content)
	case TypeApplied:
		return new(Applied)
	case TypeAudit:
		return new(Audit)
	}
	return nil
}

// unset is what a count that must be present is before it is read. It is beyond every bound, so no sender can mean it. A method that
// reads the body into pointers would have each body scanned four times, and bodies are most of what a controller does.
const unset = 1<<64 - 1

// ofFleet says whether a body speaks for one process of a fleet or tier. Only that fleet's own broker user may send it.
func ofFleet(b Body) bool {
	switch b.(type) {
	case *Rate, *Miss, *Life, *Applied:
		return true
	}
	return false
}
