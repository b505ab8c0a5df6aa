package events

// Role is what one kind of broker user may do: regular expressions over the names of exchanges and queues, as RabbitMQ matches them.
type Role struct {
	// Name is the user's name; empty for a fleet, whose user has the fleet's name.
	Name string
	// Configure, Write and Read match what the user may declare, publish or bind to, and consume or bind from.
	Configure, Write, Read string
	// Topics limits routing keys further. A user without a limit on an exchange may use every key there.
	Topics []TopicPermission
	// Connections and Channels are the most that all processes of the user may have open together: what a leaked password can cost the broker.
	Connections, Channels int
}

// TopicPermission limits the routing keys of one exchange. RabbitMQ puts the user's name in the place of {username}.
type TopicPermission struct {
	Exchange, Write, Read string
}

const nothing = "^$"

// FleetRole lets a fleet's edges speak for their own fleet only, and follow content updates.
func FleetRole() Role {
	return Role{
		Configure: nothing, Write: `^surgewall\.telemetry$`, Read: `^surgewall\.content\.log$`,
		Connections: 10_000, Channels: 40_000,
		Topics: []TopicPermission{{ExchangeTelemetry, `^((rate|miss|life)\.{username}\.[a-z0-9-]+|applied\.[a-z0-9-]+)$`, nothing}},
	}
}

// ShieldRole lets shields report on origins, follow content updates and share the prefetch work.
func ShieldRole() Role {
	return Role{
		Name: "shield", Configure: nothing, Write: `^surgewall\.telemetry$`, Read: `^surgewall\.(content\.log|work\.prefetch)$`,
		Connections: 1000, Channels: 4000,
		Topics: []TopicPermission{{ExchangeTelemetry, `^(origin\.[a-z0-9.-]+|applied\.[a-z0-9-]+)$`, nothing}},
	}
}

// ControllerRole lets controllers make their own queues, hear telemetry and decisions, publish decisions, canaries and content updates, follow
// these to tell how far they got, and look after dead letters.
func ControllerRole() Role {
	return Role{
		Name: "controller", Configure: `^amq\.gen-.*$`,
		Write: `^(amq\.gen-.*|surgewall\.(telemetry|decision|content))$`,
		Read:  `^(amq\.gen-.*|surgewall\.(telemetry|decision|plan|content\.log|dead))$`,

		Connections: 100, Channels: 400,
		// A binding's key is matched as text against the read expression, hence the literal '#'.
		Topics: []TopicPermission{
			{ExchangeTelemetry, `^canary\.[a-z0-9-]+$`, `^(rate|miss|life|origin|applied|canary)\.#$`},
			{ExchangeDecision, `^(decision|audit)\.[a-z0-9-]+$`, `^decision\.#$`},
		},
	}
}

// ContentRole lets a content system publish content updates and planned events, and hear nothing.
func ContentRole() Role {
	return Role{
		Name: "content", Configure: nothing, Write: `^surgewall\.(content|plan)$`, Read: nothing,
		Connections: 100, Channels: 400,
		Topics: []TopicPermission{
			{ExchangeContent, `^(purge|soft|prefetch)\.[a-z0-9.-]+$`, nothing},
			{ExchangePlan, `^plan\.[a-z0-9-]+$`, nothing},
		},
	}
}
