package rfc9111

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestTags(t *testing.T) {
	h := http.Header{"Surrogate-Key": {" a  b\tc ", "d"}, "Xkey": {"e f"}, "Cache-Tag": {"g h, i,,", "j"}}
	want := []string{"a", "b", "c", "d", "e", "f", "g h", "i", "j"}
	if got := Tags(h); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Tags(http.Header{"Surrogate-Key": {"  "}}); len(got) != 0 {
		t.Errorf("got %q from white space", got)
	}
}

// RFC 9875 sections 2 and 3; RFC 9651 section 4.2 for what cannot be parsed.
func TestGroups(t *testing.T) {
	for line, want := range map[string][]string{
		`"scripts", "styles"`:   {"scripts", "styles"},
		`"a";x=1`:               {"a"},
		`"A", "a"`:              {"A", "a"},
		`scripts`:               nil, // a token
		`"a", 1`:                nil,
		`("a" "b")`:             nil,
		`"a`:                    nil,
		``:                      nil,
		strings.Repeat(" ", 10): nil,
	} {
		if got := Groups(http.Header{"Cache-Groups": {line}}); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
	h := http.Header{"Cache-Group-Invalidation": {`"a"`, `"b"`}}
	if got := InvalidatedGroups("POST", h); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("POST: %q", got)
	}
	if got := InvalidatedGroups("GET", h); got != nil {
		t.Errorf("a safe method invalidates %q", got)
	}
}

func FuzzSurrogate(f *testing.F) {
	f.Add("a b", "c, d", `"e", "f";x`)
	f.Add("\t", ",,", `("a")`)
	f.Fuzz(func(t *testing.T, key, tag, groups string) {
		for _, s := range Tags(http.Header{"Surrogate-Key": {key}, "Xkey": {key}, "Cache-Tag": {tag}}) {
			if s == "" || s != trimOWS(s) {
				t.Fatalf("tag %q of %q and %q", s, key, tag)
			}
		}
		for _, g := range Groups(http.Header{"Cache-Groups": {groups}}) {
			if !strings.Contains(groups, `"`) {
				t.Fatalf("group %q of %q", g, groups)
			}
		}
	})
}
