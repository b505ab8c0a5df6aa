package config

import (
	"errors"
	"time"

	"github.com/spf13/pflag"
)

// The longest names: a fleet's is a label of Kubernetes, a pod's leaves room for both in a routing key of 255 bytes.
const (
	maxFleet = 63
	maxPod   = 128
)

// maxCDNID is far above what names need, and low enough for a chain of caches to fit in a request's head.
const maxCDNID = 128

// Serving holds the settings that edge and shield have in common: where they listen, how much they keep, how they leave.
type Serving struct {
	Listen            string
	CacheSize         Bytes         // weight of stored responses in memory; default 512 MiB
	SliceSize         Bytes         // of the parts in which ranges of a body are fetched; default 1 MiB
	DrainDelay        time.Duration // from the signal to stop until the listener closes; default 5 s
	DrainTimeout      time.Duration // for running requests once the listener is closed; default 20 s
	ReadHeaderTimeout time.Duration // for the head of a request; default 10 s
	IdleTimeout       time.Duration // of a client connection without a request; default 75 s
	MaxHeader         Bytes         // of a request's head; default 64 KiB
	PurgeTokenFile    string        // read at each purge, so that a token can be rotated; empty: nobody can purge
	CDNID             string        // identifier in CDN-Loop (RFC 8586), a token; default: of the tier, the fleet and the upstreams
}

func newServing(listen string) Serving {
	return Serving{
		Listen: listen, CacheSize: 512 << 20, SliceSize: 1 << 20, DrainDelay: 5 * time.Second, DrainTimeout: 20 * time.Second,
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 75 * time.Second, MaxHeader: 64 << 10,
	}
}

// Bind declares the settings as flags.
func (s *Serving) Bind(fs *pflag.FlagSet) {
	fs.StringVar(&s.Listen, "listen", s.Listen, "`address` to serve HTTP/1.1 and unencrypted HTTP/2 on")
	fs.Var(&s.CacheSize, "cache-size", "memory for stored responses, such as 512MiB")
	fs.Var(&s.SliceSize, "slice-size", "part in which what a range asks for is fetched and stored, such as 1MiB")
	fs.DurationVar(&s.DrainDelay, "drain-delay", s.DrainDelay, "`time` to go on serving after the signal to stop, while load balancers take notice")
	fs.DurationVar(&s.DrainTimeout, "drain-timeout", s.DrainTimeout, "`time` for running requests to end, after drain-delay")
	fs.DurationVar(&s.ReadHeaderTimeout, "read-header-timeout", s.ReadHeaderTimeout, "`time` for a client to send the head of a request")
	fs.DurationVar(&s.IdleTimeout, "idle-timeout", s.IdleTimeout, "`time` that a client connection may be idle")
	fs.Var(&s.MaxHeader, "max-header", "largest head of a request")
	fs.StringVar(&s.PurgeTokenFile, "purge-token-file", s.PurgeTokenFile,
		"`file` with the token that POST /purge on the admin address asks for, read at each call; without it there is no such path")
	fs.StringVar(&s.CDNID, "cdn-id", s.CDNID,
		"`identifier` of this installation in CDN-Loop, by which loops are found; made of the tier, the fleet and the upstreams when empty")
}

// StopTimeout is how long the process may take to stop: draining, and a little for everything behind it.
func (s *Serving) StopTimeout() time.Duration { return s.DrainDelay + s.DrainTimeout + 3*time.Second }

// Validate reports every setting that is not allowed.
func (s *Serving) Validate() error {
	var id error
	if s.CDNID != "" {
		id = token("cdn-id", s.CDNID, maxCDNID)
	}
	return errors.Join(
		listenAddress("listen", s.Listen), id,
		sizeBetween("cache-size", s.CacheSize, 1<<20, 1<<40),
		sizeBetween("slice-size", s.SliceSize, 64<<10, 64<<20),
		between("drain-delay", s.DrainDelay, 0, 5*time.Minute),
		between("drain-timeout", s.DrainTimeout, 0, time.Hour),
		between("read-header-timeout", s.ReadHeaderTimeout, 100*time.Millisecond, 5*time.Minute),
		between("idle-timeout", s.IdleTimeout, time.Second, time.Hour),
		sizeBetween("max-header", s.MaxHeader, 4<<10, 1<<20),
	)
}

func sizeBetween(key string, got, low, high Bytes) error {
	if got < low || got > high {
		return &Error{key, got.String(), "a size from " + low.String() + " to " + high.String()}
	}
	return nil
}
