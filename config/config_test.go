package config_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/surgewall/surgewall/config"
)

type settings interface {
	Bind(*pflag.FlagSet)
	Validate() error
}

func bind(s settings) *pflag.FlagSet {
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	s.Bind(flags)
	return flags
}

func noEnv(string) (string, bool) { return "", false }

func printed(t *testing.T, flags *pflag.FlagSet) string {
	t.Helper()
	var out bytes.Buffer
	if err := config.Print(&out, flags, nil); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestTheDocumentedFilesAreTheDefaults loads each documented file over settings that differ from the defaults, and gets the defaults.
func TestTheDocumentedFilesAreTheDefaults(t *testing.T) {
	for name, defaults := range map[string]func() settings{
		"edge.yaml":   func() settings { return config.NewEdge() },
		"shield.yaml": func() settings { return config.NewShield() },
	} {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			flags := bind(defaults())
			sources, err := config.Load(flags, name, data, noEnv)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := printed(t, flags), printed(t, bind(defaults())); got != want {
				t.Errorf("the file says\n%s\nthe defaults are\n%s", got, want)
			}
			for _, key := range config.Keys(flags) {
				if sources[key] == "" {
					t.Errorf("%s does not document %s", name, key)
				}
			}
		})
	}
}

func TestWhatIsNotAllowedIsNamed(t *testing.T) {
	for _, c := range []struct {
		settings settings
		file     string
		want     []string // each in the error; none means valid
	}{
		{config.NewEdge(), "origin: http://127.0.0.1:8000", nil},
		{config.NewEdge(), "shield: [http://a:1, http://b:2]", nil},
		{config.NewEdge(), "shield: http://a:1,http://b:2", nil},
		{config.NewEdge(), "shield-dns: surgewall-shield:8081\nconnection-max-age: 0s\nfleet: sports-1\npod: edge-7d9f-x2", nil},
		{config.NewShield(), "origin: https://origin.example", nil},
		{config.NewShield(), "origin: [http://10.0.0.1:80, http://10.0.0.2:80]\norigin-host-header: origin", nil},

		{config.NewEdge(), "", []string{"shield:", "exactly one of"}},
		{config.NewEdge(), "origin: http://a\nshield: [http://b]", []string{`"2 ways`, "exactly one of"}},
		{config.NewEdge(), "shield: [https://a]", []string{"shield:", "http://host[:port]"}},
		{config.NewEdge(), "origin: http://a/path", []string{`origin: "http://a/path"`, "without path"}},
		{config.NewEdge(), "origin: http://a\nfleet: Sports.1\npod: a.b", []string{`fleet: "Sports.1"`, `pod: "a.b"`, "DNS label"}},
		{config.NewEdge(), "shield-dns: surgewall-shield", []string{"shield-dns:", "host:port"}},
		{config.NewEdge(), "origin: http://a\nlisten: '8080'\nconnection-max-age: 10ms\ncache-size: 12KiB", []string{
			`listen: "8080"`, "127.0.0.1:8080", `connection-max-age: "10ms" is not allowed: want a duration from 1s to 24h0m0s`, `cache-size: "12KiB" is not allowed: want a size from 1MiB to 1TiB`,
		}},
		{config.NewEdge(), "origin: http://a\namqp-host: b\namqp-username: edge", []string{"amqp-username", "amqp-password-file, or neither"}},
		{config.NewEdge(), "origin: http://a\namqp-host: b\namqp-username: edge\namqp-ca-file: ca\namqp-cert-file: c\namqp-key-file: k", nil},
		{config.NewEdge(), "origin: http://a\namqp-url: amqps://edge@b/v\namqp-cert-file: c\namqp-key-file: k", nil},
		{config.NewEdge(), "origin: http://a\namqp-host: b\namqp-cert-file: c", []string{"amqp-key-file, or neither", "nothing without TLS", "the user that the certificate names"}},
		{config.NewShield(), "", []string{`origin: ""`, "http://127.0.0.1:8000", "or sites"}},
		{config.NewShield(), "origin: http://a\nprivate-range: [10.0.0.0/8, 2001:db8::/32]", nil},
		{config.NewShield(), "origin: http://a\nprivate-range: [10.0.0.1/8]", []string{`private-range: "10.0.0.1/8"`, "CIDR"}},
		{config.NewShield(), "origin: http://a\ndefault-ttl: -1s\nignore-query: [utm_source, 'a b', _HLS_msn]", []string{
			`default-ttl: "-1s"`, "0s to 8760h0m0s", `ignore-query: "a b"`, `ignore-query: "_HLS_msn"`, "none of _HLS_*",
		}},
		{config.NewEdge(), "origin: http://a\ncdn-id: cdn.example~1", nil},
		{config.NewShield(), "origin: http://a\ncdn-id: two words", []string{`cdn-id: "two words" is not allowed: want a token: 1 to 128`}},
		{config.NewEdge(), "origin: http://a\notlp-endpoint: http://collector:4318/base", nil},
		{config.NewEdge(), "origin: http://a\notlp-endpoint: http://me:hunter2@collector", []string{`otlp-endpoint: "http://me:xxxxx@collector" is not allowed`}},
		{config.NewShield(), "origin: http://a\notlp-endpoint: collector:4317", []string{"http://collector:4318"}},
		{config.NewEdge(), "shield: http://a\nedge-auth-key-file: /k\nclient-cache-control: honour", nil},
		{config.NewEdge(), "origin: http://a\nedge-auth-key-file: /k\nclient-cache-control: obey", []string{
			`edge-auth-key-file: "/k" is not allowed: want nothing beside origin`, `client-cache-control: "obey" is not allowed: want one of ignore, honour`,
		}},
		{config.NewShield(), "origin: http://a\nedge-auth-key-file: /k\nedge-auth: require\nedge-auth-skew: 30s", nil},
		{config.NewShield(), "origin: http://a\nedge-auth: require\nedge-auth-skew: 2h", []string{
			`edge-auth: "require" is not allowed: want a file of keys in edge-auth-key-file`, `edge-auth-skew: "2h0m0s" is not allowed: want a duration from 1s to 1h0m0s`,
		}},
		{config.NewShield(), "origin: http://a\nedge-auth: strict", []string{"one of off, prefer, require"}},
		{config.NewEdge(), "origin: http://a\nheuristic-freshness: true\nshare-set-cookie: true", nil},
		{config.NewShield(), "origin: ftp://a\norigin-concurrency: 0\norigin-host-header: rewrite", []string{
			"http:// or https://", `origin-concurrency: "0" is not allowed: want a number from 1 to 65535`, "one of keep, origin",
		}},
	} {
		flags := bind(c.settings)
		if _, err := config.Load(flags, "f.yaml", []byte(c.file), noEnv); err != nil {
			t.Fatalf("%q: %v", c.file, err)
		}
		err := c.settings.Validate()
		if len(c.want) == 0 && err != nil {
			t.Errorf("%q: %v", c.file, err)
		}
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: error %v lacks %q", c.file, err, want)
			}
		}
	}
}

