package rfc9111

import (
	"net/http"
	"testing"
	"time"
)

// The tables in section*_test.go put the pure rules together as a cache does: a
// response to one request, and what becomes of a second request some time later.
// Where the public suite of HTTP cache tests has a test for a rule, the row has its
// name, so that a failure there is found here in milliseconds; the values are our own.

// outcome is what becomes of the second request.
type outcome string

const (
	fresh     outcome = "fresh"     // answered from the store
	stale     outcome = "stale"     // answered from the store, and validated meanwhile
	validated outcome = "validated" // forwarded with what identifies the stored response
	forwarded outcome = "forwarded" // as if nothing were stored
)

// encounter is one row.
type encounter struct {
	name   string
	rules  Rules
	status int      // default 200
	first  []string // fields of the first request: names and values in turn
	fields []string // of the response; Date is t0 unless it says otherwise
	second []string
	after  time.Duration
	want   outcome
}

// meet returns the outcome, and the response as it is stored.
func meet(c encounter) (outcome, Stored) {
	h := header(c.fields...)
	if len(h["Date"]) == 0 {
		h.Set("Date", t0.Format(http.TimeFormat))
	}
	StripHopByHop(h)
	first, second := header(c.first...), header(c.second...)
	status := c.status
	if status == 0 {
		status = http.StatusOK
	}
	v := Assess(c.rules, ParseRequest(first), status, h, t0, t0)
	if !v.Store || !VaryMatch(v.Vary, first, second) {
		return forwarded, v.Stored
	}
	r := ParseRequest(second)
	switch u := Evaluate(c.rules, &r, &v.Stored, t0.Add(c.after)); u.Use {
	case UseFresh:
		return fresh, v.Stored
	case UseStale:
		return stale, v.Stored
	case UseAfterValidation:
		if SetConditional(http.Header{}, &v.Stored) {
			return validated, v.Stored
		}
	}
	return forwarded, v.Stored
}

func meetAll(t *testing.T, rows []encounter) {
	t.Helper()
	for _, c := range rows {
		if got, _ := meet(c); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// cc is a response with just Cache-Control.
func cc(values ...string) (fields []string) {
	for _, v := range values {
		fields = append(fields, "Cache-Control", v)
	}
	return fields
}

// with are fields and more.
func with(fields []string, more ...string) []string {
	return append(append([]string(nil), fields...), more...)
}

// date is an HTTP date, a distance from t0.
func date(d time.Duration) string { return t0.Add(d).Format(http.TimeFormat) }
