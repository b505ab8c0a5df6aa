package httpcache

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
)

// PurgeScope says what the value of a PurgeRequest names.
type PurgeScope string

const (
	// PurgeURL is one absolute URL with all its variants.
	PurgeURL PurgeScope = "url"
	// PurgePrefix is every URL that begins with an absolute URL, byte for byte:
	// /news reaches /newspaper too, /news/ does not.
	PurgePrefix PurgeScope = "prefix"
	// PurgeHost is every URL of a host, written with its port unless that is
	// the scheme's default.
	PurgeHost PurgeScope = "host"
	// PurgeTag is every response with a tag (see rfc9111.Tags), on every host
	// or on one.
	PurgeTag PurgeScope = "tag"
	// PurgeGroup is every response of a host in a group (RFC 9875).
	PurgeGroup PurgeScope = "group"
	// PurgeEverything is the whole cache.
	PurgeEverything PurgeScope = "all"
)

// PurgeMode says what a purge leaves of the responses that it reaches.
type PurgeMode string

const (
	// PurgeHard makes them unusable.
	PurgeHard PurgeMode = "hard"
	// PurgeInvalidate keeps them for validation only (RFC 9111 section 4.4).
	PurgeInvalidate PurgeMode = "invalidate"
	// PurgeSoft makes them stale: they are validated, and meanwhile or on
	// failure served as far as they allow it (RFC 5861).
	PurgeSoft PurgeMode = "soft"
)

// PurgeRequest is one purge. A URL, prefix or host is meant for http and https
// alike.
type PurgeRequest struct {
	Scope PurgeScope `json:"scope"`
	Value string     `json:"value,omitempty"` // empty for PurgeEverything only
	// Host narrows PurgeTag to one host, written as for PurgeHost; PurgeGroup
	// needs it.
	Host string    `json:"host,omitempty"`
	Mode PurgeMode `json:"mode,omitempty"` // empty: PurgeHard
}

// Purged is what came of a purge.
type Purged struct {
	// Number counts the purges of this cache; one of a single URL that is hard
	// has no number of its own.
	Number uint64 `json:"number"`
	// Found reports, for a hard purge of a URL, whether anything was stored.
	Found bool `json:"found"`
}

// maxPurgeValue bounds what a purge names, in bytes.
const maxPurgeValue = 8 << 10

// Purge makes stored responses, and those whose fetch has begun, unusable or
// stale. When it returns, no request that comes later gets one of them as
// fresh; requests that wait for such a fetch already still get it. It costs
// the same however many responses it reaches. The error says what is wrong
// with the request.
func (c *Cache) Purge(p PurgeRequest) (Purged, error) {
	if p.Mode == "" {
		p.Mode = PurgeHard
	}
	if err := p.check(); err != nil {
		return Purged{}, fmt.Errorf("purge: %w", err)
	}
	now := c.opt.Now()
	switch p.Scope {
	case PurgeEverything:
		return Purged{Number: c.purges.purgeAll(p.Mode, now)}, nil
	case PurgeTag:
		label := labelOf(labelTag, p.Value)
		if p.Host == "" {
			return Purged{Number: c.purges.purgeMembers(p.Mode, now, label)}, nil
		}
		return Purged{Number: c.purgeOn(p.Mode, p.Host, label)}, nil
	case PurgeGroup:
		return Purged{Number: c.purgeOn(p.Mode, p.Host, labelOf(labelGroup, p.Value))}, nil
	case PurgeHost:
		var labels []uint64
		for _, host := range canonicalHosts(p.Value) {
			labels = append(labels, labelOf(labelHost, host))
		}
		return Purged{Number: c.purges.purgeLabels(p.Mode, now, labels...)}, nil
	}
	u, err := absolute(p.Value)
	if err != nil {
		return Purged{}, fmt.Errorf("purge: %w", err)
	}
	if p.Scope == PurgePrefix {
		if u.RawQuery != "" || u.ForceQuery {
			return Purged{}, fmt.Errorf("purge: value %q: a prefix has no query", p.Value)
		}
		return Purged{Number: c.purges.purgePrefix(p.Mode, now, u.Host+u.EscapedPath())}, nil
	}
	return c.purgeURL(u, p.Mode), nil
}

// purgeURL deletes a hard purged URL rather than remember it: there may be any
// number of these.
func (c *Cache) purgeURL(u *url.URL, mode PurgeMode) (p Purged) {
	query := rfc9111.CleanQuery(u.RawQuery, c.site(u.Host).IgnoreQuery)
	if mode != PurgeHard {
		label := labelOf(labelURL, schemeless(rfc9111.Key(u.Scheme, u.Host, u.EscapedPath(), query)))
		p.Number = c.purges.purgeLabels(mode, c.opt.Now(), label)
		return p
	}
	for _, scheme := range []string{"http", "https"} {
		p.Found = c.purge(rfc9111.Key(scheme, u.Host, u.EscapedPath(), query)) || p.Found
	}
	return p
}

