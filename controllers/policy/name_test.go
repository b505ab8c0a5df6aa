package policy

import (
	"strings"
	"testing"
)

func TestTheNameOfAFleetIsOneLabel(t *testing.T) {
	const want = `metadata.name: "edge.v2" cannot name a fleet; allowed: lower-case letters, digits and '-', at most 63 characters, a letter or digit at both ends`
	p, err := Parse("edge.v2", map[string]string{"max-replicas": "9"})
	if err == nil || err.Error() != want || p != (Policy{}) {
		t.Errorf("got %+v, %v; want %s", p, err, want)
	}
	_, err = Parse("edge.v2", map[string]string{"min-replicas": "0", "tolerance": "2"})
	if err == nil || !strings.HasPrefix(err.Error(), "metadata.name: ") || len(err.(Errors)) != 3 { //nolint:errorlint // Parse returns no other
		t.Errorf("with bad keys beside it: %v", err)
	}
	for _, name := range []string{strings.Repeat("a", 63), "7", "edge-2"} {
		if _, err := Parse(name, nil); err != nil {
			t.Errorf("%s is refused: %v", name, err)
		}
	}
	for _, name := range []string{strings.Repeat("a", 64), "a.b"} {
		if _, err := Parse(name, nil); err == nil {
			t.Errorf("%s is accepted", name)
		}
		// The controller needs a policy for it all the same, to refuse its ConfigMap with.
		if safe := Safe(name); safe.Mode != Observe {
			t.Errorf("%s: mode %s", name, safe.Mode)
		}
	}
}
