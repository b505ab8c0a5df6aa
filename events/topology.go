package events

import "strings"

// The exchanges. All are durable and of kind topic, but the dead-letter exchange, which is a fanout.
const (
	ExchangeTelemetry = "surgewall.telemetry"
	ExchangeContent   = "surgewall.content"
	ExchangePlan      = "surgewall.plan"
	ExchangeDecision  = "surgewall.decision"
	ExchangeDead      = "surgewall.dlx"
)

// The queues that have a name.
const (
	StreamContent = "surgewall.content.log"
	QueuePrefetch = "surgewall.work.prefetch"
	QueueDead     = "surgewall.dead"
)

// Exchange is an exchange to declare: durable, not deleted when unused, without arguments.
type Exchange struct {
	Name string
	// Kind is "topic" or "fanout".
	Kind string
}

// Binding routes what is published to Exchange with a matching key. In a Key, '*' stands for one word and '#' for any number of them.
type Binding struct {
	Exchange, Key string
}

// Queue is a queue to declare.
type Queue struct {
	// Name is empty where the broker chooses one.
	Name string
	// Durable queues outlive the broker; exclusive ones belong to a connection and go with it.
	Durable, Exclusive, AutoDelete bool
	// Args are the queue's arguments: strings and int64 values.
	Args     map[string]any
	Bindings []Binding
}

// Exchanges lists every exchange. Telemetry has no alternate exchange: what nobody listens to is dropped for free.
func Exchanges() []Exchange {
	return []Exchange{
		{Name: ExchangeTelemetry, Kind: "topic"},
		{Name: ExchangeContent, Kind: "topic"},
		{Name: ExchangePlan, Kind: "topic"},
		{Name: ExchangeDecision, Kind: "topic"},
		{Name: ExchangeDead, Kind: "fanout"},
	}
}

// Queues lists every queue that is made at setup. The controllers' own queues come and go with their connections.
func Queues() []Queue { return []Queue{ContentLog(), PrefetchQueue(), DeadQueue()} }

// Policy is a rule of the broker for queues whose names match Pattern. Where a queue's own arguments say another number, the smaller holds.
type Policy struct {
	Name, Pattern string
	// Definition has the keys of queue arguments without their "x-": strings and int64 values.
	Definition map[string]any
}

// Policies lists what the broker imposes on queues whatever their arguments say: a controller names its own queue and its arguments, and one
// whose password leaked could otherwise fill the broker's memory.
func Policies() []Policy {
	return []Policy{{
		Name: "surgewall.controllers", Pattern: `^amq\.gen-`,
		Definition: map[string]any{
			"message-ttl": int64(controllerTTL), "max-length": int64(controllerLength), "max-length-bytes": int64(controllerBytes), "overflow": "drop-head",
		},
	}}
}

// The bounds of a controller's queue. Telemetry that is ten windows old is worthless, it dies in the broker; both lengths bound the broker's
// memory when a controller stalls.
const (
	controllerTTL    = 10_000 // milliseconds
	controllerLength = 100_000
	controllerBytes  = 64 << 20
)

// ControllerQueue is the queue of one controller replica. Each has its own copy of the telemetry, so that a standby is warm. It is named
// by the broker: a fixed exclusive name would stay locked until the broker notices that the former connection is dead.
func ControllerQueue() Queue {
	return Queue{
		Exclusive: true, AutoDelete: true,
		Args: map[string]any{
			// Said outright: a virtual host may have another default type, and no other type can be exclusive.
			"x-queue-type":       "classic",
			"x-message-ttl":      int64(controllerTTL),
			"x-max-length":       int64(controllerLength),
			"x-max-length-bytes": int64(controllerBytes),
			"x-overflow":         "drop-head", // the newest wins
		},
		Bindings: ControllerBindings(),
	}
}

// ControllerBindings is what a controller listens to: all telemetry, the decisions of whichever replica leads, and planned events.
func ControllerBindings() []Binding {
	return []Binding{
		{ExchangeTelemetry, "rate.#"}, {ExchangeTelemetry, "miss.#"}, {ExchangeTelemetry, "life.#"},
		{ExchangeTelemetry, "origin.#"}, {ExchangeTelemetry, "applied.#"}, {ExchangeTelemetry, "canary.#"},
		{ExchangeDecision, "decision.#"}, {ExchangePlan, "plan.#"},
	}
}

// ContentLog is the stream that fans purges out and lets a replica catch up on those it missed.
func ContentLog() Queue {
	return Queue{
		Name: StreamContent, Durable: true,
		Args: map[string]any{
			"x-queue-type":       "stream",
			"x-max-age":          "24h",
			"x-max-length-bytes": int64(1 << 30),
			// Retention works by whole segments; at the broker's default of 500 MB it would never trim.
			"x-stream-max-segment-size-bytes": int64(16 << 20),
		},
		Bindings: []Binding{{ExchangeContent, "purge.#"}, {ExchangeContent, "soft.#"}},
	}
}

// PrefetchQueue is the work that shields share.
func PrefetchQueue() Queue {
	return Queue{
		Name: QueuePrefetch, Durable: true,
		Args: map[string]any{
			"x-queue-type": "quorum",
			// Unlimited by default before RabbitMQ 4 and 20 from there on, hence always said.
			"x-delivery-limit":       int64(5),
			"x-dead-letter-exchange": ExchangeDead,
			// At-least-once needs reject-publish, and keeps dead letters here until they are confirmed, hence the length.
			"x-dead-letter-strategy": "at-least-once",
			"x-overflow":             "reject-publish",
			"x-max-length":           int64(100_000),
			"x-message-ttl":          int64(600_000),
		},
		Bindings: []Binding{{ExchangeContent, "prefetch.#"}},
	}
}

// DeadQueue keeps dead letters as evidence, bounded.
func DeadQueue() Queue {
	return Queue{
		Name: QueueDead, Durable: true,
		Args: map[string]any{
			"x-queue-type":  "quorum",
			"x-max-length":  int64(10_000),
			"x-overflow":    "drop-head",
			"x-message-ttl": int64(7 * 24 * 3600 * 1000),
			// Who looks at a dead letter puts it back, which counts as a delivery: RabbitMQ 4 would throw it away at the twentieth look.
			"x-delivery-limit": int64(1_000_000),
		},
		Bindings: []Binding{{ExchangeDead, "#"}},
	}
}

// Matches says whether a routing key matches a topic pattern: words are divided by dots, '*' stands for one word, '#' for any number.
func Matches(pattern, key string) bool {
	return matchWords(strings.Split(pattern, "."), strings.Split(key, "."))
}

func matchWords(pattern, key []string) bool {
	// Where a '#' was passed last: on a mismatch it takes one word more. No older one ever needs to be tried again, so this is quadratic
	// at worst, whatever the pattern.
	hash, taken := -1, 0
	p, k := 0, 0
	for k < len(key) {
		switch {
		case p < len(pattern) && pattern[p] == "#":
			hash, taken = p, k
			p++
		case p < len(pattern) && (pattern[p] == "*" || pattern[p] == key[k]):
			p++
			k++
		case hash >= 0:
			taken++
			p, k = hash+1, taken
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == "#" {
		p++
	}
	return p == len(pattern)
}