// purgeOn purges what one host has under label.
func (c *Cache) purgeOn(mode PurgeMode, host string, label uint64) uint64 {
	var labels []uint64
	for _, h := range canonicalHosts(host) {
		labels = append(labels, within(labelOf(labelHost, h), label))
	}
	return c.purges.purgeMembers(mode, c.opt.Now(), labels...)
}

// check names the field that is wrong.
func (p *PurgeRequest) check() error {
	switch p.Mode {
	case PurgeHard, PurgeInvalidate, PurgeSoft:
	default:
		return fmt.Errorf("mode %q: want hard, invalidate or soft", p.Mode)
	}
	switch p.Scope {
	case PurgeURL, PurgePrefix, PurgeHost, PurgeTag, PurgeGroup, PurgeEverything:
	default:
		return fmt.Errorf("scope %q: want url, prefix, host, tag, group or all", p.Scope)
	}
	switch {
	case len(p.Value) > maxPurgeValue:
		return fmt.Errorf("value of %d bytes: want at most %d", len(p.Value), maxPurgeValue)
	case p.Scope == PurgeEverything && p.Value != "":
		return fmt.Errorf("value %q: scope all has none", p.Value)
	case p.Scope != PurgeEverything && p.Value == "":
		return errors.New("value is empty")
	case p.Host != "" && p.Scope != PurgeTag && p.Scope != PurgeGroup:
		return fmt.Errorf("host %q: only scopes tag and group have one", p.Host)
	case p.Host != "" && canonicalHosts(p.Host) == nil:
		return fmt.Errorf("host %q: want a host, with its port unless that is the default", p.Host)
	case p.Host == "" && p.Scope == PurgeGroup:
		return errors.New("host is empty: a group belongs to one")
	case p.Scope == PurgeHost && canonicalHosts(p.Value) == nil:
		return fmt.Errorf("value %q: want a host, with its port unless that is the default", p.Value)
	}
	return nil
}

// absolute reads an absolute http or https URL; its host is canonical and its
// path not empty.
func absolute(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("value: %w", err)
	}
	host, ok := rfc9111.CanonicalHost(u.Scheme, u.Host)
	if u.Scheme != "http" && u.Scheme != "https" || !ok || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("value %q: want an absolute http or https URL without user or fragment", raw)
	}
	u.Host = host
	if u.Path == "" {
		u.Path = "/"
	}
	return u, nil
}

// canonicalHosts is host as it stands in the keys of either scheme: one
// string, or two where the port is one scheme's default; nil for what is no host.
func canonicalHosts(host string) []string {
	a, ok := rfc9111.CanonicalHost("http", host)
	if !ok {
		return nil
	}
	b, _ := rfc9111.CanonicalHost("https", host)
	if a == b || b == "" {
		return []string{a}
	}
	return []string{a, b}
}

// maxLabels bounds the tags and groups that are kept of a response. One with
// more is validated after each purge of any tag or group.
const maxLabels = 256

// labels are what purges by tag and group will know a response of host by.
func labels(host string, h http.Header) []uint64 {
	tags, groups := rfc9111.Tags(h), rfc9111.Groups(h)
	if len(tags)+len(groups) == 0 {
		return nil
	}
	if len(tags)+len(groups) > maxLabels {
		return []uint64{labelMany}
	}
	out := make([]uint64, 0, len(tags)+len(groups))
	for _, tag := range tags {
		out = append(out, labelOf(labelTag, tag))
	}
	for _, group := range groups {
		out = append(out, within(labelOf(labelHost, host), labelOf(labelGroup, group)))
	}
	return out
}

// invalidate does what a response to an unsafe request asks for (RFC 9111
// section 4.4, RFC 9875 section 3).
func (x *exchange) invalidate(status int, h http.Header) {
	for _, u := range rfc9111.Invalidates(x.r.Method, x.target.absolute(), status, h) {
		path := u.EscapedPath()
		if path == "" {
			path = "/"
		}
		// Deleted, not remembered: clients choose how many there are.
		x.c.purge(rfc9111.Key(u.Scheme, x.target.host, path, rfc9111.CleanQuery(u.RawQuery, x.site.IgnoreQuery)))
	}
	for _, group := range rfc9111.InvalidatedGroups(x.r.Method, h) {
		x.c.purgeOn(PurgeInvalidate, x.target.host, labelOf(labelGroup, group))
	}
}
