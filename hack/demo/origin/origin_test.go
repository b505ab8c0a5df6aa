package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/hack/demo/object"
)

type testOrigin struct{ content, admin string }

func newTestOrigin(t *testing.T) testOrigin {
	t.Helper()
	l, c := newLedger(), &controls{now: settings{MaxAgeS: 60}}
	front := httptest.NewServer(&content{ledger: l, controls: c, now: time.Now})
	back := httptest.NewServer(admin(l, c))
	t.Cleanup(front.Close)
	t.Cleanup(back.Close)
	return testOrigin{front.URL, back.URL}
}

func (o testOrigin) get(t *testing.T, path string, header http.Header) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, o.content+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		r.Header[k] = v
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func (o testOrigin) post(t *testing.T, path, body string) int {
	t.Helper()
	resp, err := http.Post(o.admin+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func (o testOrigin) read(t *testing.T, path string, into any) {
	t.Helper()
	resp, err := http.Get(o.admin + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}

func TestContentAndItsHeaders(t *testing.T) {
	o := newTestOrigin(t)
	path := object.Path("a", 1000)
	resp, body := o.get(t, path, nil)
	if _, err := io.Copy(io.Discard, object.Verify(path, strings.NewReader(body))); err != nil || len(body) != 1000 {
		t.Errorf("body of %d bytes: %v", len(body), err)
	}
	if resp.Header.Get("Cache-Control") != "public, max-age=60" || resp.Header.Get("ETag") == "" || resp.Header.Get("Last-Modified") == "" || resp.ContentLength != 1000 {
		t.Errorf("headers %v", resp.Header)
	}
	if resp, _ := o.get(t, path, http.Header{"If-None-Match": {resp.Header.Get("ETag")}}); resp.StatusCode != http.StatusNotModified {
		t.Errorf("a matching validator is answered %d", resp.StatusCode)
	}
	if resp, part := o.get(t, path, http.Header{"Range": {"bytes=10-19"}}); resp.StatusCode != http.StatusPartialContent || part != body[10:20] {
		t.Errorf("range: %d %q", resp.StatusCode, part)
	}
	if resp, streamed := o.get(t, path+"&stream=1", nil); resp.ContentLength != -1 || len(streamed) != 1000 {
		t.Errorf("stream: length %d, %d bytes", resp.ContentLength, len(streamed))
	}
	if resp, _ := o.get(t, path+"&private=1", nil); resp.Header.Get("Cache-Control") != "private, no-store" {
		t.Errorf("private: %v", resp.Header)
	}
	for path, want := range map[string]int{"/": 404, "/obj/": 404, "/obj/a?bytes=x": 400} {
		if resp, _ := o.get(t, path, nil); resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
	}
	var s sums
	o.read(t, "/stats", &s)
	if s.Fetches != 5 || s.Objects != 3 || s.NotModified != 1 || s.MaxPerLifetime != 3 || s.WorstObject != path {
		t.Errorf("stats %+v", s)
	}
	var a account
	o.read(t, "/objects"+path, &a)
	if a.Fetches != 3 {
		t.Errorf("object %+v", a)
	}
	o.read(t, "/objects/obj/never", &a)
	if a.Fetches != 0 {
		t.Errorf("an object that nobody fetched: %+v", a)
	}
	if o.post(t, "/reset", "") != http.StatusOK {
		t.Error("reset failed")
	}
	o.read(t, "/stats", &s)
	if s.Fetches != 0 {
		t.Errorf("after a reset: %+v", s)
	}
}

func TestControl(t *testing.T) {
	o := newTestOrigin(t)
	if code := o.post(t, "/control", `{"fail_ratio": 1, "latency_ms": 60, "max_age_s": 5}`); code != http.StatusOK {
		t.Fatalf("control: %d", code)
	}
	start := time.Now()
	if resp, _ := o.get(t, "/obj/a", nil); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("fail ratio 1: %d %v", resp.StatusCode, resp.Header)
	}
	if waited := time.Since(start); waited < 60*time.Millisecond {
		t.Errorf("answered after %v, before its latency", waited)
	}
	if code := o.post(t, "/control", `{"fail_ratio": 0, "latency_ms": 0, "rate_bytes": 20000}`); code != http.StatusOK {
		t.Fatalf("control: %d", code)
	}
	start = time.Now()
	if resp, body := o.get(t, "/obj/a?bytes=4000", nil); len(body) != 4000 || resp.Header.Get("Cache-Control") != "public, max-age=5" {
		t.Errorf("%d bytes, %v", len(body), resp.Header)
	}
	if took := time.Since(start); took < 150*time.Millisecond {
		t.Errorf("4000 bytes at 20000 a second took %v", took)
	}
	for _, bad := range []string{`{"fail_ratio": 2}`, `{"latency_ms": -1}`, `{"max_age_s": -1}`, `{"rate_bytes": -1}`, `{"speed": 1}`, `x`, ``} {
		if code := o.post(t, "/control", bad); code != http.StatusBadRequest {
			t.Errorf("%s: %d, want 400", bad, code)
		}
	}
}

func TestServeRefusesOneAddressTwice(t *testing.T) {
	if err := serve(t.Context(), "127.0.0.1:0", "127.0.0.1:0", settings{}); err == nil || !strings.Contains(err.Error(), "two addresses") {
		t.Errorf("%v", err)
	}
}
