package rfc9111

import (
	"net/http"
	"testing"
	"time"
)

var t0 = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

// header builds a header from "Name: value" strings' halves.
func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i+1 < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func TestAssess(t *testing.T) {
	auth, cookie := Request{Authorization: true}, Request{Cookie: true}
	reqNoStore := Request{Directives: Directives{NoStore: true}}
	for _, c := range []struct {
		anchor string
		rules  Rules
		req    Request
		status int
		header http.Header
		store  bool
		share  Sharing
		reason Reason
	}{
		{"3 explicit lifetime", Rules{}, Request{}, 200, header("Cache-Control", "max-age=1"), true, ShareFresh, ""},
		{"3 no lifetime", Rules{}, Request{}, 200, header(), false, ShareNone, ReasonNoLifetime},
		{"4.2.2 a default lifetime", Rules{DefaultLifetime: time.Second}, Request{}, 200, header(), true, ShareFresh, ""},
		{"4.2.2 not for any status", Rules{DefaultLifetime: time.Second}, Request{}, 201, header(), false, ShareNone, ReasonNoLifetime},
		{"4.2.2 heuristic", Rules{Heuristics: true}, Request{}, 200, header("Last-Modified", "Tue, 01 Jan 2020 12:00:00 GMT"), true, ShareFresh, ""},
		{"3 any status with a lifetime", Rules{}, Request{}, 599, header("Cache-Control", "max-age=1"), true, ShareFresh, ""},
		{"3 Expires", Rules{}, Request{}, 200, header("Expires", "Tue, 01 Jan 2030 12:00:10 GMT"), true, ShareFresh, ""},
		{"5.3 invalid Expires is past", Rules{}, Request{}, 200, header("Expires", "0"), false, ShareNone, ReasonStale},
		{"3 no-store", Rules{}, Request{}, 200, header("Cache-Control", "max-age=1, no-store"), false, ShareNone, ReasonNoStore},
		{"5.2.1.5 no-store in the request", Rules{}, reqNoStore, 200, header("Cache-Control", "max-age=1"), false, ShareNone, ReasonNoStore},
		{"5.2.2.3 must-understand lifts no-store", Rules{}, Request{}, 200, header("Cache-Control", "max-age=1, no-store, must-understand"), true, ShareFresh, ""},
		{"5.2.2.3 not for an unknown status", Rules{}, Request{}, 599, header("Cache-Control", "max-age=1, no-store, must-understand"), false, ShareNone, ReasonNoStore},
		{"5.2.2.3 nor without no-store", Rules{}, Request{}, 599, header("Cache-Control", "max-age=1, must-understand"), false, ShareNone, ReasonStatus},
		{"3 private", Rules{}, Request{}, 200, header("Cache-Control", "max-age=1, private"), false, ShareNone, ReasonPrivate},
		{"7.3 Set-Cookie", Rules{}, Request{}, 200, header("Cache-Control", "max-age=1", "Set-Cookie", "a=b"), false, ShareNone, ReasonSetCookie},
		{"7.3 Set-Cookie on request", Rules{ShareSetCookie: true}, Request{}, 200, header("Cache-Control", "max-age=1", "Set-Cookie", "a=b"), true, ShareFresh, ""},
		{"4.1 Vary: *", Rules{}, Request{}, 200, header("Cache-Control", "max-age=1", "Vary", "Accept, *"), false, ShareNone, ReasonVary},
		{"3.5 Authorization", Rules{}, auth, 200, header("Cache-Control", "max-age=1"), false, ShareNone, ReasonAuthorization},
		{"3.5 public", Rules{}, auth, 200, header("Cache-Control", "max-age=1, public"), true, ShareFresh, ""},
		{"3.5 s-maxage", Rules{}, auth, 200, header("Cache-Control", "s-maxage=1"), true, ShareFresh, ""},
		{"3.5 must-revalidate", Rules{}, auth, 200, header("Cache-Control", "max-age=1, must-revalidate"), true, ShareFresh, ""},
		{"3.3 partial content", Rules{}, Request{}, 206, header("Cache-Control", "max-age=1"), false, ShareNone, ReasonStatus},
		{"5.2.2.4 no-cache", Rules{}, Request{}, 200, header("Cache-Control", "no-cache, max-age=9"), false, ShareNone, ReasonNoCache},
		{"5.2.2.4 no-cache with a validator", Rules{}, Request{}, 200, header("Cache-Control", "no-cache", "Etag", `"a"`), true, ShareNone, ReasonNoCache},
		{"max-age=0: those who wait", Rules{}, Request{}, 200, header("Cache-Control", "max-age=0"), false, ShareWaiting, ReasonStale},
		{"max-age=0 with a validator", Rules{}, Request{}, 200, header("Cache-Control", "max-age=0", "Etag", `"a"`), true, ShareWaiting, ReasonStale},
		{"5.2.2.2 must-revalidate", Rules{}, Request{}, 200, header("Cache-Control", "max-age=0, must-revalidate"), false, ShareNone, ReasonStale},
		{"5.2.2.10 s-maxage=0", Rules{}, Request{}, 200, header("Cache-Control", "s-maxage=0, max-age=9"), false, ShareNone, ReasonStale},
		{"max-age=0 for one with a cookie", Rules{}, cookie, 200, header("Cache-Control", "max-age=0"), false, ShareNone, ReasonCookie},
		{"4.2.3 older than its lifetime", Rules{}, Request{}, 200, header("Cache-Control", "max-age=5", "Age", "6"), false, ShareWaiting, ReasonStale},
		{"5861 kept to be served stale", Rules{}, Request{}, 200, header("Cache-Control", "max-age=0, stale-while-revalidate=9"), true, ShareWaiting, ReasonStale},
		{"503 without a word", Rules{}, Request{}, 503, header(), false, ShareError, ReasonServerError},
		{"503 with a lifetime", Rules{}, Request{}, 503, header("Cache-Control", "max-age=5"), true, ShareFresh, ""},
		{"503 for one user", Rules{}, Request{}, 503, header("Cache-Control", "private"), false, ShareNone, ReasonPrivate},
		{"429 is about one client", Rules{}, Request{}, 429, header(), false, ShareNone, ReasonNoLifetime},
	} {
		if c.header.Get("Date") == "" {
			c.header.Set("Date", t0.Format(http.TimeFormat))
		}
		v := Assess(c.rules, c.req, c.status, c.header, t0, t0)
		if v.Store != c.store || v.Share != c.share || v.Reason != c.reason {
			t.Errorf("%s: store %v, share %d, reason %q; want %v %d %q", c.anchor, v.Store, v.Share, v.Reason, c.store, c.share, c.reason)
		}
	}
}

