package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/surgewall/surgewall/controllers/updates"
)

// purgeController answers as one would, and notes what it was asked.
type purgeController struct {
	asked []string
	state []string // of a purge, one for each look
}

func (c *purgeController) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c.asked = append(c.asked, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(body)))
	if r.Header.Get("Authorization") != "Bearer secret" {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":"want a token"}`)
		return
	}
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/v1/purge":
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"id":"p","action":"purge","scope":"tag","values":["a"],"state":"Published"}`)
	case r.URL.Path == "/v1/purges/p":
		_, _ = io.WriteString(w, c.state[0])
		if len(c.state) > 1 {
			c.state = c.state[1:]
		}
	case r.URL.Path == "/v1/dead":
		_, _ = io.WriteString(w, `{"total":3,"dead":[{"id":"warm.2","reason":"delivery_limit","principal":"cms","values":["http://a.example/x"]}]}`)
	case strings.HasPrefix(r.URL.Path, "/v1/dead/"):
		_, _ = io.WriteString(w, `{"id":"warm.2","body":"{}"}`)
	case r.URL.Path == "/v1/prefetch":
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"id":"w","queued":2}`)
	default:
		_, _ = io.WriteString(w, `{"updates":[{"id":"p","state":"Complete","scope":"url","values":["http://a.example/x","y"],"applied":2,"replicas":2}]}`)
	}
}

func TestContentCommands(t *testing.T) {
	const published = `{"id":"p","state":"Applying","applied":1,"replicas":2,"progress":[{"fleet":"edge","pod":"e-1","state":"disconnected"},{"fleet":"shield","pod":"s-0","state":"applied"}]}`
	const complete = `{"id":"p","state":"Complete","applied":2,"replicas":2}`
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args  string
		state []string
		code  int
		asked string // the first call
		want  string // in what is printed
	}{
		{"purge http://a.example/ http://a.example/b", nil, 0, `POST /v1/purge {"scope":"url","values":["http://a.example/","http://a.example/b"]}`, "p is published"},
		{"purge --tag a --on a.example --soft --id r-1 --reason why", nil, 0, `POST /v1/purge {"scope":"tag","values":["a"],"host":"a.example","soft":true,"id":"r-1","reason":"why"}`, ""},
		{"purge --all --dry-run", nil, 0, `POST /v1/purge {"scope":"all","dry_run":true}`, ""},
		{"purge --all x", nil, 2, "", "not allowed beside it"},
		{"purge", nil, 2, "", "at least one URL"},
		{"purge --tag --host a", nil, 2, "", "none of the others can be"},
		{"purge --tag a --wait --id p", []string{published, complete}, 0, `POST /v1/purge {"scope":"tag","values":["a"],"id":"p"}`, "p: Applying, 1 of 2 replicas\np: Complete, 2 of 2 replicas"},
		{"purge --tag a --wait --timeout 2s", []string{published}, 1, "", "edge/e-1 is disconnected"},
		{"purges", nil, 0, "GET /v1/purges?limit=20", "http://a.example/x and 1 more"},
		{"purges p", []string{published}, 0, "GET /v1/purges/p", "e-1"},
		{"prefetch http://a.example/1 http://a.example/2", nil, 0, `POST /v1/prefetch {"urls":["http://a.example/1","http://a.example/2"]}`, "w: 2 URLs queued"},
		{"dead list", nil, 0, "GET /v1/dead?limit=100", "1 of 3"},
		{"dead show warm.2", nil, 0, "GET /v1/dead/warm.2", `"body": "{}"`},
		{"dead requeue warm.2", nil, 0, "POST /v1/dead/warm.2/requeue", "warm.2 is work again"},
		{"dead drop warm.2", nil, 0, "DELETE /v1/dead/warm.2", "warm.2 is gone"},
	} {
		t.Run(test.args, func(t *testing.T) {
			c := &purgeController{state: test.state}
			server := httptest.NewServer(c)
			defer server.Close()
			var out strings.Builder
			args := append(strings.Fields(test.args), "--controller", server.URL, "--token-file", file)
			code := run(t.Context(), args, func(string) (string, bool) { return "", false }, strings.NewReader(""), &out, &out)
			if code != test.code || !strings.Contains(out.String(), test.want) {
				t.Errorf("exit %d: %s; want %d with %q", code, out.String(), test.code, test.want)
			}
			if test.asked != "" && (len(c.asked) == 0 || c.asked[0] != test.asked) {
				t.Errorf("asked %q, want %q", c.asked, test.asked)
			}
		})
	}
}

