// Package config says what can be set: one type per binary whose fields are the settings with their defaults, and beside it one
// documented YAML file per binary that spells out those defaults.
//
// A setting has one name everywhere: the flag --drain-delay is the key drain-delay of the file and SURGEWALL_DRAIN_DELAY in the
// environment. A flag beats the environment, the environment beats the file, the file beats the default.
package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Error is a setting that is not allowed: its name, the value found, and what would be allowed.
type Error struct{ Key, Value, Want string }

func (e *Error) Error() string {
	return fmt.Sprintf("%s: %q is not allowed: want %s", e.Key, e.Value, e.Want)
}

func between(key string, got, low, high time.Duration) error {
	if got < low || got > high {
		return &Error{key, got.String(), fmt.Sprintf("a duration from %s to %s", low, high)}
	}
	return nil
}

func within(key string, got, low, high int64) error {
	if got < low || got > high {
		return &Error{key, strconv.FormatInt(got, 10), fmt.Sprintf("a number from %d to %d", low, high)}
	}
	return nil
}

func oneOf(key, got string, allowed ...string) error {
	if !slices.Contains(allowed, got) {
		return &Error{key, got, "one of " + strings.Join(allowed, ", ")}
	}
	return nil
}

// listenAddress accepts host:port with a port from 0 to 65535; an empty host is every address of the machine.
func listenAddress(key, got string) error {
	_, port, err := net.SplitHostPort(got)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return &Error{key, got, "an address to listen on, such as 127.0.0.1:8080 or :8080"}
	}
	return nil
}

// dialAddress accepts host:port that can be connected to.
func dialAddress(key, got string) error {
	host, port, err := net.SplitHostPort(got)
	if err == nil && host != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil && n > 0 {
			return nil
		}
	}
	return &Error{key, got, "host:port, such as surgewall-shield:8081"}
}

// serverURL accepts the URL of a server without path, query or user: the request brings those.
func serverURL(key, got string, schemes ...string) error {
	want := strings.Join(schemes, ":// or ") + "://host[:port] without path"
	u, err := url.Parse(got)
	if err != nil || !slices.Contains(schemes, u.Scheme) || u.Hostname() == "" || (u.Path != "" && u.Path != "/") ||
		u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return &Error{key, got, want}
	}
	return nil
}

// dnsLabel accepts what may stand between two dots of a domain name (RFC 1123), or something longer of that form. A fleet and a pod
// are words of routing keys, between which there are dots too.
func dnsLabel(key, got string, longest int) error {
	ok := len(got) >= 1 && len(got) <= longest && got[0] != '-' && got[len(got)-1] != '-'
	for i := 0; ok && i < len(got); i++ {
		c := got[i]
		ok = c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-'
	}
	if !ok {
		return &Error{key, got, fmt.Sprintf("a DNS label: 1 to %d of a-z, 0-9 and -, neither first nor last a -", longest)}
	}
	return nil
}

// token accepts a token of RFC 9110, section 5.6.2.
func token(key, got string, longest int) error {
	ok := len(got) >= 1 && len(got) <= longest
	for i := 0; ok && i < len(got); i++ {
		c := got[i]
		ok = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
	}
	if !ok {
		return &Error{key, got, fmt.Sprintf("a token: 1 to %d letters, digits and !#$%%&'*+-.^_`|~", longest)}
	}
	return nil
}
