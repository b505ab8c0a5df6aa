package rabbitmq

import (
	"strings"
	"testing"

	"github.com/surgewall/surgewall/events"
)

func TestEndpoint(t *testing.T) {
	tests := map[string]struct {
		options Options
		want    endpoint
	}{
		"bare URL": {
			Options{URL: "amqp://127.0.0.1"},
			endpoint{host: "127.0.0.1", address: "127.0.0.1:5672", vhost: "/", username: "guest", password: "guest"},
		},
		"everything in the URL": {
			Options{URL: "amqps://edge:p%2F%40%3As@broker:5999/a%2Fb"},
			endpoint{host: "broker", address: "broker:5999", vhost: "a/b", username: "edge", password: "p/@:s", tls: true},
		},
		"slash alone is the default vhost": {
			Options{URL: "amqp://u:p@broker/"},
			endpoint{host: "broker", address: "broker:5672", vhost: "/", username: "u", password: "p"},
		},
		"fields": {
			Options{Host: "broker", VHost: "v", Username: "edge", PasswordFile: "/secret"},
			endpoint{host: "broker", address: "broker:5672", vhost: "v", username: "edge"},
		},
		"URL without user, user and file apart": {
			Options{URL: "amqp://broker/v", Username: "edge", PasswordFile: "/secret"},
			endpoint{host: "broker", address: "broker:5672", vhost: "v", username: "edge"},
		},
		"IPv6": {
			Options{URL: "amqp://u:p@[::1]:5673"},
			endpoint{host: "::1", address: "[::1]:5673", vhost: "/", username: "u", password: "p"},
		},
		"certificate instead of a password": {
			Options{Host: "broker", Username: "edge", TLS: TLS{Enabled: true, CertFile: "c", KeyFile: "k"}},
			endpoint{host: "broker", address: "broker:5671", vhost: "/", username: "edge", tls: true, external: true},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := test.options.resolve()
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestEndpointRefusals(t *testing.T) {
	tests := map[string]struct {
		options Options
		want    string
	}{
		"nothing":                       {Options{}, "host is empty"},
		"two places":                    {Options{URL: "amqp://a", Host: "b"}, "both set"},
		"two users":                     {Options{URL: "amqp://a:secret@h", Username: "b"}, `"b" contradicts the URL's "a"`},
		"other scheme":                  {Options{URL: "http://u:secret@h"}, "neither amqp:// nor amqps://"},
		"slash in the password":         {Options{URL: "amqp://u:sec/ret@h"}, "cannot be read"},
		"percent sign in the password":  {Options{URL: "amqp://u:secret%zz@h"}, "cannot be read"},
		"digits and a slash in it":      {Options{URL: "amqp://u:12/secret@h"}, "percent-encode / (%2F)"},
		"at sign in the vhost":          {Options{URL: "amqp://u:secret@h/v@w"}, "@ (%40)"},
		"number sign in the password":   {Options{URL: "amqp://u:5672#secret@h"}, "# (%23)"},
		"question mark in the password": {Options{URL: "amqp://u:5672?secret@h"}, "? (%3F)"},
		"query":                         {Options{URL: "amqp://u:secret@h?heartbeat=5"}, "query or a fragment"},
		"port out of range":             {Options{URL: "amqp://h:70000"}, "70000: 1 to 65535"},
		"bare slash in the vhost":       {Options{URL: "amqp://h/a/b"}, "%2F"},
		"no password":                   {Options{Host: "h", Username: "edge"}, `user "edge" has no password`},
		"half a certificate":            {Options{Host: "h", Username: "e", TLS: TLS{Enabled: true, CertFile: "c"}}, "go together"},
		"certificate without TLS":       {Options{Host: "h", Username: "e", TLS: TLS{CAFile: "c"}}, "TLS is not"},
		"certificate of whom":           {Options{Host: "h", TLS: TLS{Enabled: true, CertFile: "c", KeyFile: "k"}}, "username is empty"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := NewPublisher(test.options)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q in it", err, test.want)
			}
			if strings.Contains(err.Error(), "sec") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
}

func TestOptionsOutOfRange(t *testing.T) {
	_, err := NewConsumer(Options{URL: "amqp://h", RingSize: -1, Prefetch: 70000, Heartbeat: 1}, events.ControllerQueue(), nil)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"ring size -1: 1 to", "prefetch 70000: 1 to 65535", "heartbeat 1ns: at least 1s"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
}

func TestPasswordFile(t *testing.T) {
	var e endpoint
	if _, err := e.secret(t.TempDir() + "/absent"); err == nil {
		t.Error("no error for an absent file")
	}
	if _, err := e.secret(writeFile(t, " \n")); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("empty file: %v", err)
	}
	if got, err := e.secret(writeFile(t, "s3cret\n")); err != nil || got != "s3cret" {
		t.Errorf("got %q, %v", got, err)
	}
}

// Whatever the URL, the parser neither panics nor quotes the password.
func FuzzParseURL(f *testing.F) {
	for _, seed := range []string{"pass", "p/w", "p@w", "p#w", "p?w", "p%w", "p%zz", ":", "[", "5672"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, password string) {
		const mark = "tr0ub4dor"
		_, _, err := parseURL("amqp://user:" + mark + password + mark + "@host/v")
		if err != nil && strings.Contains(err.Error(), mark) {
			t.Errorf("the error tells the password: %v", err)
		}
	})
}
