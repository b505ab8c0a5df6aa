package edge

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/internal/edgeauth"
	"github.com/surgewall/surgewall/internal/httpcache/store"
)

// transport answers requests as the test says.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func reply(code int, status ...string) *http.Response {
	h := http.Header{"Cache-Control": {"max-age=60"}}
	if len(status) > 0 {
		h["Cache-Status"] = status
	}
	return &http.Response{StatusCode: code, Header: h, Body: io.NopCloser(strings.NewReader("x")), ContentLength: 1, ProtoMajor: 1, ProtoMinor: 1}
}

// TestClientsCannotAskForMore: what reaches the shields is what the policy leaves of a client's wishes, on each way through the engine, and
// never a proof of the client's own.
func TestClientsCannotAskForMore(t *testing.T) {
	for _, c := range []struct {
		what   string
		honour bool
		method, condition, field, value,
		want string // Cache-Control at the shield
	}{
		{"a reload", false, "GET", "", "Cache-Control", "no-cache", ""},
		{"a reload of old", false, "GET", "", "Pragma", "no-cache", ""},
		{"a reload, honoured", true, "GET", "", "Cache-Control", "no-cache", "no-cache"},
		{"a condition, which is passed on", false, "GET", "If-Match", "Cache-Control", "no-cache, no-store", "no-store"},
		{"a condition, honoured", true, "GET", "If-Match", "Cache-Control", "no-cache, no-store", "no-cache, no-store"},
		{"a POST is the origin's business", false, "POST", "", "Cache-Control", "no-cache", "no-cache"},
		{"a forged proof", false, "GET", "", edgeauth.Field, `"/edge/a";created=1;mac=:x:`, ""},
		{"a forged proof that is passed on", false, "POST", "", edgeauth.Field, `"/edge/a";created=1;mac=:x:`, ""},
	} {
		for _, signs := range []bool{true, false} {
			var sent []*http.Request
			o := UpstreamOptions{Members: func() []string { return shields }, Transport: transport(func(r *http.Request) (*http.Response, error) {
				sent = append(sent, r)
				return reply(200), nil
			})}
			if signs {
				o.Sign = func(r *http.Request) string { return "signed " + r.Method + " " + r.Host + r.URL.RequestURI() }
			}
			e, err := New(Options{
				Upstream: NewUpstream(o), Store: store.NewMemory(1 << 20), Meter: NewMeter(), Connections: NewConnections(0), HonourClients: c.honour, Logger: zerolog.Nop(),
			})
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest(c.method, "/a?b=1", nil)
			r.Host = "video.example"
			r.Header.Set(c.field, c.value)
			if c.condition != "" {
				r.Header.Set(c.condition, `"etag"`)
			}
			w := httptest.NewRecorder()
			e.ServeHTTP(w, r)
			if err := e.Close(context.Background()); err != nil {
				t.Error(err)
			}
			if len(sent) != 1 {
				t.Fatalf("%s: %d requests at the shields, answered %d", c.what, len(sent), w.Code)
			}
			want := []string(nil)
			if signs {
				want = []string{"signed " + c.method + " video.example/a?b=1"}
			}
			if got := sent[0].Header; got.Get("Cache-Control") != c.want || !slices.Equal(got[edgeauth.Field], want) || got.Get("Pragma") != "" {
				t.Errorf("%s: the shield gets %v", c.what, got)
			}
		}
	}
}

// TestAShieldThatKnowsNoEdgeIsAsOneThatIsAway: keys reach shields one after the other.
func TestAShieldThatKnowsNoEdgeIsAsOneThatIsAway(t *testing.T) {
	for _, c := range []struct {
		what    string
		method  string
		body    io.Reader
		knows   []bool // by rank
		code    int
		asked   int
		refused uint64
	}{
		{"the first does not", "GET", nil, []bool{false, true, true}, 200, 2, 1},
		{"none does", "GET", nil, []bool{false, false, false}, 0, 3, 3},
		{"a body cannot be sent again", "POST", strings.NewReader("x"), []bool{false, true, true}, 0, 1, 1},
	} {
		order, asked := ranked("video.example/a"), 0
		u := NewUpstream(UpstreamOptions{
			Members: func() []string { return shields }, Sign: func(*http.Request) string { return "signed" },
			Transport: transport(func(r *http.Request) (*http.Response, error) {
				asked++
				if c.knows[slices.Index(order, r.URL.Host)] {
					return reply(200), nil
				}
				return reply(403, edgeauth.RefusedStatus), nil
			}),
		})
		response, err := u.RoundTrip(request(c.method, "/a", c.body))
		switch {
		case c.code == 0 && !errors.Is(err, errRefused), c.code != 0 && (err != nil || response.StatusCode != c.code):
			t.Errorf("%s: %v, %v", c.what, response, err)
		case asked != c.asked || u.Refused() != c.refused:
			t.Errorf("%s: %d asked, %d refused", c.what, asked, u.Refused())
		}
	}
	// What an origin says of its own accord is no refusal of the shield.
	for _, status := range [][]string{nil, {edgeauth.RefusedStatus, "shield; fwd=uri-miss"}, {"shield; fwd=uri-miss; fwd-status=403"}} {
		u := NewUpstream(UpstreamOptions{
			Members: func() []string { return shields }, Sign: func(*http.Request) string { return "signed" },
			Transport: transport(func(*http.Request) (*http.Response, error) { return reply(403, status...), nil }),
		})
		if response, err := u.RoundTrip(request("GET", "/a", nil)); err != nil || response.StatusCode != 403 || u.Refused() != 0 {
			t.Errorf("%q: %v, %v", status, response, err)
		}
	}
}

// BenchmarkForwardSigned is what the proof costs each request that an edge forwards, beside the same without.
func BenchmarkForwardSigned(b *testing.B) {
	keys, err := edgeauth.ParseKeys([]byte(strings.Repeat("k", 43)))
	if err != nil {
		b.Fatal(err)
	}
	response := reply(200)
	r := request("GET", "/live/segment-1.m4s?session=7", nil)
	for _, f := range []string{"Accept", "Accept-Encoding", "User-Agent", "Via", "Cdn-Loop", "Referer"} {
		r.Header.Set(f, "x")
	}
	for what, sign := range map[string]func(*http.Request) string{
		"plain":  nil,
		"signed": func(r *http.Request) string { return keys.Sign(edgeauth.Outgoing(r), "/edge/edge-7d9f-x2", time.Now()) },
	} {
		u := NewUpstream(UpstreamOptions{Members: func() []string { return shields }, Sign: sign, Transport: transport(func(*http.Request) (*http.Response, error) { return response, nil })})
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := u.RoundTrip(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
