package config_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/config"
)

// load returns the settings of a file, or everything that is wrong with it.
func load(file string) (*config.Shield, error) {
	s := config.NewShield()
	if _, err := config.Load(bind(s), "f.yaml", []byte(file), noEnv); err != nil {
		return s, err
	}
	return s, s.Validate()
}

func TestASiteInheritsWhatItDoesNotSet(t *testing.T) {
	s, err := load(`
sites:
  www:
    host: [www.example.org, "*.cdn.example.org", "www.example.org:8080"]
    origin: [https://a.example.net, https://b.example.net:8443]
  shop:
    host: shop.example.org
    origin: http://shop.default.svc.cluster.local:8080
    private: true
    origin-host-header: origin
    origin-concurrency: 16
    origin-queue-timeout: 500ms
    connect-timeout: 1s
    response-header-timeout: 10s
    default-ttl: 1m
    heuristic-freshness: false
    share-set-cookie: true
    ignore-query: [utm_source]
# Behind the sites, and still what they inherit.
origin-concurrency: 7
heuristic-freshness: true
ignore-query: [fbclid, gclid]
`)
	if err != nil {
		t.Fatal(err)
	}
	sites, err := s.AllSites()
	if err != nil || len(sites) != 2 {
		t.Fatalf("%d sites, %v", len(sites), err)
	}
	www, shop := sites[0], sites[1]
	if www.Name != "www" || len(www.Hosts) != 3 || len(www.Origins) != 2 || www.Private || www.OriginHostHeader != "keep" || www.OriginConcurrency != 7 ||
		www.OriginQueueTimeout != 2*time.Second || !www.HeuristicFreshness || www.ShareSetCookie || strings.Join(www.IgnoreQuery, " ") != "fbclid gclid" {
		t.Errorf("www is %+v", www)
	}
	if shop.Name != "shop" || strings.Join(shop.Hosts, " ") != "shop.example.org" || !shop.Private || shop.OriginHostHeader != "origin" ||
		shop.OriginConcurrency != 16 || shop.OriginQueueTimeout != 500*time.Millisecond || shop.ConnectTimeout != time.Second ||
		shop.ResponseHeaderTimeout != 10*time.Second || shop.DefaultTTL != time.Minute || shop.HeuristicFreshness || !shop.ShareSetCookie ||
		strings.Join(shop.IgnoreQuery, " ") != "utm_source" {
		t.Errorf("shop is %+v", shop)
	}
}

