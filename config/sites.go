package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

const (
	maxHosts   = 1000 // of one site
	maxOrigins = 16   // addresses of one origin server
)

// Upstream is how the origin server of a site is treated. What a site does not set is as set for the whole shield.
type Upstream struct {
	OriginHostHeader      string        // keep or origin; default keep
	OriginConcurrency     int           // most fetches at the origin at once; default 64
	OriginHeldConcurrency int           // most blocking playlist reloads at the origin at once; default 256
	OriginQueueTimeout    time.Duration // for a turn at the origin; default 2 s
	OriginBreaker         int           // percent of failing fetches; default 50
	ConnectTimeout        time.Duration // to one address of the origin; default 2 s
	ResponseHeaderTimeout time.Duration // of the origin, from the request to the head of its response; default 30 s
	HeldTimeout           time.Duration // the same for blocking playlist reloads; default 60 s
}

func newUpstream() Upstream {
	return Upstream{
		OriginHostHeader: "keep", OriginConcurrency: 64, OriginQueueTimeout: 2 * time.Second, OriginBreaker: 50,
		OriginHeldConcurrency: 256, ConnectTimeout: 2 * time.Second, ResponseHeaderTimeout: 30 * time.Second, HeldTimeout: time.Minute,
	}
}

// Bind declares the settings as flags.
func (u *Upstream) Bind(fs *pflag.FlagSet) {
	fs.StringVar(&u.OriginHostHeader, "origin-host-header", u.OriginHostHeader, "`Host` that the origin sees: keep the client's, or the one of the origin's URL (keep, origin)")
	fs.IntVar(&u.OriginConcurrency, "origin-concurrency", u.OriginConcurrency, "most `fetches` at the origin of a site at the same time")
	fs.IntVar(&u.OriginHeldConcurrency, "origin-held-concurrency", u.OriginHeldConcurrency,
		"most blocking playlist `reloads` (_HLS_msn) that the origin of a site holds at the same time, beside its other fetches")
	fs.DurationVar(&u.OriginQueueTimeout, "origin-queue-timeout", u.OriginQueueTimeout, "`time` that a fetch waits for its turn before it is answered 503")
	fs.IntVar(&u.OriginBreaker, "origin-breaker", u.OriginBreaker,
		"`percent` of the fetches within 10 s that fail, without a response or with 502, 503 or 504, from which the origin gets one fetch at a time to see how it is; 0 is never")
	fs.DurationVar(&u.ConnectTimeout, "connect-timeout", u.ConnectTimeout, "`time` to connect to one address of the origin")
	fs.DurationVar(&u.ResponseHeaderTimeout, "response-header-timeout", u.ResponseHeaderTimeout, "`time` for the origin to begin its response")
	fs.DurationVar(&u.HeldTimeout, "held-timeout", u.HeldTimeout, "`time` for the origin to begin its response to a blocking playlist reload (_HLS_msn), which it holds")
}

// Validate reports every setting that is not allowed.
func (u *Upstream) Validate() error {
	return errors.Join(
		oneOf("origin-host-header", u.OriginHostHeader, "keep", "origin"),
		within("origin-concurrency", int64(u.OriginConcurrency), 1, 65535),
		within("origin-held-concurrency", int64(u.OriginHeldConcurrency), 1, 65535),
		between("origin-queue-timeout", u.OriginQueueTimeout, 0, time.Minute),
		within("origin-breaker", int64(u.OriginBreaker), 0, 100),
		between("connect-timeout", u.ConnectTimeout, 10*time.Millisecond, time.Minute),
		between("response-header-timeout", u.ResponseHeaderTimeout, 100*time.Millisecond, time.Hour),
		between("held-timeout", u.HeldTimeout, time.Second, time.Hour),
	)
}

