package httpcache

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"testing"
	"testing/synctest"

	"github.com/surgewall/surgewall/internal/testorigin"
)

// What a handler around the cache has set is for the final response: an early
// hint neither carries it nor takes it away.
func TestInterimKeepsTheHeaderOfOuterHandlers(t *testing.T) {
	r := newRig(t)
	r.origin.Serve("/hints", testorigin.Response{Body: []byte("x"), Interim: 103, Header: map[string]string{"Cache-Control": "max-age=60", "Link": "</a.css>; rel=preload"}})
	r.server.Close()
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Connection", "close")
		w.Header().Set("X-Outer", "1")
		r.cache.ServeHTTP(w, q)
	}))
	for _, method := range []string{"GET", "POST"} { // by a flight, and passed on
		hints := 0
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(_ int, h textproto.MIMEHeader) error {
			hints++
			if h.Get("Link") == "" || h.Get("X-Outer") != "" || h.Get("Connection") != "" {
				t.Errorf("%s: the hint has %v", method, h)
			}
			return nil
		}})
		q, err := http.NewRequestWithContext(ctx, method, r.server.URL+"/hints", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := r.client.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if !resp.Close || resp.Header.Get("X-Outer") != "1" || hints != 1 {
			t.Errorf("%s: %d hints, then %v, to be closed: %v", method, hints, resp.Header, resp.Close)
		}
	}
}

// However close hints and the final header are to each other, all are sent.
func TestInterimIsNotOvertaken(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			b := newBubble(t)
			defer b.cache.Close(t.Context())
			c := b.start("GET", "/hints")
			call := b.next(0)
			for range 3 {
				if err := httptrace.ContextClientTrace(call.r.Context()).Got1xxResponse(103, textproto.MIMEHeader{"Link": {"</a.css>"}}); err != nil {
					t.Fatal(err)
				}
			}
			call.answer(200, http.Header{}, 1).send([]byte("x"), io.EOF)
			if _, done, _ := c.result(); !done || len(c.interim) != 3 || c.code != 200 {
				t.Fatalf("done %v, interim %v, code %d", done, c.interim, c.code)
			}
		})
	}
}
