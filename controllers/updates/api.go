// Package updates is the controllers' door for content updates: who has a token for it may have content purged or prefetched, once for each id, and sees
// how far every replica is with it.
package updates

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/time/rate"

	"github.com/surgewall/surgewall/events"
)

// ErrFull is wrapped by an error of Publisher when the queue takes no more.
var ErrFull = errors.New("the queue is full")

// Publisher stores a message for good: nil means that the broker has it.
type Publisher interface {
	Publish(ctx context.Context, m events.Message) error
}

// Shelf is the queue of dead letters. Visit calls each for up to limit of them and returns how many there are; one for which each takes is gone for good.
type Shelf interface {
	Visit(ctx context.Context, limit int, each func(m events.Message) (take, stop bool, err error)) (total int, err error)
}

// Options configure an API.
type Options struct {
	// Tokens returns the tokens as they are now; it is asked once a second at most.
	Tokens func() ([]Token, error)
	// Next returns the attributes of the next event of this controller.
	Next      func(now time.Time) events.Attributes
	Publisher Publisher
	// Audit sends an event or drops it; it must not block.
	Audit   func(events.Message)
	Shelf   Shelf
	Tracker *Tracker
	Logger  zerolog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

const (
	// publishTimeout bounds how long a caller waits for the broker.
	publishTimeout = 2 * time.Second
	maxRequest     = 128 << 10
	// maxRequestID leaves room for what tells the parts of one request apart.
	maxRequestID = events.MaxContentID - 6
	// maxPrefetch bounds the URLs of one request.
	maxPrefetch = 1000
	// Each principal may make so many calls, all together so many more; strangers have a bucket of their own.
	perSecond, burst       = 20, 100
	allPerSecond, allBurst = 200, 1000
	// tokensHold bounds how long a token that was taken away is still good for: calls of strangers shall not read a file each.
	tokensHold = time.Second
)

// API answers under /v1/purge, /v1/prefetch, /v1/purges and /v1/dead. It is safe for concurrent use.
type API struct {
	o         Options
	mux       *http.ServeMux
	all       *rate.Limiter
	strangers *rate.Limiter

	mu      sync.Mutex
	buckets map[string]*rate.Limiter // guarded by mu, as the rest; as many as there are tokens
	// pending are the ids that are being published: two calls with one id must not both look first and publish then.
	pending map[string]bool
	counts  map[[2]string]uint64

	tokens tokenCache
}

// tokenCache is the latest reading of the tokens. It is safe for concurrent use.
type tokenCache struct {
	mu     sync.Mutex
	at     time.Time
	tokens []Token
	err    error
}

// New returns an API.
func New(o Options) *API {
	if o.Now == nil {
		o.Now = time.Now
	}
	a := &API{
		o: o, mux: http.NewServeMux(), all: rate.NewLimiter(allPerSecond, allBurst), strangers: rate.NewLimiter(perSecond, burst),
		buckets: map[string]*rate.Limiter{}, pending: map[string]bool{}, counts: map[[2]string]uint64{},
	}
	a.mux.HandleFunc("POST /v1/purge", a.guard("purge", a.purge))
	a.mux.HandleFunc("POST /v1/prefetch", a.guard("prefetch", a.prefetch))
	a.mux.HandleFunc("GET /v1/purges", a.guard("", a.list))
	a.mux.HandleFunc("GET /v1/purges/{id}", a.guard("", a.show))
	a.mux.HandleFunc("GET /v1/dead", a.guard("", a.dead))
	a.mux.HandleFunc("GET /v1/dead/{id}", a.guard("", a.dead))
	a.mux.HandleFunc("POST /v1/dead/{id}/requeue", a.guard("dead", a.requeue))
	a.mux.HandleFunc("DELETE /v1/dead/{id}", a.guard("dead", a.drop))
	return a
}

// ServeHTTP answers one call.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// Patterns are what to mount an API at.
func Patterns() []string {
	return []string{"/v1/purge", "/v1/prefetch", "/v1/purges", "/v1/purges/{id}", "/v1/dead", "/v1/dead/{id}", "/v1/dead/{id}/requeue"}
}

// Counts calls each with the number of calls that ended in an outcome.
func (a *API) Counts(each func(call, outcome string, n uint64)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, n := range a.counts {
		each(key[0], key[1], n)
	}
}

// answer is what a call comes to. Outcome is one of events.Audit's.
type answer struct {
	code    int
	outcome string
	body    any
	err     error
}

func refuse(code int, outcome string, err error) answer {
	return answer{code: code, outcome: outcome, err: err}
}

// guard lets those call that have a token, not too often, and has each call that changes something, or was refused
// for another reason than being one too many, leave a trace.
func (a *API) guard(call string, handle func(r *http.Request, t *Token, trace *events.Audit) answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		trace := events.Audit{Call: call, Remote: r.RemoteAddr}
		token, given, err := a.authenticate(r)
		var out answer
		switch {
		case token == nil && !a.strangers.Allow(), token != nil && (!a.bucket(token.Name).Allow() || !a.all.Allow()):
			w.Header().Set("Retry-After", "1")
			out = refuse(http.StatusTooManyRequests, "limited", fmt.Errorf("too many calls: %d per second are allowed", perSecond))
		case err != nil:
			out = refuse(http.StatusServiceUnavailable, "unavailable", errors.New("the tokens cannot be read; the controller's log says why"))
		case token == nil:
			challenge := `Bearer realm="content"`
			if given { // RFC 6750 section 3.1: no code for who gave no token
				challenge += `, error="invalid_token"`
			}
			w.Header().Set("WWW-Authenticate", challenge)
			out = refuse(http.StatusUnauthorized, "unauthorized", errors.New("want Authorization: Bearer and a token that this controller knows"))
		default:
			trace.Principal = token.Name
			r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
			out = handle(r, token, &trace)
		}
		if call != "" {
			a.leaveTrace(trace, out)
		}
		if out.err != nil {
			out.body = map[string]string{"error": out.err.Error()}
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(out.code)
		_ = json.NewEncoder(w).Encode(out.body) // a client that left
	}
}

func (a *API) authenticate(r *http.Request) (token *Token, given bool, err error) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return nil, false, nil
	}
	scheme, text, _ := strings.Cut(values[0], " ")
	if text = strings.Trim(text, " "); !strings.EqualFold(scheme, "Bearer") || text == "" {
		return nil, false, nil
	}
	tokens, err := a.readTokens()
	if err != nil {
		return nil, true, err
	}
	return find(tokens, text), true, nil
}

