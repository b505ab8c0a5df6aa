package rfc9111

import (
	"net/http"
	"testing"
)

func TestOrdinaryRequest(t *testing.T) {
	for _, c := range []struct {
		control      []string
		pragma, want string
	}{
		{nil, "", ""},
		{nil, "no-cache", ""},
		{[]string{"max-age=0"}, "no-cache", ""},
		{[]string{"no-cache", "No-Store"}, "", "no-store"},
		{[]string{"only-if-cached, max-stale=60, min-fresh=3"}, "", "only-if-cached"},
		{[]string{`x="no-cache, no-store", only-if-cached`, "no-store"}, "x", "no-store, only-if-cached"},
		{[]string{"private, invented"}, "", ""},
	} {
		h := http.Header{"Accept": {"*/*"}}
		if c.control != nil {
			h["Cache-Control"] = c.control
		}
		if c.pragma != "" {
			h.Set("Pragma", c.pragma)
		}
		OrdinaryRequest(h)
		if got := h.Get("Cache-Control"); got != c.want || len(h["Cache-Control"]) > 1 || h["Pragma"] != nil || h["Accept"] == nil {
			t.Errorf("%q, %q: %v left, want %q", c.control, c.pragma, h, c.want)
		}
	}
}
