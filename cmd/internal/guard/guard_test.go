package guard

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

const secret = "zT4-0123456789abcdef0123456789ab"

func tokenFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func call(g http.Handler, authorization ...string) *httptest.ResponseRecorder {
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/purge", strings.NewReader(`{"scope":"all"}`))
	for _, value := range authorization {
		r.Header.Add("Authorization", value)
	}
	g.ServeHTTP(w, r)
	return w
}

var inside = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })

func newGuard(t *testing.T, file string, logger zerolog.Logger) *Guard {
	t.Helper()
	return New(file, "purge", inside, logger)
}

func TestOnlyTheTokenOpensTheGuard(t *testing.T) {
	var log strings.Builder
	g := newGuard(t, tokenFile(t, secret+"\n"), zerolog.New(&log))
	for _, c := range []struct {
		given     []string
		want      int
		challenge string
	}{
		{[]string{"Bearer " + secret}, 202, ""},
		{[]string{"bearer  " + secret}, 202, ""},
		{nil, 401, `Bearer realm="purge"`},
		{[]string{""}, 401, `Bearer realm="purge"`},
		{[]string{"Bearer"}, 401, `Bearer realm="purge"`},
		{[]string{"Bearer "}, 401, `Bearer realm="purge"`},
		{[]string{"Basic " + secret}, 401, `Bearer realm="purge"`},
		{[]string{secret}, 401, `Bearer realm="purge"`},
		{[]string{"Bearer " + secret[1:]}, 401, `Bearer realm="purge", error="invalid_token"`},
		{[]string{"Bearer " + secret + "x"}, 401, `Bearer realm="purge", error="invalid_token"`},
		{[]string{"Bearer " + strings.ToUpper(secret)}, 401, `Bearer realm="purge", error="invalid_token"`},
		{[]string{"Bearer x", "Bearer " + secret}, 401, `Bearer realm="purge"`},
	} {
		log.Reset()
		w := call(g, c.given...)
		if w.Code != c.want || w.Header().Get("WWW-Authenticate") != c.challenge {
			t.Errorf("%q: %d, %q", c.given, w.Code, w.Header())
		}
		want := 1
		if c.want == 202 {
			want = 0 // that one is for the handler behind
		}
		if n := strings.Count(log.String(), `"outcome":"unauthorized"`); n != want || strings.Contains(log.String(), secret[1:]) {
			t.Errorf("%q: log: %s", c.given, &log)
		}
	}
}

func TestATokenIsRotatedInPlace(t *testing.T) {
	path := tokenFile(t, "first")
	var log strings.Builder
	g := newGuard(t, path, zerolog.New(&log))
	for _, step := range []struct {
		text       string
		first, now int // status for the first token and for "second"
	}{
		{"first", 202, 401}, {"second\r\n", 401, 202}, {"", 503, 503}, {"second", 401, 202},
	} {
		if err := os.WriteFile(path, []byte(step.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if a, b := call(g, "Bearer first").Code, call(g, "Bearer second").Code; a != step.first || b != step.now {
			t.Errorf("with %q in the file: %d and %d, want %d and %d", step.text, a, b, step.first, step.now)
		}
	}
	if !strings.Contains(log.String(), `"outcome":"unavailable"`) {
		t.Errorf("log: %s", &log)
	}
}

// TestStrangersDoNotUseUpWhatOperatorsMayDo: both are bounded, each by itself, and the bound passes with time.
func TestStrangersDoNotUseUpWhatOperatorsMayDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(t, tokenFile(t, secret), zerolog.Nop())
		for i := range burst + 20 {
			w := call(g, "Bearer wrong")
			if want := map[bool]int{true: 401, false: 429}[i < burst]; w.Code != want {
				t.Fatalf("stranger's call %d: %d, want %d", i, w.Code, want)
			}
		}
		for i := range burst + 20 {
			w := call(g, "Bearer "+secret)
			if i < burst && w.Code != 202 || i >= burst && (w.Code != 429 || w.Header().Get("Retry-After") != "1") {
				t.Fatalf("operator's call %d: %d, %v", i, w.Code, w.Header())
			}
		}
		time.Sleep(time.Second) // as Retry-After says
		for i := range perSecond {
			if w := call(g, "Bearer "+secret); w.Code != 202 {
				t.Fatalf("call %d a second later: %d", i, w.Code)
			}
		}
	})
}

func TestAGuardIsSafeForConcurrentUse(t *testing.T) {
	g := newGuard(t, tokenFile(t, secret), zerolog.Nop())
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 5 {
				if w := call(g, "Bearer "+secret); w.Code != 202 {
					t.Errorf("status %d", w.Code)
				}
			}
		})
	}
	group.Wait()
}

func TestAFileWithoutATokenIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"": "empty", "\n": "empty", "two words": "one line", "two\nlines": "one line", "gr\u00fcn": "one line", strings.Repeat("x", maxToken+1): "longer than 4096",
	} {
		path := tokenFile(t, text)
		_, err := ReadToken(path)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%.20q: %v, want %s in it", text, err, want)
		}
	}
	if _, err := ReadToken(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that does not exist is taken")
	}
	if token, err := ReadToken(tokenFile(t, strings.Repeat("x", maxToken)+"\r\n")); err != nil || len(token) != maxToken {
		t.Errorf("the longest token: %d bytes, %v", len(token), err)
	}
}
