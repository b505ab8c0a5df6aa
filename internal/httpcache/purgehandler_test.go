package httpcache

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/internal/testorigin"
)

func TestPurgeHandler(t *testing.T) {
	r := newRig(t)
	r.origin.Serve("/p", testorigin.Response{Header: map[string]string{"Cache-Control": "max-age=60", "Surrogate-Key": "x"}})
	var log strings.Builder
	h := PurgeHandler(r.cache.Purge, zerolog.New(&log))
	post := func(body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		q := httptest.NewRequest("POST", "/purge", strings.NewReader(body))
		q.Header.Set("Content-Type", "application/json; charset=utf-8")
		h.ServeHTTP(w, q)
		return w
	}
	r.get("/p")
	r.awaitQuiet()
	if w := post(`{"scope":"tag","value":"x","mode":"soft"}`); w.Code != 200 || strings.TrimSpace(w.Body.String()) != `{"number":1,"found":false}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), `"value":"x"`) || !strings.Contains(log.String(), `"outcome":"purged"`) {
		t.Errorf("log: %s", log.String())
	}
	wantStatus(t, r.get("/p"), "fwd=stale")
	r.awaitQuiet()
	if w := post(`{"scope":"url","value":"` + r.server.URL + `/p"}`); w.Code != 200 || !strings.Contains(w.Body.String(), `"found":true`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for body, want := range map[string]string{
		``:                                "EOF",
		`{"scope":"everything"}`:          `scope \"everything\"`,
		`{"tag":"x"}`:                     `unknown field \"tag\"`,
		`{"scope":"all"} {"scope":"all"}`: "nothing after it",
		`{"scope":"tag","value":"` + strings.Repeat("x", 70_000) + `"}`: "too large",
	} {
		log.Reset()
		if w := post(body); w.Code != 400 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%.40s: %d %s, want %s in it", body, w.Code, w.Body, want)
		}
		if said := log.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, `"outcome":"refused"`) {
			t.Errorf("%.40s: log: %.400s", body, said)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/purge", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" {
		t.Errorf("GET: %d", w.Code)
	}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/purge", strings.NewReader(`{"scope":"all"}`)))
	if w.Code != http.StatusUnsupportedMediaType {
		t.Errorf("without a type: %d", w.Code)
	}
}

func FuzzPurge(f *testing.F) {
	f.Add(`{"scope":"tag","value":"x","host":"h:80","mode":"soft"}`)
	f.Add(`{"scope":"url","value":"https://h/a%2Fb?x#"}`)
	f.Add(`{"scope":"prefix","value":"http://H:80"}`)
	r := newRig(f)
	h := PurgeHandler(r.cache.Purge, zerolog.Nop())
	f.Fuzz(func(t *testing.T, body string) {
		w := httptest.NewRecorder()
		q := httptest.NewRequest("POST", "/purge", strings.NewReader(body))
		q.Header.Set("Content-Type", "application/json")
		h.ServeHTTP(w, q)
		if w.Code != 200 && (w.Code != 400 || !strings.Contains(w.Body.String(), `"error"`)) {
			t.Fatalf("%q: %d %s", body, w.Code, w.Body)
		}
	})
}