// TestWhatIsWrongWithSitesIsNamedWithItsLine has one mistake in each file, and wants to be told line, site, key, value and what is allowed.
func TestWhatIsWrongWithSitesIsNamedWithItsLine(t *testing.T) {
	const www = "sites:\n  www:\n    host: www.example.org\n    origin: http://origin.example.net\n"
	if _, err := load(www); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ say, file, want string }{
		{"no mapping", "sites: [www]", "f.yaml:1: sites: want names of sites"},
		{"no value", "sites:", "f.yaml:1: sites: has no value"},
		{"a text", "sites: www", "f.yaml:1: sites: want names of sites"},
		{"a site without settings", "sites:\n  www:", "f.yaml:2: sites.www: want settings, at least host and origin"},
		{"a list as site", "sites:\n  www: [a]", "f.yaml:2: sites.www: want settings"},
		{"an alias as site", "sites:\n  a: &a {host: a, origin: http://a}\n  b: *a", "f.yaml:3: sites.b: want settings"},
		{"name", "sites:\n  WWW:\n    host: a\n    origin: http://a", `f.yaml:2: sites: name of a site: "WWW" is not allowed: want a DNS label`},
		{"name with a dot", "sites:\n  a.b:\n    host: a\n    origin: http://a", `f.yaml:2: sites: name of a site: "a.b"`},
		{"name twice", www + "  www:\n    host: b\n    origin: http://b", `f.yaml:5: sites: site "www" is there twice, first in line 2`},
		{"key", www + "    hots: a", `f.yaml:5: sites.www: unknown key "hots"; did you mean "host"?`},
		{"merge key", "sites:\n  a: {<<: {host: a}, origin: http://a}", `f.yaml:2: sites.a: unknown key "<<"`},
		{"key of the process", www + "    listen: ':1'", `f.yaml:5: sites.www: unknown key "listen"`},
		{"key twice", www + "    host: a", `f.yaml:5: sites.www: key "host" is there twice, first in line 3`},
		{"no host", "sites:\n  www:\n    origin: http://a", `f.yaml:2: sites.www: host: "0 hosts" is not allowed: want 1 to 1000 hosts`},
		{"no origin", "sites:\n  www:\n    host: a", `f.yaml:2: sites.www: origin: "0 URLs" is not allowed: want 1 to 16 URLs`},
		{"host twice", www + "  b:\n    origin: http://b\n    host: [b, www.example.org]", `f.yaml:7: sites.b: host: "www.example.org" is not allowed: want a host that is given once, but sites.www has it already`},
		{"host twice in a site", "sites:\n  a:\n    host: [b, b]\n    origin: http://b", "sites.a has it already"},
		{"origin with path", "sites:\n  a:\n    host: a\n    origin: http://a/b", `f.yaml:4: sites.a: origin: "http://a/b" is not allowed: want http:// or https://`},
		{"origins of two schemes", "sites:\n  a:\n    host: a\n    origin: [http://a, https://b]", `"https://b" is not allowed: want addresses of one server, all http://`},
		{"origin with user", "sites:\n  a:\n    host: a\n    origin: http://u:p@a", "f.yaml:4: sites.a: origin:"},
		{"concurrency", www + "    origin-concurrency: 0", `f.yaml:5: sites.www: origin-concurrency: "0" is not allowed: want a number from 1 to 65535`},
		{"no number", www + "    origin-concurrency: many", `f.yaml:5: sites.www: origin-concurrency: "many" is not allowed: want a int`},
		{"queue timeout", www + "    origin-queue-timeout: 2m", `f.yaml:5: sites.www: origin-queue-timeout: "2m0s" is not allowed: want a duration from 0s to 1m0s`},
		{"host header", www + "    origin-host-header: both", `f.yaml:5: sites.www: origin-host-header: "both" is not allowed: want one of keep, origin`},
		{"private", www + "    private: perhaps", `f.yaml:5: sites.www: private: "perhaps" is not allowed: want a bool`},
		{"private without value", www + "    private:", `f.yaml:5: sites.www: private: has no value`},
		{"ttl", www + "    default-ttl: -1s", `f.yaml:5: sites.www: default-ttl: "-1s" is not allowed: want a duration from 0s to 8760h0m0s`},
		{"query", www + "    ignore-query: [a=b]", `f.yaml:5: sites.www: ignore-query: "a=b" is not allowed: want the name of a query parameter`},
		{"inherited", www + "origin-concurrency: 70000", `origin-concurrency: "70000" is not allowed`},
		{"beside origin", www + "origin: http://a", `origin: "http://a" is not allowed: want nothing beside sites`},
	} {
		_, err := load(c.file)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v lacks %s", c.say, err, c.want)
		}
	}
	if _, err := load("sites:\n" + strings.Repeat("  x: {}\n", 1001)); err == nil || !strings.Contains(err.Error(), `"1001 sites" is not allowed: want at most 1000`) {
		t.Errorf("1001 sites: %v", err)
	}
}

