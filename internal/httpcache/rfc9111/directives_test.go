package rfc9111

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

func sec(n float64) Delta { return Delta{time.Duration(n * float64(time.Second)), true} }

func TestParseDirectives(t *testing.T) {
	for _, c := range []struct {
		anchor string
		lines  []string
		want   Directives
	}{
		{"5.2 case-insensitive", []string{"MAX-AGE=5, No-Store"}, Directives{MaxAge: sec(5), NoStore: true}},
		{"5.2 several lines", []string{"public", "max-age=1"}, Directives{Public: true, MaxAge: sec(1)}},
		{"5.2 both forms of an argument", []string{`max-age="60"`}, Directives{MaxAge: sec(60)}},
		{"5.2 unknown members", []string{"foo, bar=1, max-age=1"}, Directives{MaxAge: sec(1)}},
		{"5.2 empty members", []string{",, ,max-age=1,"}, Directives{MaxAge: sec(1)}},
		{"5.2 quoted text is no directive", []string{`ext="max-age=3600, no-store", max-age=1`}, Directives{MaxAge: sec(1)}},
		{"5.2 quoted quote", []string{`ext="\", no-store", max-age=1`}, Directives{MaxAge: sec(1)}},
		{"4.2.1 the first of two", []string{"max-age=1, max-age=3600"}, Directives{MaxAge: sec(1)}},
		{"4.2.1 unreadable is stale", []string{"max-age=a1"}, Directives{MaxAge: sec(0)}},
		{"4.2.1 negative is stale", []string{"max-age=-5"}, Directives{MaxAge: sec(0)}},
		{"4.2.1 single quotes are no quotes", []string{"max-age='3600'"}, Directives{MaxAge: sec(0)}},
		{"4.2.1 no argument is stale", []string{"s-maxage"}, Directives{SMaxAge: sec(0)}},
		{"space before = makes another name", []string{"max-age =3600"}, Directives{}},
		{"1.2.2 leading zeros", []string{"max-age=003600"}, Directives{MaxAge: sec(3600)}},
		{"1.2.2 overflow is capped", []string{"max-age=99999999999999999999"}, Directives{MaxAge: sec(maxDelta)}},
		{"fractions", []string{"max-age=0.5, s-maxage=1.25"}, Directives{MaxAge: sec(0.5), SMaxAge: sec(1.25)}},
		{"5.2.2.4 with fields: the stricter reading", []string{`no-cache="x, y", max-age=1`}, Directives{NoCache: true, MaxAge: sec(1)}},
		{"5.2.2.7 with fields: the stricter reading", []string{`private="x"`}, Directives{Private: true}},
		{"5.2.1.2 max-stale alone", []string{"max-stale"}, Directives{MaxStale: sec(maxDelta)}},
		{"5861 3, 4", []string{"stale-while-revalidate=1, stale-if-error=2"}, Directives{StaleWhileRevalidate: sec(1), StaleIfError: sec(2)}},
		{"5861 unreadable is none", []string{"stale-while-revalidate=x"}, Directives{}},
		{"the rest", []string{"must-revalidate, proxy-revalidate, must-understand, immutable, only-if-cached, min-fresh=3"},
			Directives{MustRevalidate: true, ProxyRevalidate: true, MustUnderstand: true, Immutable: true, OnlyIfCached: true, MinFresh: sec(3)}},
	} {
		if got := ParseDirectives(c.lines); got != c.want {
			t.Errorf("%s: %q\n got %+v\nwant %+v", c.anchor, c.lines, got, c.want)
		}
	}
}

// RFC 9213.
func TestTargetedFields(t *testing.T) {
	for _, c := range []struct {
		anchor   string
		header   http.Header
		life     time.Duration
		noStore  bool
		targeted bool
	}{
		{"2.2 targeted wins", http.Header{"Cdn-Cache-Control": {"max-age=10"}, "Cache-Control": {"no-store"}}, 10 * time.Second, false, true},
		{"2.2 order of the list", http.Header{"Surgewall-Cache-Control": {"max-age=5"}, "Cdn-Cache-Control": {"max-age=10"}}, 5 * time.Second, false, true},
		{"2.2 targeted no-store", http.Header{"Cdn-Cache-Control": {"no-store"}, "Cache-Control": {"max-age=10"}}, 0, true, true},
		{"2.1 empty is absent", http.Header{"Cdn-Cache-Control": {""}, "Cache-Control": {"max-age=10"}}, 10 * time.Second, false, false},
		{"2.1 malformed is absent", http.Header{"Cdn-Cache-Control": {"max-age=10, &&"}, "Cache-Control": {"max-age=20"}}, 20 * time.Second, false, false},
		{"2.1 names are case-sensitive", http.Header{"Cdn-Cache-Control": {"MAX-AGE=10"}, "Cache-Control": {"max-age=20"}}, 20 * time.Second, false, false},
		{"2.1 wrong type is ignored", http.Header{"Cdn-Cache-Control": {`max-age="10"`}}, 0, false, true},
		{"2.1 the last of two", http.Header{"Cdn-Cache-Control": {"max-age=1, max-age=10"}}, 10 * time.Second, false, true},
		{"2.1 Expires is void", http.Header{"Cdn-Cache-Control": {"no-transform"}, "Expires": {"Thu, 18 Aug 2050 02:01:18 GMT"}}, 0, false, true},
		{"false is absent", http.Header{"Cdn-Cache-Control": {"no-store=?0, max-age=1"}}, time.Second, false, true},
		{"decimals", http.Header{"Surgewall-Cache-Control": {"max-age=0.25"}}, 250 * time.Millisecond, false, true},
	} {
		d, targeted := responseDirectives(Rules{}, c.header)
		life, _ := lifetime(Rules{}, d, targeted, 200, c.header, time.Unix(1e9, 0))
		if life != c.life || d.NoStore != c.noStore || targeted != c.targeted {
			t.Errorf("%s: %v: lifetime %v, no-store %v, targeted %v", c.anchor, c.header, life, d.NoStore, targeted)
		}
	}
}

