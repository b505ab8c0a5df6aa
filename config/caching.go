package config

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

const (
	maxIgnoreQuery = 200 // names; each is compared with each parameter of a request
	maxQueryName   = 200 // bytes of one name
)

// Caching holds the rules of storing and sharing that an operator may change. The zero value keeps to what responses say.
type Caching struct {
	DefaultTTL         time.Duration // freshness lifetime of responses that state none; default 0: they are not stored
	HeuristicFreshness bool          // a tenth of the time since Last-Modified, for responses that state no lifetime
	ShareSetCookie     bool          // store responses with Set-Cookie and share them
	IgnoreQuery        []string      // query parameters that do not change the response
}

// Bind declares the settings as flags.
func (c *Caching) Bind(fs *pflag.FlagSet) {
	fs.DurationVar(&c.DefaultTTL, "default-ttl", c.DefaultTTL, "freshness `lifetime` of responses that state none; 0 does not store them")
	fs.BoolVar(&c.HeuristicFreshness, "heuristic-freshness", c.HeuristicFreshness,
		"take a tenth of the time since Last-Modified as the lifetime of responses that state none (RFC 9111, section 4.2.2)")
	fs.BoolVar(&c.ShareSetCookie, "share-set-cookie", c.ShareSetCookie, "store responses with Set-Cookie and share them: the cookie of one client reaches others")
	fs.StringSliceVar(&c.IgnoreQuery, "ignore-query", c.IgnoreQuery,
		"`name` of a query parameter that is taken out of the key and of what is forwarded; may be repeated")
}

// Validate reports every setting that is not allowed.
func (c *Caching) Validate() error {
	errs := []error{between("default-ttl", c.DefaultTTL, 0, 365*24*time.Hour)}
	if n := len(c.IgnoreQuery); n > maxIgnoreQuery {
		errs = append(errs, &Error{"ignore-query", strconv.Itoa(n) + " names", "at most " + strconv.Itoa(maxIgnoreQuery) + " names"})
	}
	for _, name := range c.IgnoreQuery {
		errs = append(errs, queryName("ignore-query", name))
	}
	return errors.Join(errs...)
}

// queryName accepts the name of a query parameter as it stands in a URL, escaped if need be. _HLS_* parameters ask for other content, so
// that ignoring them would give players wrong segments.
func queryName(key, got string) error {
	ok := len(got) >= 1 && len(got) <= maxQueryName
	for i := 0; ok && i < len(got); i++ {
		switch c := got[i]; c {
		case '&', '=', '#', '?', '"', '<', '>', '\\', '^', '`', '{', '|', '}':
			ok = false
		default:
			ok = c > ' ' && c < 0x7f
		}
	}
	if !ok || strings.HasPrefix(got, "_HLS_") {
		return &Error{key, got, "the name of a query parameter as in a URL, such as utm_source, 1 to 200 characters, none of _HLS_*"}
	}
	return nil
}