func TestAFileThatIsNoListOfSettingsIsRefused(t *testing.T) {
	for file, want := range map[string]string{
		"- a":                           "f.yaml:1: want settings",
		"just text":                     "f.yaml:1: want settings",
		"listen: [a, b]":                "f.yaml:1: listen: want a single value",
		"listen:\n":                     "f.yaml:1: listen: has no value",
		"shield: {a: b}":                "f.yaml:1: shield: want a list",
		"listen: a\n---\nlisten: b":     "one YAML document",
		"listen: 'x":                    "f.yaml: yaml",
		"help: true":                    `unknown key "help"`,
		"drain-delay: soon":             `drain-delay: "soon" is not allowed: want a duration`,
		"amqp-port: many":               `amqp-port: "many" is not allowed: want a int`,
		"\n\nconection-max-age: 30s":    `f.yaml:3: unknown key "conection-max-age"; did you mean "connection-max-age"?`,
		"fleet: a\nfleet: b":            `f.yaml:2: key "fleet" is there twice, first in line 1`,
		"amqp-url: &a x\namqp-host: *a": "amqp-host",
	} {
		_, err := config.Load(bind(config.NewEdge()), "f.yaml", []byte(file), noEnv)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v lacks %q", file, err, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "17": 17, "17B": 17, "64KiB": 64 << 10, "512MiB": 512 << 20, "2GiB": 2 << 30, "1536MiB": 1536 << 20} {
		var got config.Bytes
		if err := got.Set(text); err != nil || int64(got) != want {
			t.Errorf("%s is %d (%v), want %d", text, got, err, want)
		}
		var again config.Bytes
		if err := again.Set(got.String()); err != nil || again != got {
			t.Errorf("%s is written %s, which is %d (%v)", text, got.String(), again, err)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5GiB", "512M", "512 MiB", "1e3", "99999999999TiB", "9223372036854775808"} {
		got := config.Bytes(7)
		if err := got.Set(text); err == nil || got != 7 {
			t.Errorf("%q is taken as %d", text, got)
		}
	}
}

func TestMasked(t *testing.T) {
	for value, want := range map[string]string{
		"": "", "hunter2": "*****", "amqp://edge:hunter2@b:5672/v?x=hunter2": "amqp://edge:xxxxx@b:5672/v", "amqp://b/": "amqp://b/",
		"amqp://edge:12/hunter2@b": "*****", "amqp://edge:12?hunter2@b": "*****", "amqp://edge:12#hunter2@b": "*****", "amqp://edge:12/hunter%402@b/v": "*****",
	} {
		if got := config.Masked(value); got != want {
			t.Errorf("%q is shown as %q, want %q", value, got, want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, name := range []string{"edge.yaml", "shield.yaml"} {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("shield: [a, b]\nlisten: *x\n? : y"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		flags := bind(config.NewEdge())
		sources, err := config.Load(flags, "f.yaml", data, noEnv)
		if err != nil {
			return
		}
		for key, source := range sources {
			if !strings.HasPrefix(source, "f.yaml:") || !slices.Contains(config.Keys(flags), key) {
				t.Fatalf("%s comes from %s", key, source)
			}
		}
		// What was taken can be written and taken again.
		if _, err := config.Load(bind(config.NewEdge()), "again.yaml", []byte(printed(t, flags)), noEnv); err != nil && !strings.Contains(string(data), "amqp-url") {
			t.Fatalf("%v in\n%s", err, printed(t, flags))
		}
	})
}
