package tier_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/cmd/internal/tier"
	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/framing"
	"github.com/surgewall/surgewall/internal/httpcache"
	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
	"github.com/surgewall/surgewall/internal/httpcache/store"
	"github.com/surgewall/surgewall/internal/telemetry"
)

func TestNames(t *testing.T) {
	for text, want := range map[string][2]string{
		"http://Origin.example":       {"Origin.example:80", "origin.example"},
		"https://origin.example":      {"origin.example:443", "origin.example"},
		"http://127.0.0.1:8000":       {"127.0.0.1:8000", "127.0.0.1"},
		"http://[::1]:8000":           {"[::1]:8000", "origin"},
		"http://under_score.internal": {"under_score.internal:80", "origin"},
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if address, site := tier.HostPort(u), tier.Site(u); address != want[0] || site != want[1] {
			t.Errorf("%s is at %s and called %s, want %v", text, address, site, want)
		}
	}
	if pod := tier.Pod(""); events.CheckPod(pod) != nil || tier.Pod("edge-7") != "edge-7" {
		t.Errorf("this host is called %q", pod)
	}
	boot := tier.NewBootID()
	life, err := events.EncodeLife(events.Attributes{Source: events.Source("edge", "a"), BootID: boot, Seq: 1}, events.Life{State: events.LifeReady})
	if err != nil || boot == tier.NewBootID() {
		t.Errorf("boot id %s in %v: %v", boot, life, err)
	}
}

// TestCDNID: replicas are told their upstreams in any order; whatever else differs is another installation.
func TestCDNID(t *testing.T) {
	if id := tier.CDNID("cdn.example", "edge", "edge", "http://a"); id != "cdn.example" {
		t.Errorf("configured, it is %q", id)
	}
	id := tier.CDNID("", "edge", "edge", "http://a", "http://b")
	if again := tier.CDNID("", "edge", "edge", "http://b", "http://a"); again != id || !rfc9111.IsToken(id) || !strings.HasPrefix(id, "edge-") {
		t.Errorf("replicas have %q and %q", id, again)
	}
	for _, other := range []string{
		tier.CDNID("", "shield", "edge", "http://a", "http://b"), tier.CDNID("", "edge", "sports", "http://a", "http://b"),
		tier.CDNID("", "edge", "edge", "http://a"), tier.CDNID("", "edge", "edge", "http://a", "http://c"),
	} {
		if other == id {
			t.Errorf("another installation has %q too", id)
		}
	}
}

func TestRequestsAreCountedByStatusAndClass(t *testing.T) {
	registry := telemetry.NewRegistry("edge", "test")
	m := tier.NewMetrics(registry, store.NewMemory(1<<20))
	for _, o := range []httpcache.Outcome{
		{Status: httpcache.StatusHit, Code: 200, BytesOut: 10, TTFB: time.Millisecond},
		{Status: httpcache.StatusHit, Code: 304},
		{Status: httpcache.StatusError, Code: 502, Aborted: true},
		{Status: httpcache.StatusMiss, Code: 0},
		{Status: httpcache.StatusMiss, Code: 700},
	} {
		m.Observe(o)
	}
	m.Refuse(framing.LengthAndEncoding)
	w := httptest.NewRecorder()
	registry.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	for _, line := range []string{
		`surgewall_requests_total{cache_status="hit",code="2xx"} 1`, `surgewall_requests_total{cache_status="hit",code="3xx"} 1`,
		`surgewall_requests_total{cache_status="error",code="5xx"} 1`, `surgewall_requests_total{cache_status="miss",code="none"} 2`,
		`surgewall_requests_total{cache_status="shed",code="2xx"} 0`, `surgewall_requests_aborted_total 1`, `surgewall_response_bytes_total 10`,
		`surgewall_requests_refused_total{reason="length-and-encoding"} 1`, `surgewall_requests_refused_total{reason="bare-lf"} 0`,
		`surgewall_time_to_first_byte_seconds_count 1`, `surgewall_store_bytes{what="limit"} 1.048576e+06`,
	} {
		if !strings.Contains(w.Body.String(), line+"\n") {
			t.Errorf("%q is missing", line)
		}
	}
}
