package config

import (
	"errors"
	"strconv"
	"time"

	"github.com/spf13/pflag"
)

// Edge is what an edge can be told. Exactly one of Origin, Shields and ShieldDNS says where misses go.
type Edge struct {
	Process
	Serving
	AMQP
	Content
	Caching
	EdgeKeys

	Origin    string   // URL of the origin server, for an edge without shields
	Shields   []string // URLs of the shields
	ShieldDNS string   // host:port of a name whose addresses are the shields

	Fleet string // default edge
	Pod   string // default: the host's name up to its first dot

	ClientCacheControl string // ignore or honour; default ignore

	ConnectionMaxAge      time.Duration // of client connections, jittered; default 30 s; 0 is for ever
	ConnectTimeout        time.Duration // to one upstream; default 3 s
	ResponseHeaderTimeout time.Duration // of an upstream, from the request to the head of its response; default 40 s
	HeldTimeout           time.Duration // the same for blocking playlist reloads; default 70 s
	UpstreamConnections   int           // most connections to one upstream; default 512; 0 is without limit
}

// NewEdge returns the defaults.
func NewEdge() *Edge {
	return &Edge{
		Process: NewProcess(), Serving: newServing("127.0.0.1:8080"), AMQP: NewAMQP(), Content: newContent(),
		Fleet: "edge", ClientCacheControl: "ignore", ConnectionMaxAge: 30 * time.Second,
		ConnectTimeout: 3 * time.Second, ResponseHeaderTimeout: 40 * time.Second, HeldTimeout: 70 * time.Second, UpstreamConnections: 512,
	}
}

// Bind declares the settings as flags.
func (e *Edge) Bind(fs *pflag.FlagSet) {
	e.Process.Bind(fs)
	e.Serving.Bind(fs)
	e.AMQP.Bind(fs)
	e.Content.Bind(fs)
	e.Caching.Bind(fs)
	e.EdgeKeys.Bind(fs)
	fs.StringVar(&e.Origin, "origin", e.Origin, "`URL` of the origin server, for an edge without shields")
	fs.StringSliceVar(&e.Shields, "shield", e.Shields, "`URL` of a shield; may be repeated")
	fs.StringVar(&e.ShieldDNS, "shield-dns", e.ShieldDNS, "`host:port` whose addresses are the shields, such as a headless Service")
	fs.StringVar(&e.Fleet, "fleet", e.Fleet, "`name` of the fleet that this edge belongs to")
	fs.StringVar(&e.Pod, "pod", e.Pod, "`name` of this edge within its fleet; the host's name when empty")
	fs.StringVar(&e.ClientCacheControl, "client-cache-control", e.ClientCacheControl,
		"`policy` for the Cache-Control of clients: ignore takes all but no-store and only-if-cached out, honour lets a client that reloads reach the origin")
	fs.DurationVar(&e.ConnectionMaxAge, "connection-max-age", e.ConnectionMaxAge,
		"mean `age` at which client connections are closed, so that new edges get their share; 0 is never")
	fs.DurationVar(&e.ConnectTimeout, "connect-timeout", e.ConnectTimeout, "`time` to connect to one upstream")
	fs.DurationVar(&e.ResponseHeaderTimeout, "response-header-timeout", e.ResponseHeaderTimeout, "`time` for an upstream to begin its response")
	fs.DurationVar(&e.HeldTimeout, "held-timeout", e.HeldTimeout, "`time` for an upstream to begin its response to a blocking playlist reload (_HLS_msn), which the origin holds")
	fs.IntVar(&e.UpstreamConnections, "upstream-connections", e.UpstreamConnections, "most `connections` to one upstream; 0 is without limit")
}

// Validate reports every setting that is not allowed.
func (e *Edge) Validate() error {
	errs := []error{
		e.Process.Validate(), e.Serving.Validate(), e.AMQP.Validate(), e.Content.Validate(), e.Caching.Validate(),
		dnsLabel("fleet", e.Fleet, maxFleet),
		oneOf("client-cache-control", e.ClientCacheControl, "ignore", "honour"),
		between("connect-timeout", e.ConnectTimeout, 10*time.Millisecond, time.Minute),
		between("response-header-timeout", e.ResponseHeaderTimeout, 100*time.Millisecond, time.Hour),
		between("held-timeout", e.HeldTimeout, time.Second, time.Hour),
		within("upstream-connections", int64(e.UpstreamConnections), 0, 65535),
	}
	if e.Pod != "" {
		errs = append(errs, dnsLabel("pod", e.Pod, maxPod))
	}
	if e.ConnectionMaxAge != 0 {
		errs = append(errs, between("connection-max-age", e.ConnectionMaxAge, time.Second, 24*time.Hour))
	}
	ways := 0
	if e.Origin != "" {
		ways++
		errs = append(errs, serverURL("origin", e.Origin, "http", "https"))
		if e.EdgeAuthKeyFile != "" {
			errs = append(errs, &Error{"edge-auth-key-file", e.EdgeAuthKeyFile, "nothing beside origin: only shields know edges"})
		}
	}
	if e.ShieldDNS != "" {
		ways++
		errs = append(errs, dialAddress("shield-dns", e.ShieldDNS))
	}
	if len(e.Shields) > 0 {
		ways++
		for _, shield := range e.Shields {
			errs = append(errs, serverURL("shield", shield, "http"))
		}
	}
	if ways != 1 {
		errs = append(errs, &Error{"shield", strconv.Itoa(ways) + " ways to an upstream", "exactly one of --shield URL (repeatable), --shield-dns host:port and --origin URL"})
	}
	return errors.Join(errs...)
}