// RFC 9110 section 5.6.7.
func TestParseDate(t *testing.T) {
	want := time.Date(2050, 8, 18, 2, 1, 18, 0, time.UTC)
	for _, s := range []string{
		"Thu, 18 Aug 2050 02:01:18 GMT", "Thursday, 18-Aug-50 02:01:18 GMT", "Thu Aug 18 02:01:18 2050",
		"THU, 18 Aug 2050 02:01:18 GMT", "Thu, 18 AUG 2050 02:01:18 GMT", "Thu, 18 Aug 2050 02:01:18 gMT",
	} {
		if got, ok := parseDate(s); !ok || !got.Equal(want) {
			t.Errorf("%q: %v %v", s, got, ok)
		}
	}
	for _, s := range []string{
		"", "0", "-1", "Thu, 18 Aug 2050 02:01:18 UTC", "Thu, 18 Aug 2050 02:01:18 AEST", "Thu, 18 Aug 50 02:01:18 GMT",
		"Thu 18 Aug 2050 02:01:18 GMT", "Thu, 18  Aug  2050 02:01:18 GMT", "Thu, 18-Aug-2050 02:01:18 GMT",
		"Thu, 18 Aug 2050 02.01.18 GMT", "Thu, 18 Aug 2050 2:01:18 GMT", "Thu, 18 Aug 2050 02:01:18",
	} {
		if got, ok := parseDate(s); ok {
			t.Errorf("%q read as %v", s, got)
		}
	}
}

// Section 5.1.
func TestParseAge(t *testing.T) {
	for _, c := range []struct {
		lines []string
		want  time.Duration
		ok    bool
	}{
		{nil, 0, false},
		{[]string{"7200"}, 7200 * time.Second, true},
		{[]string{"abc"}, 0, false},
		{[]string{"-7200"}, 0, false},
		{[]string{"7200.0"}, 0, false},
		{[]string{"2147483649"}, maxDelta * time.Second, true},
		{[]string{"7200, 0"}, 7200 * time.Second, true},
		{[]string{"0, 7200"}, 0, true},
		{[]string{"0", "7200"}, 0, true},
		{[]string{"7200", "0"}, 7200 * time.Second, true},
	} {
		if got, ok := parseAge(http.Header{"Age": c.lines}); got != c.want || ok != c.ok {
			t.Errorf("%q: %v %v", c.lines, got, ok)
		}
	}
}

func FuzzParseDirectives(f *testing.F) {
	for _, s := range []string{"max-age=1, no-store", `private="a, b", s-maxage="3"`, "max-age=0.000000001", `"\`, "=,="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d := ParseDirectives([]string{s})
		for _, v := range []Delta{d.MaxAge, d.SMaxAge, d.StaleWhileRevalidate, d.StaleIfError, d.MinFresh, d.MaxStale} {
			if v.D < 0 || v.D > (maxDelta+1)*time.Second || !v.OK && v.D != 0 {
				t.Fatalf("%q gave %v", s, v)
			}
		}
		if !strings.Contains(s, `"`) && !reflect.DeepEqual(d, ParseDirectives(strings.Split(s, ","))) {
			t.Fatalf("%q differs when its members come on lines of their own", s)
		}
		if strings.Count(s, `"`) == 0 && !ParseDirectives([]string{s, "no-store"}).NoStore {
			t.Fatalf("no-store on a second line is lost after %q", s)
		}
	})
}

func FuzzTargeted(f *testing.F) {
	f.Add("max-age=1.5, no-store=?0")
	f.Add("max-age=(1 2);x")
	f.Fuzz(func(t *testing.T, s string) {
		d, _ := parseTargeted([]string{s})
		if d.MaxAge.D < 0 || d.SMaxAge.D < 0 || d.MaxAge.D > maxDelta*time.Second {
			t.Fatalf("%q gave %+v", s, d)
		}
	})
}

func FuzzParseDate(f *testing.F) {
	f.Add("Thu, 18 Aug 2050 02:01:18 GMT")
	f.Add("Thu Aug  8 02:01:18 2050")
	f.Fuzz(func(t *testing.T, s string) {
		if d, ok := parseDate(s); ok {
			again, ok := parseDate(d.Format(http.TimeFormat))
			if d.Year() >= 1000 && (!ok || !again.Equal(d)) {
				t.Fatalf("%q read as %v, which does not read back", s, d)
			}
		}
	})
}