func (a *API) readTokens() ([]Token, error) {
	c, now := &a.tokens, a.o.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if age := now.Sub(c.at); c.at.IsZero() || age >= tokensHold || age < 0 {
		if c.tokens, c.err = a.o.Tokens(); c.err != nil {
			a.o.Logger.Error().Err(c.err).Msg("tokens for content updates cannot be read")
		}
		c.at = now
	}
	return c.tokens, c.err
}

func (a *API) bucket(principal string) *rate.Limiter {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.buckets[principal]
	if b == nil {
		if len(a.buckets) > 2*maxTokens {
			clear(a.buckets) // of tokens that came and went
		}
		b = rate.NewLimiter(perSecond, burst)
		a.buckets[principal] = b
	}
	return b
}

func (a *API) leaveTrace(trace events.Audit, out answer) {
	trace.At, trace.Outcome = a.o.Now(), out.outcome
	if out.err != nil {
		trace.Error = out.err.Error()
	}
	a.mu.Lock()
	a.counts[[2]string{trace.Call, trace.Outcome}]++
	a.mu.Unlock()
	if out.outcome == "limited" {
		return // a flood must not push out what others leave
	}
	a.o.Logger.Info().Str("call", trace.Call).Str("outcome", trace.Outcome).Str("principal", trace.Principal).Str("remote", trace.Remote).Str("id", trace.ContentID).
		Str("scope", trace.Scope).Int("values", trace.Values).Str("first", trace.First).Str("error", trace.Error).Msg("content update asked for")
	m, err := events.EncodeAudit(a.o.Next(trace.At), trace)
	if err != nil {
		a.o.Logger.Error().Err(err).Msg("event cannot be encoded")
		return
	}
	a.o.Audit(m)
}

