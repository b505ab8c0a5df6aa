package shield

import (
	"fmt"
	"net/http/httptest"
	"testing"
)

// BenchmarkRoute is what the choice of a site adds to each request: the look-up of this tier and the engine's for the site's rules.
func BenchmarkRoute(b *testing.B) {
	for _, c := range []struct{ name, host string }{{"every", "www.example.org"}, {"exact", "site7.example.org"}, {"wildcard", "a.b.c.cdn.example.org"}, {"spelled", "SITE7.example.org.:80"}} {
		b.Run(c.name, func(b *testing.B) {
			var s Shield
			var hosts []string
			if c.name != "every" {
				for i := range 1000 {
					hosts = append(hosts, fmt.Sprintf("site%d.example.org", i))
				}
				hosts = append(hosts, "*.cdn.example.org")
			}
			var set siteSet
			if err := set.table.add(new(Site), hosts); err != nil {
				b.Fatal(err)
			}
			s.sites.Store(&set)
			r := httptest.NewRequest("GET", "/a", nil)
			r.Host = c.host
			b.ReportAllocs()
			for b.Loop() {
				host, no := s.route(r)
				if no != nil || s.rules(host) == nil {
					b.Fatal("no site")
				}
			}
		})
	}
}
