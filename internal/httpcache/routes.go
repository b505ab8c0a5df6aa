package httpcache

import (
	"strings"
	"sync"
	"time"
)

// routes learns which parts of a site answer for one request only, so that the
// first requests for a new key there need not wait for each other in vain. It
// is a guess: one shareable response takes it back, and makes the next one of
// its kind harder to come by.
type routes struct {
	mu    sync.Mutex
	m     map[string]*route
	limit int
}

type route struct {
	last     string // key of the last uncacheable response: repeating it proves nothing
	evidence int    // keys in a row whose response was for one request only
	refuted  int    // how often a guess was wrong
	until    time.Time
}

const (
	routeEvidence = 3
	// maxRefuted ends the doubling of the evidence wanted: 3<<10 keys in a row.
	maxRefuted = 10
	// guessedAtOnce bounds the fetches that a guess lets go for one key at the
	// same time; those beyond it wait for one another. So a wrong guess costs
	// the upstream no more than this.
	guessedAtOnce = 64
)

func newRoutes(limit int) *routes { return &routes{m: make(map[string]*route), limit: limit} }

// routeOf is the route of a primary key: its host and path where a query tells
// its keys apart, else its directory, two levels deep at most. The top
// level is no route: too much has nothing in common there.
func routeOf(primary string) (string, bool) {
	scheme := strings.Index(primary, "://")
	if scheme < 0 {
		return "", false
	}
	path := strings.IndexByte(primary[scheme+3:], '/')
	if path < 0 {
		return "", false
	}
	path += scheme + 3
	if query := strings.IndexByte(primary, '?'); query >= 0 {
		return primary[:query], true
	}
	end := path
	for range 2 {
		next := strings.IndexByte(primary[end+1:], '/')
		if next < 0 {
			break
		}
		end += 1 + next
	}
	return primary[:end+1], end > path
}

// learn takes note of a response to a request that anybody might have sent.
func (r *routes) learn(primary string, shareable bool, now time.Time, memory time.Duration) {
	name, ok := routeOf(primary)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.m[name]
	if e == nil {
		if shareable {
			return
		}
		makeRoom(r.m, r.limit, func(e *route) bool { return now.Before(e.until) })
		e = &route{}
		r.m[name] = e
	}
	switch {
	case shareable:
		if e.evidence >= routeEvidence<<e.refuted {
			e.refuted = min(e.refuted+1, maxRefuted)
		}
		e.evidence, e.last = 0, ""
	case e.last != primary:
		e.evidence, e.last, e.until = e.evidence+1, primary, now.Add(memory)
	default:
		e.until = now.Add(memory)
	}
}

// uncacheable is the guess for a key that nothing is known of.
func (r *routes) uncacheable(primary string, now time.Time) bool {
	name, ok := routeOf(primary)
	if !ok {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.m[name]
	return e != nil && e.evidence >= routeEvidence<<e.refuted && now.Before(e.until)
}
