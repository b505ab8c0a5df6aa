package shield

import (
	"fmt"
	"strings"
)

// table maps hosts to sites. An exact host beats a wildcard, a longer wildcard beats a shorter one, so that the order of the sites says
// nothing. It is immutable once built, and then safe for concurrent use.
type table[S any] struct {
	every *S            // the one site of every host, if there is one
	exact map[string]*S // by normal host
	wild  map[string]*S // by what stands after "*."
}

// add gives the hosts to a site. None means every host, of which no other site may have any.
func (t *table[S]) add(site *S, hosts []string) error {
	if t.every != nil || len(hosts) == 0 && len(t.exact)+len(t.wild) > 0 {
		return fmt.Errorf("a site without hosts takes every host: it has to be the only one")
	}
	if len(hosts) == 0 {
		t.every = site
		return nil
	}
	if t.exact == nil {
		t.exact, t.wild = map[string]*S{}, map[string]*S{}
	}
	for _, pattern := range hosts {
		in, host := t.exact, pattern
		if suffix, ok := strings.CutPrefix(pattern, "*."); ok {
			in, host = t.wild, suffix
		}
		normal, ok := normalHost(host)
		if !ok {
			return fmt.Errorf("host %q: want a host such as www.example.org, or *.example.org for all below example.org", pattern)
		}
		if in[normal] != nil {
			return fmt.Errorf("host %q is given twice", pattern)
		}
		in[normal] = site
	}
	return nil
}

// find returns the site of a normal host, nil if there is none. A wildcard stands for one or more labels: *.example.org is a.example.org
// and a.b.example.org, but neither example.org nor any other port than its own.
func (t *table[S]) find(host string) *S {
	if t.every != nil {
		return t.every
	}
	if site := t.exact[host]; site != nil {
		return site
	}
	if len(t.wild) == 0 || strings.HasPrefix(host, "[") {
		return nil
	}
	for rest := host; ; {
		i := strings.IndexByte(rest, '.')
		if i < 0 {
			return nil
		}
		rest = rest[i+1:]
		if site := t.wild[rest]; site != nil {
			return site
		}
	}
}
