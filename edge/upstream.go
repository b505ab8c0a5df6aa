package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/internal/attempt"
	"github.com/surgewall/surgewall/internal/edgeauth"
	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
	"github.com/surgewall/surgewall/internal/rendezvous"
)

// ErrNoMembers is the error of a request for which no upstream is known: the name of the shields has never been resolved.
var ErrNoMembers = errors.New("no upstream is known")

// maxAttempts bounds the members tried for one request. With a quarter of the shields gone, four in a row are gone for one key in
// 256; more attempts would only make the client wait for an answer that is an error.
const maxAttempts = 4

// UpstreamOptions say where an edge forwards to.
type UpstreamOptions struct {
	// Members returns the present upstreams, host:port each. Required. It is called for each request and must be quick.
	Members func() []string
	// Scheme is http or https. Default http.
	Scheme string
	// Transport sends one request to one upstream. Required; see NewTransport.
	Transport http.RoundTripper
	// HeldTransport sends those that an origin is meant to hold (rfc9111.BlockingReload). Default: Transport.
	HeldTransport http.RoundTripper
	// Sign returns the value of the field edgeauth.Field for a request that is about to be sent. Nil where the upstream is no shield, or
	// knows no edges.
	Sign func(*http.Request) string
	// Suspicion is the mean time for which a member that could not be connected to ranks last; then one request tries it. Default 2 s.
	Suspicion time.Duration
	// Meter counts the bytes received. Optional.
	Meter  *Meter
	Logger zerolog.Logger
}

// Upstream forwards each request to the member that ranks first for its URL, so that the misses of all edges for one object meet at one
// shield. It is safe for concurrent use.
type Upstream struct {
	o         UpstreamOptions
	suspects  suspects
	failovers atomic.Uint64
	refused   atomic.Uint64
}

// NewUpstream returns an Upstream.
func NewUpstream(o UpstreamOptions) *Upstream {
	if o.Scheme == "" {
		o.Scheme = "http"
	}
	if o.Suspicion <= 0 {
		o.Suspicion = 2 * time.Second
	}
	if o.HeldTransport == nil {
		o.HeldTransport = o.Transport
	}
	return &Upstream{o: o, suspects: suspects{period: o.Suspicion, until: map[string]time.Time{}}}
}

// Failovers returns how many requests were sent to another member than the one that ranks first.
func (u *Upstream) Failovers() uint64 { return u.failovers.Load() }

// Refused returns how many requests a member refused because it did not take them for an edge's.
func (u *Upstream) Refused() uint64 { return u.refused.Load() }

// errRefused is the error of a request that a shield did not take for an edge's: the keys or the clocks differ.
var errRefused = errors.New("the shield takes the request for no edge's: keys or clocks differ")

// RoundTrip forwards one request. It goes to the next member in rank when no connection could be made, since then nothing was sent;
// and once when the connection broke before the head of the response, if the request is one that may be repeated (RFC 9110,
// section 9.2.2) and has no body. A timeout is no reason: a second request would find the same slow origin. A shield that takes the
// request for no edge's has done nothing either, and the next one may have other keys already; to clients it is as one that is away.
func (u *Upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	ranked := u.rank(r)
	if len(ranked) == 0 {
		attempt.CloseBody(r)
		return nil, ErrNoMembers
	}
	body := attempt.Hold(r)
	defer body.Release()
	transport := u.o.Transport
	if rfc9111.BlockingReload(r.URL.RawQuery) {
		transport = u.o.HeldTransport
	}
	var err error
	repeated := false
	for i, member := range ranked {
		if i > 0 {
			u.failovers.Add(1)
			u.o.Logger.Debug().Err(err).Str("member", ranked[i-1]).Str("next", member).Msg("forward failed, trying the next member")
		}
		var response *http.Response
		response, err = transport.RoundTrip(u.outgoing(r, member, body))
		if err == nil {
			u.suspects.clear(member)
			if !u.refusedBy(member, response) {
				u.count(response)
				return response, nil
			}
			err = errRefused
		}
		switch {
		case r.Context().Err() != nil:
			return nil, context.Cause(r.Context())
		case attempt.NotConnected(err):
			if u.suspects.add(member) {
				u.o.Logger.Warn().Err(err).Str("member", member).Msg("member cannot be connected to")
			}
		case attempt.Repeatable(r) && errors.Is(err, errRefused):
		case attempt.Repeatable(r) && attempt.BrokeBeforeResponse(err) && !repeated:
			repeated = true
		default:
			return nil, fmt.Errorf("forward to %s: %w", member, err)
		}
	}
	return nil, fmt.Errorf("forward to any of %d members: %w", len(ranked), err)
}

