// Package rabbitmq keeps a process connected to RabbitMQ: it dials for ever, starts afresh on every connection, and never makes a caller wait.
//
// A [Publisher] sends what only matters now and drops what it cannot send; a [Confirmer] sends what must not be lost and tells what became of each
// message. A [Consumer] has a queue of its own, a [StreamConsumer] reads a stream from where it left off, a [Worker] shares a queue of work, and
// a [Shelf] looks through a queue by hand. Each owns one connection, because a broker in need stops reading from connections that publish. Each is
// supervised: a session object owns a connection and all of its channels, declares what it needs, and dies whole when anything of it
// dies; then the next is dialled after a full-jitter back-off. The client library's own recovery stays off: it would settle deliveries of
// a new connection with the tags of the old one.
//
// It is the only package that imports the AMQP client.
package rabbitmq

// State is what a connection is doing.
type State string

// The states of a connection.
const (
	// StateDown: not running, or waiting for the next attempt.
	StateDown State = "down"
	// StateConnecting: dialling, shaking hands or declaring.
	StateConnecting State = "connecting"
	// StateUp: messages flow.
	StateUp State = "up"
	// StateBlocked: the broker has stopped reading what this connection publishes, for lack of memory or disk.
	StateBlocked State = "blocked"
)

// States lists every state, so that each metric exists from the start.
func States() []State { return []State{StateDown, StateConnecting, StateUp, StateBlocked} }
