package httpcache

import (
	"time"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
)

// Site is what one site changes of a Cache's behaviour. Read-only once returned
// by Options.Site.
type Site struct {
	// Rules are the caching rules. The zero value is safe.
	Rules rfc9111.Rules
	// IgnoreQuery lists query parameters that are taken out of the key and of
	// the request to the upstream, besides CMCD. Exact, case-sensitive names.
	IgnoreQuery []string
	// HeaderTimeout and HeldTimeout take the place of those in Options. Zero: those.
	HeaderTimeout, HeldTimeout time.Duration
}

// site returns what holds for a host in canonical form, never nil.
func (c *Cache) site(host string) *Site {
	if c.opt.Site != nil {
		if s := c.opt.Site(host); s != nil {
			return s
		}
	}
	return &c.everywhere
}

// headerTimeout is how long a request of a site may take to be answered.
func (c *Cache) headerTimeout(s *Site) time.Duration {
	if s.HeaderTimeout > 0 {
		return s.HeaderTimeout
	}
	return c.opt.HeaderTimeout
}

// heldTimeout is the same for one that the origin is meant to hold.
func (c *Cache) heldTimeout(s *Site) time.Duration {
	if s.HeldTimeout > 0 {
		return s.HeldTimeout
	}
	return c.opt.HeldTimeout
}
