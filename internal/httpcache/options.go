package httpcache

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
	"github.com/surgewall/surgewall/internal/httpcache/store"
)

// Options say how a Cache behaves. The zero value of each limit means its
// default; New refuses values out of range and names the field.
type Options struct {
	// Name identifies this cache in Cache-Status, Via and, where ID is empty,
	// in CDN-Loop. It is public: never a pod name. Required, a token of RFC 9110.
	Name string
	// ID is this deployment's identifier in CDN-Loop (RFC 8586). A request that
	// already carries it is refused with 508. Default: Name.
	ID string

	// Upstream is the next tier or the origin. Required. The request that it
	// gets has the site in Host, path and query in URL, and an empty URL.Scheme
	// and URL.Host for it to fill. It must not decode bodies (an
	// http.Transport needs DisableCompression) nor follow redirects.
	Upstream http.RoundTripper
	// Store keeps complete responses. Required; the caller closes it after the Cache.
	Store store.Store
	// Logger gets one line per unusual event, at debug. Default: nothing.
	Logger zerolog.Logger
	// Now reads the clock. Default: time.Now.
	Now func() time.Time
	// Observe is called once per finished request, on the request's goroutine;
	// it must not block. Default: nothing.
	Observe func(Outcome)

	// Rules are the caching rules where Site says nothing else. The zero value is safe.
	Rules rfc9111.Rules
	// IgnoreQuery lists query parameters that are taken out of the key and of
	// the request to the upstream, besides CMCD. Exact, case-sensitive names.
	IgnoreQuery []string
	// Site returns what one site changes, by the canonical form of its host
	// (lower case, no default port); nil for what Options say. It may return
	// another one later, for the requests from then on. It is called once per request and must be fast and safe for concurrent use.
	// Default: every site is alike.
	Site func(host string) *Site
	// StripSurrogate takes the fields that speak to caches in front of an origin
	// (rfc9111.IsSurrogate) out of responses. Set where clients are faced, not
	// where another cache is, which needs them. Default: they are left in.
	StripSurrogate bool
	// TrustForwarded lets X-Forwarded-*, Forwarded and their kin from clients
	// through to the upstream on requests that are never shared. Default: they
	// are removed everywhere, since they would change an answer without being
	// in its key.
	TrustForwarded bool

	// MaxObjectBytes is the largest body that is stored, in bytes. A larger one
	// is still shared by those who read it, through a window. Default 256 MiB,
	// at most what the store takes.
	MaxObjectBytes int64
	// WindowBytes is how far the fetch of a body too large to be stored runs
	// ahead of its fastest reader, and a fifth of how far a slow reader may
	// lag before it fetches the rest on its own. Default 4 MiB. Higher costs memory per such flight.
	WindowBytes int64
	// KeepFillBytes is how much of a body a flight without readers still
	// fetches in order to store it. Default 16 MiB. Higher costs upstream
	// traffic that nobody may want.
	KeepFillBytes int64
	// RangeJoinBytes is how far behind the start of a range the write position
	// of a flight may be for the range to wait for it; farther ranges are
	// fetched in slices. Default 1 MiB.
	RangeJoinBytes int64
	// SliceBytes is the unit in which parts of a body are fetched and stored that
	// are asked for out of their turn. Default 1 MiB, at most MaxObjectBytes: a
	// lower MaxObjectBytes turns slices off. Higher costs upstream traffic beside
	// what was asked for, lower a request per slice.
	SliceBytes int64

	// MaxWaiters is how many requests may wait for or read from one flight;
	// those beyond it get 503 with Retry-After. Each costs about 30 KiB. Default:
	// as many as take as much memory as the store may, at most 20,000.
	MaxWaiters int
	// WaitLimit is how long a request waits for a response header that another
	// request asked for; then it gets 504 with Retry-After. Default 30 s.
	WaitLimit time.Duration
	// FlightAge is the age at which a flight that still has no response header
	// takes no more joiners; the next request opens another. Default 10 s.
	FlightAge time.Duration
	// HeaderTimeout is how long a flight waits for the upstream's response
	// header. Default 60 s.
	HeaderTimeout time.Duration
	// HeldTimeout takes the place of WaitLimit, FlightAge and HeaderTimeout for
	// requests that the origin is meant to hold (rfc9111.BlockingReload). They are
	// never answered stale. Default 60 s.
	HeldTimeout time.Duration
	// IdleTimeout is how long a shared body may stall upstream before it counts
	// as broken off, and how long others wait for a reader that does not move
	// where they have to (no entity tag, too large to be stored). Default 60 s.
	IdleTimeout time.Duration
	// StaleIfUnreachable is how long after its freshness ended a response that
	// does not forbid it is served when the upstream cannot be reached at all
	// (RFC 9111 section 4.2.4). A 5xx is an answer: there stale-if-error of the
	// response decides. Default 1 min; negative: never.
	StaleIfUnreachable time.Duration
	// ErrorBackoff bounds how long after a failure of the upstream (no response,
	// or a 5xx that says nothing of its lifetime) a key is not fetched again:
	// requests then get the same answer at once, or a stale one where allowed.
	// The first wait is 100 ms, after a failure that several waited for or a
	// second in a row; each further one is twice the last. Default 2 s;
	// negative: none. Higher makes a recovery show later.
	ErrorBackoff time.Duration
	// UncacheableMemory is how long a key whose response could not be shared
	// is fetched without waiting. Default 2 min.
	UncacheableMemory time.Duration
	// UncacheableKeys bounds that memory, in keys, and that of
	// failures. Default 65,536, about 10 MiB.
	UncacheableKeys int
	// PurgeRecords bounds the memory of purges by tag, group and host, and of soft
	// ones by URL. When it is full, what is older than the older half of them
	// must be validated. Default 65,536, about 8 MiB.
	PurgeRecords int
	// MaxReleased is how many requests may fetch on their own at once after they
	// waited for a response that turned out to be for one request only; further
	// ones wait their turn, at most WaitLimit. Default 1,024. Higher lets a burst on
	// an uncacheable key hit the upstream harder.
	MaxReleased int
	// MaxBackground is how many revalidations may run at once with nobody
	// waiting; beyond it stale responses are served without one. Default 256.
	MaxBackground int
}