// A controller that has no session with its broker says so; by its id a purge may be asked for again and again.
func TestAPurgeThatIsWaitedForIsTriedAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]int{"purge --tag a": exitFailure, "purge --tag a --wait": exitOK, "purge --tag a --wait --timeout 1ns": exitFailure} {
		c := &purgeController{state: []string{`{"id":"p","state":"Complete","applied":2,"replicas":2}`}}
		var refused []string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost && len(refused) < 2 {
				body, _ := io.ReadAll(r.Body)
				refused = append(refused, string(body))
				w.WriteHeader(http.StatusServiceUnavailable)
				_, _ = io.WriteString(w, `{"error":"the broker is away"}`)
				return
			}
			c.ServeHTTP(w, r)
		}))
		var out strings.Builder
		code := run(t.Context(), append(strings.Fields(args), "--controller", server.URL, "--token-file", file), func(string) (string, bool) { return "", false }, strings.NewReader(""), &out, &out)
		server.Close()
		if code != want || code == exitFailure && !strings.Contains(args, "1ns") && !strings.Contains(out.String(), "the broker is away") {
			t.Errorf("%s: exit %d: %s", args, code, out.String())
		}
		if want == exitOK && (len(refused) != 2 || refused[0] != refused[1] || !strings.Contains(refused[0], `"id":"`) || c.asked[0] != "POST /v1/purge "+refused[0]) {
			t.Errorf("%s: asked %q and then %q, want the same id each time", args, refused, c.asked)
		}
	}
}

// A controller that stops to answer while a purge is waited for does not hide what it said before; one that never answers is called just that.
func TestTheTimeOfAPurgeRunsOutInACall(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &purgeController{state: []string{`{"id":"p","state":"Applying","applied":1,"replicas":2,"progress":[{"fleet":"edge","pod":"e-1","state":"disconnected"}]}`}}
	for hangs, want := range map[string]string{"/v1/purge": "no answer within --timeout 2s", "/v1/purges/p": "p is not complete after 2s: edge/e-1 is disconnected"} {
		asked := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == hangs {
				if asked++; asked > 1 || r.Method == http.MethodPost {
					_, _ = io.Copy(io.Discard, r.Body)
					<-r.Context().Done()
					return
				}
			}
			c.ServeHTTP(w, r)
		}))
		var out strings.Builder
		code := run(t.Context(), []string{"purge", "--tag", "a", "--wait", "--timeout", "2s", "--controller", server.URL, "--token-file", file}, func(string) (string, bool) { return "", false }, strings.NewReader(""), &out, &out)
		server.Close()
		if code != exitFailure || !strings.Contains(out.String(), want) || strings.Contains(out.String(), "Nobody answers") {
			t.Errorf("%s hangs: exit %d: %s; want %q", hangs, code, out.String(), want)
		}
	}
}

func TestATokenIsNeeded(t *testing.T) {
	server := httptest.NewServer(new(purgeController))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "token")
	for text, want := range map[string]int{"": exitFailure, "wrong": exitFailure, "secret": exitOK} {
		env := map[string]string{}
		if text != "" {
			env["SURGEWALL_TOKEN_FILE"] = file
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var out strings.Builder
		code := run(t.Context(), []string{"purges", "--controller", server.URL}, func(name string) (string, bool) { v, ok := env[name]; return v, ok }, nil, &out, &out)
		if code != want || code != exitOK && !strings.Contains(out.String(), "--token-file") {
			t.Errorf("%q: %d: %s", text, code, out.String())
		}
	}
}

func TestATokenAndItsLine(t *testing.T) {
	var out, line strings.Builder
	if code := run(t.Context(), []string{"token", "cms", "host:a.example", "tag:x*"}, func(string) (string, bool) { return "", false }, nil, &out, &line); code != exitOK {
		t.Fatal(line.String())
	}
	token := strings.TrimSpace(out.String())
	if len(token) < 20 || strings.Contains(line.String(), token) || !strings.Contains(line.String(), updates.Hash(token)) {
		t.Errorf("token %q, line %q", token, line.String())
	}
	if code := run(t.Context(), []string{"token", "cms", "root"}, func(string) (string, bool) { return "", false }, nil, &out, &line); code != exitUsage {
		t.Errorf("an unknown grant is taken: %d", code)
	}
}
