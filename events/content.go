package events

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// TypeContent is the CloudEvents type of Content.
const TypeContent = "io.surgewall.content.v1"

// ContentAction is what is to be done with content. It is the first word of the routing key.
type ContentAction string

// The actions. Purges go to the stream that every edge and shield reads, prefetches to the queue of work that shields share.
const (
	// ContentPurge makes stored responses unusable.
	ContentPurge ContentAction = "purge"
	// ContentSoft makes them stale: they are validated, and meanwhile or on failure served as far as they allow it.
	ContentSoft ContentAction = "soft"
	// ContentPrefetch fetches a URL into the shield that ranks first for it.
	ContentPrefetch ContentAction = "prefetch"
)

// ContentScope says what the values of a Content name.
type ContentScope string

// The scopes.
const (
	// ScopeURL: absolute URLs with all their variants. The only scope of a prefetch.
	ScopeURL ContentScope = "url"
	// ScopePrefix: every URL that begins with an absolute URL without query.
	ScopePrefix ContentScope = "prefix"
	// ScopeHost: every URL of a host, which is written with its port unless that is the default.
	ScopeHost ContentScope = "host"
	// ScopeTag: every response with a tag, on every host or on Host.
	ScopeTag ContentScope = "tag"
	// ScopeGroup: every response of Host in a cache group (RFC 9875).
	ScopeGroup ContentScope = "group"
	// ScopeAll: everything.
	ScopeAll ContentScope = "all"
)

const (
	// MaxContentID bounds the id of a content update in bytes. It is shorter than other ids: one word of a URL's path.
	MaxContentID = 64
	// MaxContentValues bounds how many things one event names.
	MaxContentValues = 64
	// MaxContentValue bounds one of them in bytes, maxContentBytes all of them: written as JSON they fit into MaxBody whatever they are.
	MaxContentValue = 8 << 10
	maxContentBytes = 16 << 10
	// MaxPrincipal bounds the name of who asked.
	MaxPrincipal = 64
)

// Content asks for an update of content. Its CloudEvents id makes it idempotent: who sees an id again, with the same body, does nothing.
type Content struct {
	Action ContentAction `json:"action"`
	Scope  ContentScope  `json:"scope"`
	// Values are what is meant, all of one host where the scope has hosts; empty for ScopeAll only.
	Values []string `json:"values,omitempty"`
	// Host narrows ScopeTag to one host; ScopeGroup needs it.
	Host string `json:"host,omitempty"`
	// Principal is who asked, Reason why; both for people.
	Principal string `json:"principal"`
	Reason    string `json:"reason,omitempty"`
}

func (*Content) eventType() string { return TypeContent }

func (c *Content) address(Sender) (exchange, key string) {
	return ExchangeContent, string(c.Action) + "." + c.Site()
}

// Site is the host that the update is about as words of a routing key: "all" where it is about every host, "other" where the host cannot be
// such words, as an IPv6 address cannot.
func (c *Content) Site() string {
	host := c.Host
	switch {
	case host != "" || len(c.Values) == 0:
	case c.Scope == ScopeHost:
		host = c.Values[0]
	case c.Scope == ScopeURL || c.Scope == ScopePrefix:
		if u, err := url.Parse(c.Values[0]); err == nil {
			host = u.Host
		}
	}
	return siteOf(host)
}