// WaiterBytes is what a request that waits for another costs, in bytes: goroutine,
// buffers, header. Measured are 26 KiB.
const WaiterBytes = 30 << 10

// withDefaults returns o complete, or an error that names the wrong field.
func (o Options) withDefaults() (Options, error) {
	if !rfc9111.IsToken(o.Name) {
		return o, fmt.Errorf("httpcache: Name %q: want a token of letters, digits and !#$%%&'*+-.^_`|~", o.Name)
	}
	if o.ID == "" {
		o.ID = o.Name
	}
	if !rfc9111.IsToken(o.ID) {
		return o, fmt.Errorf("httpcache: ID %q: want a token", o.ID)
	}
	if o.Upstream == nil {
		return o, errors.New("httpcache: Upstream is required")
	}
	if o.Store == nil {
		return o, errors.New("httpcache: Store is required")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.StaleIfUnreachable == 0 {
		o.StaleIfUnreachable = time.Minute
	}
	if o.ErrorBackoff == 0 {
		o.ErrorBackoff = 2 * time.Second
	}
	if o.Observe == nil {
		o.Observe = func(Outcome) {}
	}
	for _, f := range []struct {
		name     string
		value    *int64
		def, min int64
	}{
		{"MaxObjectBytes", &o.MaxObjectBytes, 256 << 20, 1},
		{"WindowBytes", &o.WindowBytes, 4 << 20, 64 << 10},
		{"KeepFillBytes", &o.KeepFillBytes, 16 << 20, 1},
		{"RangeJoinBytes", &o.RangeJoinBytes, 1 << 20, 1},
		{"SliceBytes", &o.SliceBytes, 1 << 20, 1},
		{"WaitLimit", (*int64)(&o.WaitLimit), int64(30 * time.Second), int64(time.Millisecond)},
		{"FlightAge", (*int64)(&o.FlightAge), int64(10 * time.Second), int64(time.Millisecond)},
		{"HeaderTimeout", (*int64)(&o.HeaderTimeout), int64(time.Minute), int64(time.Millisecond)},
		{"HeldTimeout", (*int64)(&o.HeldTimeout), int64(time.Minute), int64(time.Millisecond)},
		{"IdleTimeout", (*int64)(&o.IdleTimeout), int64(time.Minute), int64(time.Millisecond)},
		{"UncacheableMemory", (*int64)(&o.UncacheableMemory), int64(2 * time.Minute), 1},
	} {
		if *f.value == 0 {
			*f.value = f.def
		}
		if *f.value < f.min {
			return o, fmt.Errorf("httpcache: %s is %d: want at least %d", f.name, *f.value, f.min)
		}
	}
	for _, f := range []struct {
		name  string
		value *int
		def   int
	}{
		{"MaxWaiters", &o.MaxWaiters, int(min(o.Store.Stats().MaxBytes/WaiterBytes, 20_000))},
		{"UncacheableKeys", &o.UncacheableKeys, 65_536},
		{"MaxBackground", &o.MaxBackground, 256},
		{"MaxReleased", &o.MaxReleased, 1024},
		{"PurgeRecords", &o.PurgeRecords, 65_536},
	} {
		if *f.value == 0 {
			*f.value = f.def
		}
		if *f.value < 1 {
			return o, fmt.Errorf("httpcache: %s is %d: want at least 1", f.name, *f.value)
		}
	}
	o.MaxObjectBytes = min(o.MaxObjectBytes, o.Store.MaxObject())
	return o, nil
}