// Site is one site: the hosts it has, the origin server of their resources, and how they are cached.
type Site struct {
	Name    string // DNS label; the key of the site in `sites`
	Hosts   []string
	Origins []string // URLs of the one origin server, all of one scheme
	Private bool     // the origin has a private address
	Upstream
	Caching
}

// Bind declares the settings of a site as flags: the keys that a site has in `sites`.
func (s *Site) Bind(fs *pflag.FlagSet) {
	fs.StringSliceVar(&s.Hosts, "host", s.Hosts, "`host` of the site, such as www.example.org, or *.example.org for all below example.org; several in a list")
	fs.StringSliceVar(&s.Origins, "origin", s.Origins, "`URL` of the site's origin server; several in a list are further addresses of the same server")
	fs.BoolVar(&s.Private, "private", s.Private, "the origin has a private address, as in the same cluster: otherwise such an address is not connected to")
	s.Upstream.Bind(fs)
	s.Caching.Bind(fs)
}

// Validate reports every setting that is not allowed.
func (s *Site) Validate() error {
	errs := []error{s.Upstream.Validate(), s.Caching.Validate(), origins(s.Origins)}
	if n := len(s.Hosts); n < 1 || n > maxHosts {
		errs = append(errs, &Error{"host", strconv.Itoa(n) + " hosts", fmt.Sprintf("1 to %d hosts, such as www.example.org or *.example.org", maxHosts)})
	}
	for _, host := range s.Hosts {
		errs = append(errs, hostPattern("host", host))
	}
	return errors.Join(errs...)
}

// origins accepts the addresses of one origin server.
func origins(urls []string) error {
	if n := len(urls); n < 1 || n > maxOrigins {
		return &Error{"origin", strconv.Itoa(n) + " URLs", fmt.Sprintf("1 to %d URLs of the origin server, such as http://127.0.0.1:8000", maxOrigins)}
	}
	var errs []error
	scheme, _, _ := strings.Cut(urls[0], ":")
	for _, origin := range urls {
		errs = append(errs, serverURL("origin", origin, "http", "https"))
		if !strings.HasPrefix(origin, scheme+":") {
			errs = append(errs, &Error{"origin", origin, "addresses of one server, all " + scheme + "://"})
		}
	}
	return errors.Join(errs...)
}

// hostPattern accepts a host, or all hosts below one, in the form in which requests are compared with it: anything else would never match.
func hostPattern(key, got string) error {
	host, wild := strings.CutPrefix(got, "*.")
	name, port, hasPort := strings.Cut(host, ":")
	if strings.HasPrefix(host, "[") {
		end := strings.IndexByte(host, ']') + 1
		name, port, hasPort = host[:end], strings.TrimPrefix(host[end:], ":"), strings.HasPrefix(host[end:], ":")
		if end < len(host) && !hasPort {
			name = ""
		}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	badPort := hasPort && (err != nil || n == 0 || n == 80 || n == 443 || strconv.FormatUint(n, 10) != port)
	if badPort || !hostName(name, wild) {
		return &Error{key, got, "a host in lower case such as www.example.org, *.example.org, www.example.org:8080 or [2001:db8::1], " +
			"without the ports 80 and 443, without a dot at the end, an international name in its xn-- form"}
	}
	return nil
}

// hostName accepts a name, or where it is not what stands below a wildcard an address.
func hostName(name string, wild bool) bool {
	if literal, ok := strings.CutPrefix(name, "["); ok {
		address, err := netip.ParseAddr(strings.TrimSuffix(literal, "]"))
		return err == nil && !wild && address.Is6() && address.Zone() == "" && name == "["+address.String()+"]"
	}
	if len(name) > 253 {
		return false
	}
	last := ""
	for label := range strings.SplitSeq(name, ".") {
		if len(label) < 1 || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
		last = label
	}
	if strings.Trim(last, "0123456789") != "" {
		return true
	}
	address, err := netip.ParseAddr(name) // no name ends in a number
	return err == nil && !wild && address.Is4()
}
