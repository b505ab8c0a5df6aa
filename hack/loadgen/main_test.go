package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/surgewall/surgewall/hack/demo/object"
	"github.com/surgewall/surgewall/hack/loadgen/load"
)

func TestCommand(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size, _ := object.Size(r.URL)
		body := object.New(r.URL.RequestURI(), size)
		w.Header().Set("Cache-Status", "edge; fwd=uri-miss")
		if _, err := io.Copy(w, body); err != nil {
			t.Error(err)
		}
	}))
	defer s.Close()
	popularity := filepath.Join(t.TempDir(), "popularity.csv")
	if err := os.WriteFile(popularity, []byte("objects,weight,bytes\n3,1,100\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, error) {
		var out strings.Builder
		c := command(&out)
		c.SetArgs(args)
		err := c.ExecuteContext(t.Context())
		return out.String(), err
	}
	text, err := run("--target", s.URL, "--base", "40", "--lead", "0s", "--hold", "500ms", "--calm", "0s", "--popularity", popularity, "--json", "-")
	if err != nil {
		t.Fatal(err)
	}
	var result load.Result
	if err := json.Unmarshal([]byte(text), &result); err != nil || result.Completed != 20 || result.Bytes != 2000 || result.Statuses["miss"] != 20 {
		t.Errorf("%v: %+v", err, result)
	}
	for want, args := range map[string][]string{
		"profile":    {"--target", s.URL, "--profile", "kick"},
		"loopback":   {"--target", "http://192.0.2.1"},
		"compress":   {"--target", s.URL, "--compress", "0"},
		"objects":    {"--target", s.URL, "--objects", "0"},
		"popularity": {"--target", s.URL, "--popularity", "/nonexistent"},
		"failed":     {"--target", "http://127.0.0.1:1", "--lead", "0s", "--hold", "50ms", "--calm", "0s"},
		"target":     {},
	} {
		if _, err := run(args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want a word on %s", args, err, want)
		}
	}
}