func TestSharesWith(t *testing.T) {
	fresh := Verdict{Share: ShareFresh}
	public := Verdict{Share: ShareFresh, Stored: Stored{Public: true}}
	for _, c := range []struct {
		v      Verdict
		w      Request
		ok     bool
		reason Reason
	}{
		{fresh, Request{}, true, ""},
		{fresh, Request{Cookie: true}, true, ""},
		{fresh, Request{Authorization: true}, false, ReasonAuthorization},
		{public, Request{Authorization: true}, true, ""},
		{Verdict{Share: ShareWaiting}, Request{Cookie: true}, false, ReasonCookie},
		{Verdict{Share: ShareNone, Reason: ReasonPrivate}, Request{}, false, ReasonPrivate},
		{Verdict{Share: ShareError}, Request{Cookie: true}, true, ""},
	} {
		if ok, reason := c.v.SharesWith(c.w); ok != c.ok || reason != c.reason {
			t.Errorf("%+v with %+v: %v %q", c.v, c.w, ok, reason)
		}
	}
}

// Section 4.2.3.
func TestAge(t *testing.T) {
	at := func(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }
	date := t0.Format(http.TimeFormat)
	for _, c := range []struct {
		anchor              string
		header              http.Header
		requested, received time.Time
		want                time.Duration
	}{
		{"made now", header("Date", date), t0, t0, 0},
		{"Date counts whole seconds", header("Date", date), t0, at(0.9), 0},
		{"apparent_age", header("Date", date), at(7200), at(7200), 7199 * time.Second},
		{"a fast upstream clock", header("Date", date), at(-60), at(-60), 0},
		{"age_value", header("Date", date, "Age", "30"), t0, t0, 30 * time.Second},
		{"response_delay with an Age", header("Date", date, "Age", "30"), t0, at(2), 32 * time.Second},
		{"a slow origin", header("Date", at(2).Format(http.TimeFormat)), t0, at(2), 0},
		{"neither", header(), t0, at(5), 0},
	} {
		if got := initialAge(c.header, c.requested, c.received); got != c.want {
			t.Errorf("%s: %v, want %v", c.anchor, got, c.want)
		}
	}
	s := Stored{ResponseTime: t0, InitialAge: 30 * time.Second, Lifetime: time.Minute}
	if s.Age(at(10)) != 40*time.Second || s.TTL(at(10)) != 20*time.Second || s.Age(at(-10)) != 30*time.Second {
		t.Errorf("age %v, ttl %v", s.Age(at(10)), s.TTL(at(10)))
	}
}

