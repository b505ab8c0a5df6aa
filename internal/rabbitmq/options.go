package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/rs/zerolog"
)

// The defaults of Options.
const (
	DefaultRingSize     = 256
	DefaultMaxAge       = 2 * time.Second
	DefaultPrefetch     = 1000
	DefaultDialTimeout  = 2 * time.Second
	DefaultHeartbeat    = 5 * time.Second
	DefaultBlockedLimit = 5 * time.Second
	DefaultFlushTimeout = time.Second
	DefaultBackoffBase  = 100 * time.Millisecond
	DefaultBackoffCap   = 2 * time.Second
)

const (
	// handshakeTimeout bounds TLS and AMQP handshake together: a broker to which everybody returns at once is slow to greet.
	handshakeTimeout = 5 * time.Second
	// closeTimeout bounds the goodbye. A broker that blocks a connection never answers one.
	closeTimeout = time.Second
	// steady is how long a session must live before the next failure counts as the first again.
	steady = 5 * time.Second
	// ackEvery and ackWithin bound how many handled deliveries, and for how long, the broker takes for unhandled.
	ackEvery  = 200
	ackWithin = 50 * time.Millisecond
	// confirmWithin and maxConfirm bound how long the broker may owe a confirm before its session is given up; it takes milliseconds.
	confirmWithin = time.Second
	maxConfirm    = 15 * time.Second
	// returnedPause is the wait before a returned message is sent once more.
	returnedPause = 100 * time.Millisecond
)

// Options says where the broker is, who we are, and how patient to be. Zero values mean the defaults.
type Options struct {
	// URL is amqp[s]://user:password@host:port/vhost. It excludes Host, Port and VHost.
	URL string
	// Host, Port and VHost are the same in fields, where nothing needs escaping. Port 0 is 5672, 5671 with TLS; an empty VHost is "/".
	Host  string
	Port  int
	VHost string
	// Username is who we are; it must not contradict URL. With neither it is guest, password guest, whom brokers admit from loopback only.
	Username string
	// PasswordFile is read again on each dial, so that a rotated password needs no restart. White space at its ends is dropped. It goes
	// before the URL's password.
	PasswordFile string
	// TLS says whether, and with whose certificates, the connection is encrypted.
	TLS TLS
	// Name is shown as the connection's name in the broker's tools.
	Name string

	// RingSize is how many messages wait for the broker at most; then the oldest is dropped. More only means older.
	RingSize int
	// MaxAge is how long a message may wait before it is dropped instead of sent. A longer one replays a backlog after an outage,
	// which looks like a spike to whoever counts arrivals.
	MaxAge time.Duration
	// Prefetch is how many deliveries may be on their way to the handler. It bounds memory: the client's own buffer has no limit.
	Prefetch int
	// Heartbeat is the interval that is proposed to the broker; a dead path is noticed after 1.5 of them. RabbitMQ advises against less than 5 s.
	Heartbeat time.Duration
	// DialTimeout bounds one attempt to connect.
	DialTimeout time.Duration
	// BackoffBase and BackoffCap bound the random wait between two attempts.
	BackoffBase, BackoffCap time.Duration
	// BlockedLimit is how long a connection may stay blocked before it is given up and dialled anew.
	BlockedLimit time.Duration
	// FlushTimeout bounds what Run still sends after its context is done.
	FlushTimeout time.Duration

	// OnState is called on each change of state, and OnUp when messages can flow, from the supervising goroutine: they must not block.
	OnState func(State)
	OnUp    func()
	// Logger gets one line per change of state.
	Logger zerolog.Logger
	// DialContext replaces the network's dialler, for tests and proxies.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// TLS configures an encrypted connection. Files are read again on each dial.
type TLS struct {
	// Enabled is implied by a URL that starts with amqps.
	Enabled bool
	// CAFile holds the certificates to trust; empty means the system's.
	CAFile string
	// CertFile and KeyFile are our own certificate. With them and without a password the broker takes the user from the certificate
	// (SASL EXTERNAL), and Username must say the same.
	CertFile, KeyFile string
	// ServerName is the name expected in the broker's certificate; empty means the host.
	ServerName string
}

// withDefaults fills in what was left at zero.
func (o Options) withDefaults() Options {
	o.RingSize = orElse(o.RingSize, DefaultRingSize)
	o.MaxAge = orElse(o.MaxAge, DefaultMaxAge)
	o.Prefetch = orElse(o.Prefetch, DefaultPrefetch)
	o.Heartbeat = orElse(o.Heartbeat, DefaultHeartbeat)
	o.DialTimeout = orElse(o.DialTimeout, DefaultDialTimeout)
	o.BackoffBase = orElse(o.BackoffBase, DefaultBackoffBase)
	o.BackoffCap = orElse(o.BackoffCap, DefaultBackoffCap)
	o.BlockedLimit = orElse(o.BlockedLimit, DefaultBlockedLimit)
	o.FlushTimeout = orElse(o.FlushTimeout, DefaultFlushTimeout)
	if o.DialContext == nil {
		o.DialContext = (&net.Dialer{}).DialContext
	}
	return o
}

func orElse[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// validate checks the numbers; where the broker is, is checked by resolve.
func (o Options) validate() error {
	var problems []error
	atLeast := func(key string, v, low, high int) {
		if v < low || v > high {
			problems = append(problems, fmt.Errorf("%s %d: %d to %d are allowed", key, v, low, high))
		}
	}
	positive := func(key string, v, low time.Duration) {
		if v < low {
			problems = append(problems, fmt.Errorf("%s %v: at least %v is needed", key, v, low))
		}
	}
	atLeast("ring size", o.RingSize, 1, 1<<20)
	atLeast("prefetch", o.Prefetch, 1, 65535)
	positive("max age", o.MaxAge, time.Millisecond)
	positive("heartbeat", o.Heartbeat, time.Second)
	positive("dial timeout", o.DialTimeout, time.Millisecond)
	positive("back-off base", o.BackoffBase, time.Millisecond)
	positive("back-off cap", o.BackoffCap, o.BackoffBase)
	positive("blocked limit", o.BlockedLimit, time.Millisecond)
	positive("flush timeout", o.FlushTimeout, time.Millisecond)
	return errors.Join(problems...)
}
