package shield

import (
	"strings"
	"testing"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
)

func TestNormalHost(t *testing.T) {
	for host, want := range map[string]string{
		"www.example.org": "www.example.org", "WWW.Example.ORG": "www.example.org", "www.example.org.": "www.example.org",
		"www.example.org:80": "www.example.org", "www.example.org:443": "www.example.org", "www.example.org:": "www.example.org",
		"www.example.org.:080": "www.example.org", "www.example.org:8080": "www.example.org:8080", "www.example.org:08080": "www.example.org:8080",
		"localhost": "localhost", "under_score": "under_score", "192.0.2.1:81": "192.0.2.1:81",
		"[::1]": "[::1]", "[::1]:80": "[::1]", "[2001:DB8:0::1]:8443": "[2001:db8::1]:8443", "[::ffff:192.0.2.1]": "[::ffff:192.0.2.1]", "[::1]:": "[::1]",

		"": "", ".": "", "..": "", ".example.org": "", "a..b": "", "a.b..": "", ":80": "", "a:b": "", "a:+80": "", "a:0": "", "a:65536": "", "a:80:80": "",
		"::1": "", "[::1": "", "[]": "", "[::1]80": "", "[::1]:x": "", "[192.0.2.1]": "", "[fe80::1%25eth0]": "", "[fe80::1%eth0]": "", "[v1.x]": "",
		"a b": "", "a/b": "", "user@a": "", "a%2eb": "", "a\x00b": "", "bücher.example": "", "a,b": "", "*.example.org": "",
		strings.Repeat("a", 64): "", strings.Repeat("a.", 130): "",
	} {
		got, ok := normalHost(host)
		if ok != (want != "") || got != want {
			t.Errorf("%q is %q (%v), want %q", host, got, ok, want)
		}
	}
}

func TestAHostInNormalFormCostsNothing(t *testing.T) {
	var sites table[int]
	if err := sites.add(new(int), []string{"www.example.org", "*.cdn.example.org"}); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		for _, host := range []string{"www.example.org", "a.b.cdn.example.org", "elsewhere.example"} {
			normal, _ := normalHost(host)
			_ = sites.find(normal)
		}
	}); n != 0 {
		t.Errorf("%v allocations for three requests", n)
	}
}

// TestTheMoreSpecificHostWins adds the sites in both orders: what is served must not depend on it.
func TestTheMoreSpecificHostWins(t *testing.T) {
	given := [][2]string{
		{"exact", "a.example.org"}, {"wild", "*.example.org"}, {"deep", "*.b.example.org"}, {"top", "*.org"}, {"port", "*.example.org:8080"},
		{"v4", "192.0.2.1"}, {"v6", "[2001:db8::1]"},
	}
	for _, backwards := range []bool{false, true} {
		var sites table[string]
		for i := range given {
			if backwards {
				i = len(given) - 1 - i
			}
			if err := sites.add(&given[i][0], given[i][1:]); err != nil {
				t.Fatal(err)
			}
		}
		for host, want := range map[string]string{
			"a.example.org": "exact", "c.example.org": "wild", "x.y.example.org": "wild", "x.a.example.org": "wild", "b.example.org": "wild",
			"x.b.example.org": "deep", "x.y.b.example.org": "deep", "example.org": "top", "else.org": "top", "org": "",
			"a.example.org:8080": "port", "b.example.org:8080": "port", "example.org:8080": "", "a.example.org:8081": "", "badexample.org": "top",
			"192.0.2.1": "v4", "1.192.0.2.1": "", "[2001:db8::1]": "v6", "[2001:db8::2]": "", "a.example.com": "",
		} {
			got := ""
			if site := sites.find(host); site != nil {
				got = *site
			}
			if got != want {
				t.Errorf("%s (backwards: %v) is of %q, want %q", host, backwards, got, want)
			}
		}
	}
}

func TestSitesThatCannotBeToldApart(t *testing.T) {
	for say, hosts := range map[string][2][]string{
		"the same host": {{"a.example"}, {"a.example"}}, "spelled differently": {{"a.example"}, {"A.example:443"}}, "the same wildcard": {{"*.example"}, {"b", "*.example"}},
		"every host and one": {nil, {"a.example"}}, "one and every host": {{"a.example"}, nil}, "every host twice": {nil, nil}, "no host": {{"a"}, {"http://a"}}, "all": {{"a"}, {"*"}},
	} {
		var sites table[int]
		if err := sites.add(new(int), hosts[0]); err != nil {
			t.Fatal(err)
		}
		if err := sites.add(new(int), hosts[1]); err == nil {
			t.Errorf("%s: taken", say)
		}
	}
}

// FuzzHost holds any Host against what the key, the origin and the choice of the site rely on.
func FuzzHost(f *testing.F) {
	for _, host := range []string{"www.example.org", "A.B.:80", "[::1]:8080", "a.b.example.org:8443", "x:0", "..", "[fe80::1%1]"} {
		f.Add(host)
	}
	var sites table[string]
	for _, pattern := range []string{"example.org", "*.example.org", "*.a.example.org:8443", "[::1]", "192.0.2.1"} {
		if err := sites.add(&pattern, []string{pattern}); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, host string) {
		normal, ok := normalHost(host)
		if !ok {
			if normal != "" {
				t.Fatalf("%q is refused and is %q", host, normal)
			}
			return
		}
		if again, ok := normalHost(normal); !ok || again != normal {
			t.Fatalf("%q is %q, which is %q", host, normal, again)
		}
		for _, scheme := range []string{"http", "https"} {
			if key, ok := rfc9111.CanonicalHost(scheme, normal); !ok || key != normal {
				t.Fatalf("%q is %q, but the key has %q", host, normal, key)
			}
		}
		site := sites.find(normal)
		if site == nil {
			return
		}
		if suffix, wild := strings.CutPrefix(*site, "*"); wild && (!strings.HasSuffix(normal, suffix) || normal == suffix) || !wild && normal != *site {
			t.Fatalf("%q is of %s", normal, *site)
		}
	})
}