// purgeRequest is the body of POST /v1/purge.
type purgeRequest struct {
	ID     string              `json:"id"`
	Scope  events.ContentScope `json:"scope"`
	Values []string            `json:"values"`
	Host   string              `json:"host"`
	Soft   bool                `json:"soft"`
	Reason string              `json:"reason"`
	DryRun bool                `json:"dry_run"`
}

func (a *API) purge(r *http.Request, t *Token, trace *events.Audit) answer {
	var q purgeRequest
	if code, err := read(r, &q); err != nil {
		return refuse(code, "refused", err)
	}
	c := events.Content{Action: events.ContentPurge, Scope: q.Scope, Values: q.Values, Host: q.Host, Principal: t.Name, Reason: q.Reason}
	if q.Soft {
		c.Action = events.ContentSoft
	}
	id, err := idOf(r, q.ID)
	describe(trace, id, &c)
	if err == nil {
		err = c.Check()
	}
	if err != nil {
		return refuse(http.StatusBadRequest, "refused", err)
	}
	if err := t.Allows(&c); err != nil {
		return refuse(http.StatusForbidden, "forbidden", err)
	}
	out := Update{ID: id, Action: c.Action, Scope: c.Scope, Values: c.Values, Host: c.Host, Principal: c.Principal, Reason: c.Reason, At: a.o.Now(), State: "Published"}
	if q.DryRun {
		out.State, out.DryRun = "", true
		return answer{code: http.StatusOK, outcome: "dry-run", body: out}
	}
	if !a.begin(id) {
		return refuse(http.StatusConflict, "refused", fmt.Errorf("id %s: another call with it is under way", id))
	}
	defer a.end(id)
	if known, ok := a.o.Tracker.Content(id); ok {
		if !same(known, c) {
			return refuse(http.StatusConflict, "refused", fmt.Errorf("id %s was used for another update", id))
		}
		out, _ = a.o.Tracker.Update(id)
		out.Repeated = true
		return answer{code: http.StatusAccepted, outcome: "repeated", body: out}
	}
	m, err := events.EncodeContent(a.o.Next(a.o.Now()), id, c)
	if err != nil {
		return refuse(http.StatusBadRequest, "refused", err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), publishTimeout)
	defer cancel()
	if err := a.o.Publisher.Publish(ctx, m); err != nil {
		return refuse(http.StatusServiceUnavailable, "unavailable", fmt.Errorf("%w; try again with the id %s", err, id))
	}
	return answer{code: http.StatusAccepted, outcome: "accepted", body: out}
}

func describe(trace *events.Audit, id string, c *events.Content) {
	trace.ContentID, trace.Scope, trace.Soft, trace.Values, trace.Reason = id, string(c.Scope), c.Action == events.ContentSoft, len(c.Values), c.Reason
	if len(c.Values) > 0 {
		trace.First = c.Values[0]
	}
}

// same reports whether two updates ask for the same.
func same(a, b events.Content) bool {
	a.Reason, b.Reason = "", ""
	return reflect.DeepEqual(a, b)
}

func (a *API) begin(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pending[id] {
		return false
	}
	a.pending[id] = true
	return true
}

func (a *API) end(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.pending, id)
}

// UpdateList is the answer to GET /v1/purges.
type UpdateList struct {
	Updates []Update `json:"updates"`
}

func (a *API) list(r *http.Request, _ *Token, _ *events.Audit) answer {
	limit, err := limitOf(r, 100, 1000)
	if err != nil {
		return refuse(http.StatusBadRequest, "refused", err)
	}
	return answer{code: http.StatusOK, body: UpdateList{a.o.Tracker.Updates(limit)}}
}

func (a *API) show(r *http.Request, _ *Token, _ *events.Audit) answer {
	u, ok := a.o.Tracker.Update(r.PathValue("id"))
	if !ok {
		return refuse(http.StatusNotFound, "refused", errors.New("no update with this id is in the log, as far as this controller remembers"))
	}
	return answer{code: http.StatusOK, body: u}
}
