package cluster

import (
	"fmt"
	"testing"
)

func TestSumMetric(t *testing.T) {
	text := []byte(`# HELP surgewall_requests_total Requests.
# TYPE surgewall_requests_total counter
surgewall_requests_total{cache_status="hit"} 1200
surgewall_requests_total{cache_status="miss"} 34
surgewall_requests_total_other{cache_status="miss"} 5
surgewall_requests 7
`)
	if n, err := SumMetric(text, "surgewall_requests_total"); err != nil || n != 1234 {
		t.Errorf("%d, %v; want 1234", n, err)
	}
	if n, err := SumMetric([]byte("m 2.5e3\n"), "m"); err != nil || n != 2500 {
		t.Errorf("%d, %v; want 2500", n, err)
	}
	for _, bad := range []string{"", "m x\n", "n 1\n"} {
		if n, err := SumMetric([]byte(bad), "m"); err == nil {
			t.Errorf("%q: %d", bad, n)
		}
	}
}

func TestFollowed(t *testing.T) {
	text := "surgewall_content_live %s\nsurgewall_content_offset %s\nsurgewall_content_gaps_total 3\n"
	for _, c := range []struct {
		live, offset string
		want         bool
	}{{"1", "0", true}, {"1", "-1", false}, {"0", "7", false}} {
		f, err := followed("p", fmt.Appendf(nil, text, c.live, c.offset))
		if err != nil || f != (Followed{Pod: "p", Live: c.want, Gaps: 3}) {
			t.Errorf("%+v: %+v, %v", c, f, err)
		}
	}
	if f, err := followed("p", []byte("surgewall_content_live 1\n")); err == nil {
		t.Errorf("%+v from half of the metrics", f)
	}
}

func TestTail(t *testing.T) {
	if got := tail("a\nb\nc\n", 2); got != "b\nc" {
		t.Errorf("%q", got)
	}
	if got := tail("a", 2); got != "a" {
		t.Errorf("%q", got)
	}
}
