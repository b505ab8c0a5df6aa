package httpcache

import (
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
	"github.com/surgewall/surgewall/internal/testorigin"
)

// Each host has its own rules and its own key; a host that nothing is said of
// has the options' own.
func TestSitesDiffer(t *testing.T) {
	shop := &Site{Rules: rfc9111.Rules{DefaultLifetime: time.Minute}, IgnoreQuery: []string{"utm"}}
	r := newRig(t, func(o *Options) {
		o.IgnoreQuery = []string{"ad"}
		o.Site = func(host string) *Site {
			if host == "shop.example" {
				return shop
			}
			return nil
		}
	})
	r.origin.Serve("/a", testorigin.Response{Body: []byte("a")})
	for range 2 {
		r.get("/a?utm=1", "Host", "Shop.Example:80")
	}
	if a := r.get("/a?utm=2", "Host", "shop.example"); a.code != 200 {
		t.Errorf("code %d", a.code)
	}
	wantFetches(t, r, "/a", 1)
	if p := r.purge(PurgeURL, "http://shop.example/a?utm=3"); !p.Found {
		t.Error("purge by the site's key found nothing")
	}
	r.get("/a?ad=1", "Host", "news.example")
	r.get("/a?ad=2", "Host", "news.example")
	wantFetches(t, r, "/a", 3)
	for _, q := range r.origin.Requests("/a") {
		if q.Query != "" {
			t.Errorf("the origin got query %q", q.Query)
		}
	}
}