func siteOf(host string) string {
	if host == "" {
		return "all"
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host = strings.ToLower(strings.TrimSuffix(host, ".")); CheckSite(host) != nil {
		return "other"
	}
	return host
}

// Check says what is outside the contract, as Encode and Decode do.
func (c *Content) Check() error { return c.validate() }

func (c *Content) validate() error {
	switch c.Action {
	case ContentPurge, ContentSoft:
	case ContentPrefetch:
		if c.Scope != ScopeURL {
			return fmt.Errorf("scope %q: url is allowed with a prefetch", clip(string(c.Scope)))
		}
	default:
		return fmt.Errorf("action %q: purge, soft and prefetch are allowed", clip(string(c.Action)))
	}
	if c.Principal == "" {
		return errors.New("principal is missing")
	}
	return all(
		c.validateScope(),
		text("principal", c.Principal, MaxPrincipal), text("reason", c.Reason, MaxReason),
	)
}

func (c *Content) validateScope() error {
	switch c.Scope {
	case ScopeAll:
		if len(c.Values) > 0 || c.Host != "" {
			return errors.New("values: scope all has none")
		}
		return nil
	case ScopeURL, ScopePrefix, ScopeHost, ScopeTag, ScopeGroup:
	default:
		return fmt.Errorf("scope %q: url, prefix, host, tag, group and all are allowed", clip(string(c.Scope)))
	}
	narrow := c.Scope == ScopeTag || c.Scope == ScopeGroup
	switch {
	case c.Host != "" && !narrow:
		return fmt.Errorf("host %q: only scopes tag and group have one", clip(c.Host))
	case c.Host == "" && c.Scope == ScopeGroup:
		return errors.New("host is missing: a group belongs to one")
	case len(c.Values) == 0 || len(c.Values) > MaxContentValues:
		return fmt.Errorf("%d values: 1 to %d are allowed", len(c.Values), MaxContentValues)
	}
	if c.Host != "" {
		if err := checkHost("host", c.Host); err != nil {
			return err
		}
	}
	total := 0
	for i, value := range c.Values {
		field := fmt.Sprintf("value %d", i+1)
		total += len(value)
		if err := c.checkValue(field, value); err != nil {
			return err
		}
		if one := (&Content{Scope: c.Scope, Values: c.Values[i : i+1]}).Site(); !narrow && one != c.Site() {
			return fmt.Errorf("%s is of host %s, the first is of %s: one update has values of one host", field, clip(one), clip(c.Site()))
		}
	}
	if total > maxContentBytes {
		return fmt.Errorf("values have %d bytes together, at most %d are allowed", total, maxContentBytes)
	}
	return nil
}

func (c *Content) checkValue(field, value string) error {
	if value == "" {
		return fmt.Errorf("%s is empty", field)
	}
	if err := text(field, value, MaxContentValue); err != nil {
		return err
	}
	switch c.Scope {
	case ScopeURL, ScopePrefix:
		u, err := url.Parse(value)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" || u.Opaque != "" {
			return fmt.Errorf("%s %q: absolute http and https URLs without user or fragment are allowed", field, clip(value))
		}
		if c.Scope == ScopePrefix && (u.RawQuery != "" || u.ForceQuery) {
			return fmt.Errorf("%s %q: a prefix has no query", field, clip(value))
		}
		return checkHost(field, u.Host)
	case ScopeHost:
		return checkHost(field, value)
	}
	return nil
}

// checkHost accepts what can stand in a URL between // and the path.
func checkHost(field, host string) error {
	if len(host) > 300 || strings.ContainsAny(host, "/?#@\\ %<>\"^`{|}") {
		return fmt.Errorf("%s %q: a host is allowed, with its port unless that is the default", field, clip(host))
	}
	u, err := url.Parse("http://" + host + "/")
	if err != nil || u.Host != host || u.Hostname() == "" {
		return fmt.Errorf("%s %q: a host is allowed, with its port unless that is the default", field, clip(host))
	}
	return nil
}

// CheckContentID says what is wrong with the id of a content update: 1 to MaxContentID of A-Z, a-z, 0-9, '.', '_' and '-', the first a letter or
// a digit, so that it can stand in a path, on a command line and in a log as it is.
func CheckContentID(id string) error {
	if id == "" || len(id) > MaxContentID {
		return fmt.Errorf("id %q has %d characters, 1 to %d are allowed", clip(id), len(id), MaxContentID)
	}
	for i := range len(id) {
		c := id[i]
		if letter := c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9'; !letter && (i == 0 || c != '.' && c != '_' && c != '-') {
			return fmt.Errorf("id %q: only A-Z, a-z, 0-9 and inner . _ - are allowed", clip(id))
		}
	}
	return nil
}