func TestHostsOfASite(t *testing.T) {
	for host, ok := range map[string]bool{
		"www.example.org": true, "localhost": true, "under_score.example": true, "xn--bcher-kva.example": true, "www.example.org:8080": true,
		"*.example.org": true, "*.example.org:8443": true, "*.org": true, "192.0.2.1": true, "192.0.2.1:8080": true, "[2001:db8::1]": true, "[2001:db8::1]:8080": true,
		"": false, "*": false, "*.": false, "a.*": false, "*a.example.org": false, "*.*.example.org": false, ".example.org": false, "example.org.": false, "a..b": false,
		"WWW.example.org": false, "bücher.example": false, "www.example.org:80": false, "www.example.org:443": false, "www.example.org:": false, "www.example.org:0": false,
		"www.example.org:08080": false, "www.example.org:65536": false, "http://www.example.org": false, "www.example.org/": false, "a b": false, "user@host": false,
		"*.192.0.2.1": false, "1.2.3": false, "0x7f.1": false, "256.1.1.1": false, "2001:db8::1": false, "[2001:DB8::1]": false, "[2001:db8:0:0:0:0:0:1]": false, "[::1": false, "[::1]8080": false,
		"[fe80::1%eth0]": false, "[192.0.2.1]": false, "*.[::1]": false, strings.Repeat("a", 64) + ".org": false, strings.Repeat("a.", 127) + "ab": false,
	} {
		_, err := load("sites: {a: {origin: http://a, host: ['" + host + "']}}")
		if ok && err != nil {
			t.Errorf("%q: %v", host, err)
		}
		if !ok && (err == nil || !strings.Contains(err.Error(), `sites.a: host: "`+host+`" is not allowed: want a host in lower case`)) {
			t.Errorf("%q: error %v", host, err)
		}
	}
}

// TestTheCommentedExampleIsRight takes the comment signs off the example of sites in the documented file.
func TestTheCommentedExampleIsRight(t *testing.T) {
	data, err := os.ReadFile("shield.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var example strings.Builder
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "#   "); ok {
			example.WriteString(rest)
		}
	}
	s, err := load(example.String())
	if err != nil {
		t.Fatal(err)
	}
	sites, err := s.AllSites()
	if err != nil || len(sites) != 2 || !sites[1].Private || sites[1].OriginConcurrency != 16 {
		t.Errorf("%+v, %v", sites, err)
	}
}

func TestSitesFromTheEnvironment(t *testing.T) {
	s := config.NewShield()
	env := func(key string) (string, bool) {
		return "{a: {host: a.example, origin: 'http://a'}}", key == "SURGEWALL_SITES"
	}
	if _, err := config.Load(bind(s), "", nil, env); err != nil {
		t.Fatal(err)
	}
	if sites, err := s.AllSites(); err != nil || len(sites) != 1 || sites[0].Name != "a" {
		t.Errorf("%+v, %v", sites, err)
	}
}

func FuzzSites(f *testing.F) {
	f.Add("sites:\n  www:\n    host: [www.example.org, '*.example.org:8080', '[::1]']\n    origin: http://o\n    private: true\n    default-ttl: 1m")
	f.Add("sites: {a: {host: a, origin: http://a}, b: {host: b, origin: [http://a, http://b]}}\norigin-concurrency: 3")
	f.Add("sites: &s {a: *s}")
	f.Add("sites: {? [a] : b}")
	f.Add("sites: {a: {host: a, host: b}}")
	f.Fuzz(func(t *testing.T, file string) {
		s := config.NewShield()
		flags := bind(s)
		if _, err := config.Load(flags, "f.yaml", []byte(file), noEnv); err != nil {
			return
		}
		if err := s.Validate(); err != nil || s.AMQP.Configured() { // a broker's password is not printed
			return
		}
		// What was taken can be written and taken again, and then says the same.
		sources := regexp.MustCompile(`(?m) +# f\.yaml:\d+$`)
		text := sources.ReplaceAllString(printed(t, flags), "")
		again := config.NewShield()
		flagsAgain := bind(again)
		if _, err := config.Load(flagsAgain, "f.yaml", []byte(text), noEnv); err != nil || again.Validate() != nil {
			t.Fatalf("%v, %v in\n%s", err, again.Validate(), text)
		}
		if second := sources.ReplaceAllString(printed(t, flagsAgain), ""); second != text {
			t.Fatalf("first\n%s\nthen\n%s", text, second)
		}
	})
}
