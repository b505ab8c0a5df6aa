package events

import (
	"errors"
	"strings"
	"testing"
)

func TestContentSites(t *testing.T) {
	for _, test := range []struct {
		c    Content
		want string
	}{
		{Content{Scope: ScopeURL, Values: []string{"https://WWW.Example.com:8443/a"}}, "www.example.com"},
		{Content{Scope: ScopePrefix, Values: []string{"http://a.example/"}}, "a.example"},
		{Content{Scope: ScopeHost, Values: []string{"a.example:8080"}}, "a.example"},
		{Content{Scope: ScopeHost, Values: []string{"[2001:db8::1]"}}, "other"},
		{Content{Scope: ScopeTag, Values: []string{"t"}}, "all"},
		{Content{Scope: ScopeTag, Values: []string{"t"}, Host: "a.example."}, "a.example"},
		{Content{Scope: ScopeAll}, "all"},
	} {
		if got := test.c.Site(); got != test.want {
			t.Errorf("%+v: site %q, want %q", test.c, got, test.want)
		}
	}
}

func TestContentRefusals(t *testing.T) {
	good := Content{Action: ContentPurge, Scope: ScopeURL, Values: []string{"http://a.example/"}, Principal: "p"}
	for _, test := range []struct {
		change func(*Content)
		want   string
	}{
		{func(c *Content) { c.Action = "ban" }, `action "ban"`},
		{func(c *Content) { c.Action, c.Scope = ContentPrefetch, ScopeHost }, "with a prefetch"},
		{func(c *Content) { c.Scope = "regex" }, `scope "regex"`},
		{func(c *Content) { c.Principal = "" }, "principal is missing"},
		{func(c *Content) { c.Values = nil }, "0 values: 1 to 64"},
		{func(c *Content) { c.Values = make([]string, 65) }, "65 values: 1 to 64"},
		{func(c *Content) { c.Values = []string{""} }, "value 1 is empty"},
		{func(c *Content) { c.Values = []string{"/a"} }, "absolute http and https URLs"},
		{func(c *Content) { c.Values = []string{"ftp://a.example/"} }, "absolute http and https URLs"},
		{func(c *Content) { c.Values = []string{"http://u@a.example/"} }, "absolute http and https URLs"},
		{func(c *Content) { c.Values = append(c.Values, "http://b.example/") }, "values of one host"},
		{func(c *Content) { c.Scope, c.Values = ScopePrefix, []string{"http://a.example/?q"} }, "a prefix has no query"},
		{func(c *Content) { c.Scope, c.Values = ScopeHost, []string{"a.example/x"} }, "a host is allowed"},
		{func(c *Content) { c.Host = "a.example" }, "only scopes tag and group have one"},
		{func(c *Content) { c.Scope = ScopeGroup }, "a group belongs to one"},
		{func(c *Content) { c.Scope = ScopeAll }, "scope all has none"},
		{func(c *Content) { c.Scope, c.Values = ScopeTag, []string{"a\nb"} }, "only printable"},
		{func(c *Content) {
			c.Scope, c.Values = ScopeTag, []string{strings.Repeat("x", 8<<10), strings.Repeat("x", 8<<10), "x"}
		}, "at most 16384"},
	} {
		c := good
		test.change(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %q in it", c, err, test.want)
		}
	}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
}

// TestTheLargestContentFits: no text within the bounds of the values makes a body that is too large.
func TestTheLargestContentFits(t *testing.T) {
	for _, piece := range []string{`"`, "\\", "\u2028", "<", "€"} {
		c := Content{Action: ContentPurge, Scope: ScopeTag, Principal: strings.Repeat("p", MaxPrincipal), Reason: strings.Repeat(`"`, MaxReason),
			Values: []string{strings.Repeat(piece, MaxContentValue/len(piece)), strings.Repeat(piece, MaxContentValue/len(piece))}}
		a := Attributes{Source: "/controller/a", BootID: "01234567", Seq: 1}
		m, err := EncodeContent(a, "id", c)
		if err != nil {
			t.Errorf("%q: %v", piece, err)
			continue
		}
		if !m.Persistent || m.MessageID != "id" {
			t.Errorf("%q: persistent %v, id %q", piece, m.Persistent, m.MessageID)
		}
	}
}

func TestContentIDs(t *testing.T) {
	for id, good := range map[string]bool{"a": true, "release-41": true, "a.b_c": true, "": false, "-a": false, "a b": false, "a/b": false, strings.Repeat("x", 65): false} {
		if err := CheckContentID(id); (err == nil) != good {
			t.Errorf("%q: %v", id, err)
		}
	}
	if _, err := EncodeContent(Attributes{}, "a/b", Content{}); err == nil {
		t.Error("an id with a slash is encoded")
	}
}

// TestAppliedIsForItsOwnUser: a fleet cannot make another's replicas look as if they had purged.
func TestAppliedIsForItsOwnUser(t *testing.T) {
	m := sample(t, "applied.v1")
	m.UserID = "video"
	_, err := Decode(m)
	var rejected *RejectError
	if !errors.As(err, &rejected) || rejected.Reason != ReasonForged {
		t.Errorf("got %v, want forged", err)
	}
}

// TestAuditTakesAnything: what a hostile caller sends is cut, not refused.
func TestAuditTakesAnything(t *testing.T) {
	s := samples()["audit.v1"]
	u := *s.Body.(*Audit)
	long := strings.Repeat("\x00€\xff", 10_000)
	u.Principal, u.Remote, u.ContentID, u.Scope, u.First, u.Reason, u.Error, u.Values = long, long, long, long, long, long, long, 1<<30
	if _, err := EncodeAudit(s.Attributes, u); err != nil {
		t.Error(err)
	}
}

func TestPositionsTellLogsApart(t *testing.T) {
	a, b := PositionOf("one", 7), PositionOf("two", 7)
	if a == b || a.Mark == b.Mark || !a.Known() || (Position{}).Known() || (Position{}).String() != "" {
		t.Errorf("%v and %v", a, b)
	}
	for _, bad := range []string{"", "x;1", "0123456789abcdef", "0123456789abcdef;", "0123456789abcdef;-1", "0123456789abcdef;01", "0123456789abcdeg;1"} {
		if p, err := ParsePosition(bad); err == nil {
			t.Errorf("%q is %v", bad, p)
		}
	}
}
