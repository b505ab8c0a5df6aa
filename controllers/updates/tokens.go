package updates

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/surgewall/surgewall/events"
)

// Token is one line of the file of tokens: who, by what hash, may do what.
//
//	# name  hash of the token     grants
//	cms     sha256:9f86d081…      host:www.example.com tag:article-*
//	ops     sha256:60303ae2…      all
type Token struct {
	Name   string
	hash   [sha256.Size]byte
	grants []grant
}

// grant is one thing that a token allows: the kind before the colon, and the value behind it.
type grant struct{ kind, value string }

// maxTokens bounds the file; each is compared with at each call.
const maxTokens = 1000

// MaxTokenText bounds the file in bytes.
const MaxTokenText = 1 << 20

// ParseTokens reads a file of tokens. It holds hashes only: a token is random, so that its hash tells nothing about it. The error names the line and
// never repeats a hash.
func ParseTokens(text string) ([]Token, error) {
	var tokens []Token
	names := map[string]bool{}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		t, err := parseToken(fields)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if names[t.Name] {
			return nil, fmt.Errorf("line %d: name %q is there twice", n, t.Name)
		}
		names[t.Name] = true
		if tokens = append(tokens, t); len(tokens) > maxTokens {
			return nil, fmt.Errorf("line %d: at most %d tokens are allowed", n, maxTokens)
		}
	}
	if len(tokens) == 0 {
		return nil, errors.New("no token is in it: want lines of a name, sha256:<64 hexadecimal digits> and grants")
	}
	return tokens, nil
}

func parseToken(fields []string) (Token, error) {
	if err := events.CheckContentID(fields[0]); err != nil {
		return Token{}, fmt.Errorf("name: %w", err)
	}
	t := Token{Name: fields[0]}
	if len(fields) < 3 {
		return t, fmt.Errorf("token %s: want a name, sha256:<64 hexadecimal digits> and at least one grant", t.Name)
	}
	digits, ok := strings.CutPrefix(fields[1], "sha256:")
	sum, err := hex.DecodeString(digits)
	if !ok || err != nil || len(sum) != sha256.Size {
		return t, fmt.Errorf("token %s: its hash is not sha256:<64 hexadecimal digits>; a token itself has no place here", t.Name)
	}
	t.hash = [sha256.Size]byte(sum)
	for _, field := range fields[2:] {
		g, err := parseGrant(field)
		if err != nil {
			return t, fmt.Errorf("token %s: %w", t.Name, err)
		}
		t.grants = append(t.grants, g)
	}
	return t, nil
}

func parseGrant(text string) (grant, error) {
	kind, value, _ := strings.Cut(text, ":")
	g := grant{kind, value}
	switch kind {
	case "all":
		if value == "" && text == "all" {
			return g, nil
		}
	case "host":
		if g.value = hostOf(value); g.value != "" && !strings.ContainsAny(g.value, "/*?@") {
			return g, nil
		}
	case "prefix":
		u, err := url.Parse(value)
		if err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && strings.HasPrefix(u.EscapedPath(), "/") && u.User == nil && u.RawQuery == "" && u.Fragment == "" {
			g.value = hostOf(u.Host) + u.EscapedPath()
			return g, nil
		}
	case "tag":
		if value != "" && !strings.Contains(strings.TrimSuffix(value, "*"), "*") {
			return g, nil
		}
	}
	return g, fmt.Errorf("grant %q: all, host:<host>, prefix:<URL with a path>, tag:<tag> and tag:<beginning>* are allowed", text)
}

// Hash returns what the file says of a token.
func Hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// find returns the token that was given, nil for none. It looks at all of them whichever it is.
func find(tokens []Token, given string) (found *Token) {
	sum := sha256.Sum256([]byte(given))
	for i := range tokens {
		if subtle.ConstantTimeCompare(sum[:], tokens[i].hash[:]) == 1 {
			found = &tokens[i]
		}
	}
	return found
}

// All reports whether the token may do everything.
func (t *Token) All() bool {
	for _, g := range t.grants {
		if g.kind == "all" {
			return true
		}
	}
	return false
}

// Allows says why the token does not allow an update that is within the contract, nil if it does.
func (t *Token) Allows(c *events.Content) error {
	if t.All() {
		return nil
	}
	if c.Scope == events.ScopeAll {
		return fmt.Errorf("token %s may not purge everything: that takes the grant all", t.Name)
	}
	for _, value := range c.Values {
		if !t.allows(c, value) {
			return fmt.Errorf("token %s may not %s %s %q", t.Name, c.Action, c.Scope, value)
		}
	}
	return nil
}

func (t *Token) allows(c *events.Content, value string) bool {
	host, path := c.Host, ""
	switch c.Scope {
	case events.ScopeHost:
		host = value
	case events.ScopeURL, events.ScopePrefix:
		u, err := url.Parse(value)
		if err != nil {
			return false
		}
		host, path = u.Host, u.EscapedPath()
		if path == "" {
			path = "/"
		}
	}
	if host != "" {
		host = hostOf(host)
	}
	for _, g := range t.grants {
		switch g.kind {
		case "host":
			if host != "" && g.value == host {
				return true
			}
		case "prefix":
			// What an origin may take for another path than it seems to be is not below any.
			if path != "" && strings.HasPrefix(host+path, g.value) && !climbs(path) {
				return true
			}
		case "tag":
			beginning, many := strings.CutSuffix(g.value, "*")
			if c.Scope == events.ScopeTag && (value == g.value || many && strings.HasPrefix(value, beginning)) {
				return true
			}
		}
	}
	return false
}

// climbs reports whether a path has a segment that leads upwards, however it is written.
func climbs(path string) bool {
	plain, err := url.PathUnescape(path)
	return err != nil || strings.Contains(plain, "..") || strings.Contains(plain, `\`)
}

// hostOf is a host in the one form in which hosts are compared here.
func hostOf(host string) string {
	host = strings.ToLower(host)
	host = strings.TrimSuffix(strings.TrimSuffix(host, ":80"), ":443")
	return strings.TrimSuffix(host, ".")
}
