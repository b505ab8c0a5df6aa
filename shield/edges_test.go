package shield

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/internal/edgeauth"
	"github.com/surgewall/surgewall/internal/httpcache/store"
	"github.com/surgewall/surgewall/internal/testorigin"
)

// knows takes the proof for granted: what it is worth is edgeauth's matter.
func knows(r *http.Request) (string, bool) {
	edge := r.Header.Get(edgeauth.Field)
	return edge, edge == "good"
}

func edgesOf(t *testing.T, change func(*Options)) (*testorigin.Origin, *Shield) {
	t.Helper()
	origin := testorigin.New(t)
	origin.Serve("/a", fresh("a"))
	o := Options{
		Sites: []SiteOptions{{Name: "origin", Origins: base(t, origin.URL()), Trusted: true, KeepHost: true}}, Store: store.NewMemory(1 << 20), Logger: zerolog.Nop(),
	}
	change(&o)
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return origin, s
}

func ask(s *Shield, fields ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/a", nil)
	for i := 0; i < len(fields); i += 2 {
		if fields[i+1] != "" {
			r.Header.Set(fields[i], fields[i+1])
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// TestOnlyEdgesAskForMore: the same request reaches the origin from an edge, and is answered from the store for everybody else.
func TestOnlyEdgesAskForMore(t *testing.T) {
	for _, c := range []struct {
		policy  func(*Options)
		proof   string
		header  string
		code    int
		fetches int
	}{
		{func(*Options) {}, "good", "no-cache", 200, 1}, // off: nobody is an edge
		{func(o *Options) { o.Authenticate = knows }, "good", "no-cache", 200, 2},
		{func(o *Options) { o.Authenticate = knows }, "good", "max-age=0", 200, 2},
		{func(o *Options) { o.Authenticate = knows }, "good", "max-age=30", 200, 1},
		{func(o *Options) { o.Authenticate = knows }, "good", "", 200, 1},
		{func(o *Options) { o.Authenticate = knows }, "forged", "no-cache", 200, 1},
		{func(o *Options) { o.Authenticate = knows }, "", "no-cache", 200, 1},
		{func(o *Options) { o.Authenticate = knows }, "", "max-age=0, min-fresh=99", 200, 1},
		{func(o *Options) { o.Authenticate, o.EdgesOnly = knows, true }, "good", "no-cache", 200, 2},
		{func(o *Options) { o.Authenticate, o.EdgesOnly = knows, true }, "forged", "no-cache", 403, 1},
		{func(o *Options) { o.Authenticate, o.EdgesOnly = knows, true }, "", "", 403, 1},
	} {
		origin, s := edgesOf(t, c.policy)
		// Until it comes from the store: who joins the fetch that fills it has not asked for more.
		for filled := false; !filled; {
			got := ask(s, edgeauth.Field, "good")
			if got.Code != 200 {
				t.Fatalf("filling it: %d", got.Code)
			}
			filled = strings.Contains(got.Header().Get("Cache-Status"), "; hit")
		}
		got := ask(s, edgeauth.Field, c.proof, "Cache-Control", c.header)
		if got.Code != c.code || origin.Count("/a") != c.fetches {
			t.Errorf("%q with %q: %d after %d fetches, want %d after %d", c.proof, c.header, got.Code, origin.Count("/a"), c.code, c.fetches)
		}
		if got.Code == 403 && (got.Header().Get("Cache-Status") != edgeauth.RefusedStatus || got.Header().Get("Cache-Control") != "no-store") {
			t.Errorf("a refusal that edges do not know: %v", got.Header())
		}
		for _, seen := range origin.Requests("/a") {
			if seen.Header.Get(edgeauth.Field) != "" {
				t.Errorf("the origin got the proof %q", seen.Header.Get(edgeauth.Field))
			}
		}
	}
}

func TestEdgesOnlyNeedsAWayToKnowThem(t *testing.T) {
	u := &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	_, err := New(Options{
		Sites: []SiteOptions{{Name: "origin", Origins: []*url.URL{u}, Trusted: true}}, Store: store.NewMemory(1 << 20), EdgesOnly: true, Logger: zerolog.Nop(),
	})
	if err == nil {
		t.Error("a shield that refuses everybody is made")
	}
}
