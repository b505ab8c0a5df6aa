package rfc9111

import (
	"net/http"
	"time"
)

// Sharing says which requests, of those that wait for one response, may get it.
type Sharing int

const (
	// ShareNone: only the request that was forwarded may have it.
	ShareNone Sharing = iota
	// ShareWaiting: those that wait already, and nobody later; the response is
	// stale on arrival but nothing forbids that (section 4.2.4).
	ShareWaiting
	// ShareError: as ShareWaiting, for a failure of the server.
	ShareError
	// ShareFresh: everybody, while it is fresh.
	ShareFresh
)

// Reason says in one word why a response was not stored or not shared. It is
// the detail parameter of Cache-Status.
type Reason string

const (
	ReasonNone          Reason = ""
	ReasonNoStore       Reason = "no-store"
	ReasonPrivate       Reason = "private"
	ReasonSetCookie     Reason = "set-cookie"
	ReasonAuthorization Reason = "authorization"
	ReasonCookie        Reason = "cookie"
	ReasonVary          Reason = "vary"
	ReasonNoCache       Reason = "no-cache"
	ReasonNoLifetime    Reason = "no-lifetime"
	ReasonStale         Reason = "stale"
	ReasonStatus        Reason = "status"
	ReasonServerError   Reason = "server-error"
)

// Verdict is what a response allows a shared cache to do with it.
type Verdict struct {
	Store  bool
	Share  Sharing
	Reason Reason // why not stored, or not shared
	Vary   []string
	Stored Stored
}

// Assess judges the response to a GET (section 3), given the request as it was
// forwarded. requested and received are when the request was sent and the
// response's header arrived. h must be free of hop-by-hop fields.
func Assess(r Rules, req Request, status int, h http.Header, requested, received time.Time) Verdict {
	d, targeted := responseDirectives(r, h)
	life, source := lifetime(r, d, targeted, status, h, received)
	v := Verdict{Stored: Stored{
		Status: status, ResponseTime: received, InitialAge: initialAge(h, requested, received), Lifetime: life,
		StaleWhileRevalidate: d.StaleWhileRevalidate.D, StaleIfError: d.StaleIfError.D,
		Immutable: d.Immutable,
		NoCache:   d.NoCache, MustRevalidate: d.MustRevalidate || d.ProxyRevalidate,
		NoStale: d.MustRevalidate || d.ProxyRevalidate || d.SMaxAge.OK,
		Public:  d.Public || d.SMaxAge.OK || d.MustRevalidate, // section 3.5
		ETag:    h.Get("Etag"), LastModified: h.Get("Last-Modified"),
	}}
	var star bool
	v.Vary, star = ParseVary(h["Vary"])

	noStore := d.NoStore
	if d.MustUnderstand && understood(status) { // section 5.2.2.3
		noStore = false
	}
	switch {
	case noStore:
		v.Reason = ReasonNoStore
	case d.Private:
		v.Reason = ReasonPrivate
	case len(h["Set-Cookie"]) > 0 && !r.ShareSetCookie:
		v.Reason = ReasonSetCookie
	case star:
		v.Reason = ReasonVary
	case req.Authorization && !v.Stored.Public:
		v.Reason = ReasonAuthorization
	case status < 200 || status == 206 || status == 304 || d.MustUnderstand && !understood(status):
		v.Reason = ReasonStatus
	case req.Directives.NoStore: // section 5.2.1.5
		v.Reason = ReasonNoStore
	default:
		v.admit(d, source, req)
	}
	return v
}

// admit decides for a response that nothing forbids to store.
func (v *Verdict) admit(d Directives, source lifetimeSource, req Request) {
	s := &v.Stored
	if source == noLifetime {
		v.Reason = ReasonNoLifetime
		if IsServerError(s.Status) {
			v.Share, v.Reason = ShareError, ReasonServerError
		}
		return
	}
	fresh := s.Lifetime > s.InitialAge
	// What is stale on arrival is worth keeping if it can be validated, or may
	// be served stale.
	v.Store = fresh && !s.NoCache || s.ETag != "" || s.LastModified != "" ||
		!s.NoCache && !s.MustRevalidate && s.StaleWhileRevalidate+s.StaleIfError > 0
	switch {
	case s.NoCache:
		v.Reason = ReasonNoCache
	case fresh:
		v.Share = ShareFresh
	case s.NoStale || source != fromDirective:
		// Section 5.2.2.10: s-maxage, too, forbids an unvalidated stale answer.
		v.Reason = ReasonStale
	case req.Cookie:
		// An origin may rely on max-age=0 to see each user's request.
		v.Reason = ReasonCookie
	default:
		v.Share, v.Reason = ShareWaiting, ReasonStale
	}
}

// SharesWith reports whether the response may answer w, a request that waited
// for it, and if not, why. The fields named by Vary are the caller's to compare.
func (v *Verdict) SharesWith(w Request) (bool, Reason) {
	switch {
	case v.Share == ShareNone:
		return false, v.Reason
	case w.Authorization && !v.Stored.Public:
		return false, ReasonAuthorization
	case v.Share == ShareWaiting && w.Cookie:
		return false, ReasonCookie
	}
	return true, ReasonNone
}

// IsServerError reports the codes that say the server failed, not the request
// (RFC 5861 section 4).
func IsServerError(status int) bool {
	return status == 500 || status == 502 || status == 503 || status == 504
}

// understood reports whether this cache knows the caching behaviour of a
// status code, as must-understand asks.
func understood(status int) bool {
	switch status {
	case 200, 203, 204, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 410, 414, 421, 451, 500, 501, 502, 503, 504:
		return true
	}
	return false
}