func TestEvaluate(t *testing.T) {
	base := Stored{ResponseTime: t0, Lifetime: 10 * time.Second}
	with := func(f func(*Stored)) Stored { s := base; f(&s); return s }
	swr := with(func(s *Stored) { s.StaleWhileRevalidate = 10 * time.Second })
	immutable := with(func(s *Stored) { s.Immutable = true })
	noCache := Request{Directives: Directives{NoCache: true}}
	for _, c := range []struct {
		anchor string
		honour bool
		req    Request
		s      Stored
		after  time.Duration
		want   Use
		byReq  bool
	}{
		{"4.2 fresh", false, Request{}, base, 9 * time.Second, UseFresh, false},
		{"4.2 fresh until, not at, its lifetime", false, Request{}, base, 10 * time.Second, UseAfterValidation, false},
		{"4.2.4 stale", false, Request{}, base, time.Minute, UseAfterValidation, false},
		{"5861 3", false, Request{}, swr, 19 * time.Second, UseStale, false},
		{"5861 3 over", false, Request{}, swr, 20 * time.Second, UseAfterValidation, false},
		{"5.2.2.2 must-revalidate", false, Request{}, with(func(s *Stored) { s.StaleWhileRevalidate = 1e12; s.MustRevalidate = true }), time.Minute, UseAfterValidation, false},
		{"5.2.2.4 no-cache", false, Request{}, with(func(s *Stored) { s.NoCache = true }), 0, UseAfterValidation, false},
		{"3.5 Authorization", false, Request{Authorization: true}, base, 0, UseNever, true},
		{"3.5 public", false, Request{Authorization: true}, with(func(s *Stored) { s.Public = true }), 0, UseFresh, false},
		{"5.2.1.4 not honoured", false, noCache, base, 0, UseFresh, false},
		{"5.2.1.4 honoured", true, noCache, base, 0, UseAfterValidation, true},
		{"5.2.1.1", true, Request{Directives: Directives{MaxAge: sec(5)}}, base, 6 * time.Second, UseAfterValidation, true},
		{"5.2.1.1 young enough", true, Request{Directives: Directives{MaxAge: sec(5)}}, base, 4 * time.Second, UseFresh, false},
		{"5.2.1.1 a reload", true, Request{Directives: Directives{MaxAge: sec(0)}}, base, 0, UseAfterValidation, true},
		{"8246 2 a reload of what is immutable", true, Request{Directives: Directives{MaxAge: sec(0)}}, immutable, 9 * time.Second, UseFresh, false},
		{"8246 2 no longer fresh", true, Request{Directives: Directives{MaxAge: sec(0)}}, immutable, 10 * time.Second, UseAfterValidation, true},
		{"8246 2 a reload by force", true, noCache, immutable, 0, UseAfterValidation, true},
		{"8246 2 both", true, Request{Directives: Directives{NoCache: true, MaxAge: sec(0)}}, immutable, 0, UseAfterValidation, true},
		{"8246 2 an age that is asked for", true, Request{Directives: Directives{MaxAge: sec(5)}}, immutable, 6 * time.Second, UseAfterValidation, true},
		{"5.2.1.3", true, Request{Directives: Directives{MinFresh: sec(5)}}, base, 6 * time.Second, UseAfterValidation, true},
		{"5.2.1.2", true, Request{Directives: Directives{MaxStale: sec(5)}}, base, 14 * time.Second, UseStale, false},
		{"5.2.1.2 too stale", true, Request{Directives: Directives{MaxStale: sec(5)}}, base, 16 * time.Second, UseAfterValidation, false},
		{"5.2.2.2 against max-stale", true, Request{Directives: Directives{MaxStale: sec(5)}}, with(func(s *Stored) { s.MustRevalidate = true }), 11 * time.Second, UseAfterValidation, false},
	} {
		u := Evaluate(Rules{HonourRequest: c.honour}, &c.req, &c.s, t0.Add(c.after))
		if u.Use != c.want || u.Request != c.byReq {
			t.Errorf("%s: use %d, by request %v", c.anchor, u.Use, u.Request)
		}
	}
}

func TestStaleOnError(t *testing.T) {
	s := Stored{ResponseTime: t0, Lifetime: 10 * time.Second, StaleIfError: 5 * time.Second}
	if !s.StaleOnError(t0.Add(14*time.Second)) || s.StaleOnError(t0.Add(15*time.Second)) {
		t.Error("5861 4: wrong bound")
	}
	s.MustRevalidate = true
	if s.StaleOnError(t0.Add(11 * time.Second)) {
		t.Error("5.2.2.2: served stale against must-revalidate")
	}
}
