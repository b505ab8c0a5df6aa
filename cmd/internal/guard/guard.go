// Package guard lets those call that have a token.
package guard

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/rs/zerolog"
	"golang.org/x/time/rate"
)

// What is guarded is rare and cheap, but each call is remembered: a runaway caller must not push out what others asked for.
const (
	perSecond = 20
	burst     = 100
)

// maxToken is the longest token in bytes; anything longer is some other file.
const maxToken = 4096

// Guard lets those in who have the token, and not too many of them. It is safe for concurrent use.
type Guard struct {
	file   string
	realm  string
	next   http.Handler
	logger zerolog.Logger
	// Two buckets: strangers must not use up what those with the token may do.
	known, strangers *rate.Limiter
}

// New guards next with the token in a file, which is read at each call. The realm names what is guarded, in the log and in the challenge.
func New(file, realm string, next http.Handler, logger zerolog.Logger) *Guard {
	return &Guard{
		file: file, realm: realm, next: next, logger: logger,
		known: rate.NewLimiter(perSecond, burst), strangers: rate.NewLimiter(perSecond, burst),
	}
}

// ServeHTTP answers 401, 429 or, where the file has no token, 503; next answers all else.
func (g *Guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, err := ReadToken(g.file)
	if err != nil {
		g.refuse(w, r, http.StatusServiceUnavailable, "unavailable", err)
		return
	}
	given, ok := bearer(r.Header)
	// Hashes, since the time of the comparison tells the lengths. Without credentials there is nothing to compare with.
	sum, want := sha256.Sum256(given), sha256.Sum256(token)
	ok = subtle.ConstantTimeCompare(sum[:], want[:]) == 1 && ok
	bucket := g.strangers
	if ok {
		bucket = g.known
	}
	switch {
	case !bucket.Allow():
		w.Header().Set("Retry-After", "1")
		g.refuse(w, r, http.StatusTooManyRequests, "limited", nil)
	case !ok:
		challenge := `Bearer realm="` + g.realm + `"`
		if len(given) > 0 { // RFC 6750 section 3.1: no code for who gave no token
			challenge += `, error="invalid_token"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
		g.refuse(w, r, http.StatusUnauthorized, "unauthorized", nil)
	default:
		g.next.ServeHTTP(w, r)
	}
}

// refuse writes the line of the log that next writes for the calls that it gets. What was asked for is not read from strangers.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, code int, outcome string, err error) {
	g.logger.Warn().Str("outcome", outcome).Str("remote", r.RemoteAddr).Str("realm", g.realm).Err(err).Msg("refused a call")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprintf(w, "{\"error\":%q}\n", outcome)
}

// bearer returns the token of a request with one Authorization field of the scheme Bearer (RFC 6750 section 2.1).
func bearer(h http.Header) ([]byte, bool) {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return nil, false
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return nil, false
	}
	return []byte(strings.Trim(token, " ")), true
}

// ReadToken returns the one line of a file, which no error repeats. A file without a token is an error.
func ReadToken(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxToken+2)) // with the end of the line
	if err != nil {
		return nil, fmt.Errorf("read the token: %w", err)
	}
	token := bytes.TrimRight(text, "\r\n")
	switch {
	case len(token) == 0:
		return nil, errors.New(path + " is empty: want a token")
	case len(token) > maxToken:
		return nil, fmt.Errorf("%s is longer than %d bytes: want a token", path, maxToken)
	case bytes.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }):
		return nil, errors.New(path + " is no token: want one line of printable ASCII without spaces")
	}
	return token, nil
}
