package events

import (
	"strings"
	"testing"
)

func TestParseSource(t *testing.T) {
	fleet, pod, err := ParseSource(Source("edge", "edge-5c9f7d8b6-x2x7q"))
	if err != nil || fleet != "edge" || pod != "edge-5c9f7d8b6-x2x7q" {
		t.Fatalf("got %q, %q, %v", fleet, pod, err)
	}
	for _, bad := range []string{
		"", "/", "//", "edge/a", "/edge", "/edge/", "//a", "/edge/a/b", "/edge/a.b", "/-edge/a", "/edge-/a", "/edge/A", "/edge/a b", "/édge/a",
		"/" + strings.Repeat("e", 64) + "/a", "/edge/" + strings.Repeat("a", 129), strings.Repeat("/", 4096),
	} {
		if _, _, err := ParseSource(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestCleanPod(t *testing.T) {
	for in, want := range map[string]string{
		"edge-1":                              "edge-1",
		"Laptop.local":                        "laptop-local",
		"a_b c":                               "a-b-c",
		"...":                                 "unnamed",
		"":                                    "unnamed",
		strings.Repeat("x", 300):              strings.Repeat("x", MaxPod),
		strings.Repeat("x", MaxPod-1) + "--y": strings.Repeat("x", MaxPod-1),
		"ünïcode":                             "n--code",
	} {
		got := CleanPod(in)
		if got != want {
			t.Errorf("CleanPod(%q) is %q, want %q", in, got, want)
		}
		if err := CheckPod(got); err != nil {
			t.Error(err)
		}
	}
}

// AMQP limits a routing key to 255 bytes.
func TestLongestKeysFit(t *testing.T) {
	s := Sender{Fleet: strings.Repeat("f", MaxFleet), Pod: strings.Repeat("p", MaxPod)}
	bodies := []Body{
		new(Rate), new(Miss), new(Life), &Origin{Site: strings.Repeat("s", MaxSite)}, &Canary{Replica: s.Pod}, &Decision{Fleet: s.Fleet},
	}
	for _, b := range bodies {
		if _, key := b.address(s); len(key) > 255 {
			t.Errorf("%s: key of %d bytes", b.eventType(), len(key))
		}
		if newBody(b.eventType()) == nil {
			t.Errorf("%s cannot be decoded", b.eventType())
		}
	}
}