// rank returns the members to try: in rank order, but suspects behind the others. With all of them suspect, the order is the rank's.
func (u *Upstream) rank(r *http.Request) []string {
	members := u.o.Members()
	if len(members) <= 1 {
		return members
	}
	// The URL is all that decides, not the method: a HEAD belongs where its GET is. A Host has no case, in a cache's key neither; the
	// rest is taken as the client wrote it.
	ranked := rendezvous.Rank(strings.ToLower(r.Host)+r.URL.RequestURI(), rendezvous.Equal(members...))
	names, last := make([]string, 0, len(ranked)), make([]string, 0, len(ranked))
	for _, member := range ranked {
		if u.suspects.avoid(member.Name, len(names) == 0) {
			last = append(last, member.Name)
		} else {
			names = append(names, member.Name)
		}
	}
	names = append(names, last...)
	return names[:min(len(names), maxAttempts)]
}

// outgoing returns the request for one member. The Host stays the site's.
func (u *Upstream) outgoing(r *http.Request, member string, body *attempt.Body) *http.Request {
	out, url := *r, *r.URL
	url.Scheme, url.Host = u.o.Scheme, member
	out.URL = &url
	if body != nil {
		out.Body = body
	}
	if u.o.Sign != nil {
		out.Header = maps.Clone(r.Header) // the caller's, and perhaps other requests' too
		if out.Header == nil {
			out.Header = http.Header{}
		}
		out.Header[edgeauth.Field] = []string{u.o.Sign(&out)}
	}
	return &out
}

// refusedBy reports whether a member took the request for no edge's, and then closes the response.
func (u *Upstream) refusedBy(member string, response *http.Response) bool {
	if response.StatusCode != http.StatusForbidden || u.o.Sign == nil {
		return false
	}
	if status := response.Header["Cache-Status"]; len(status) != 1 || status[0] != edgeauth.RefusedStatus {
		return false // the origin's own
	}
	if u.refused.Add(1) == 1 {
		u.o.Logger.Warn().Str("member", member).Msg("a shield takes this edge for none: keys or clocks differ")
	}
	_, _ = io.CopyN(io.Discard, response.Body, 1<<10) // to its end, or the connection could not be used again
	_ = response.Body.Close()
	return true
}

func (u *Upstream) count(response *http.Response) {
	// 101 hands out a connection, which is written to as well: leave it as it is.
	if u.o.Meter != nil && response.StatusCode != http.StatusSwitchingProtocols {
		response.Body = &countedBody{response.Body, u.o.Meter}
	}
}

// TransportOptions say how connections to upstreams are made.
type TransportOptions struct {
	ConnectTimeout        time.Duration // to one address
	ResponseHeaderTimeout time.Duration // from the request to the head of its response
	MaxConnections        int           // to one upstream; 0 is without limit
}

// NewTransport returns a transport for UpstreamOptions: HTTP/1.1, since the streams of one HTTP/2 connection share the fate of its
// segments, without proxy, compression or redirects.
func NewTransport(o TransportOptions) *http.Transport {
	dialer := net.Dialer{Timeout: o.ConnectTimeout, KeepAliveConfig: net.KeepAliveConfig{
		// A node that vanishes without a word is noticed in 10 s instead of in minutes.
		Enable: true, Idle: 4 * time.Second, Interval: 2 * time.Second, Count: 3,
	}}
	return &http.Transport{
		DialContext:           dialer.DialContext,
		TLSHandshakeTimeout:   2 * o.ConnectTimeout,
		ResponseHeaderTimeout: o.ResponseHeaderTimeout,
		MaxConnsPerHost:       o.MaxConnections,
		MaxIdleConnsPerHost:   256,
		// Below the 75 s after which an upstream of ours closes an idle connection: who closes first cannot be surprised.
		IdleConnTimeout:    60 * time.Second,
		DisableCompression: true,
		WriteBufferSize:    16 << 10,
		ReadBufferSize:     64 << 10,
	}
}
