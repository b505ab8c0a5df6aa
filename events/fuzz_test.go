package events

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// checkDecode holds for every input: a closed set of reasons, and what is accepted can be sent again and means the same.
func checkDecode(t *testing.T, m Message) {
	t.Helper()
	e, err := Decode(m)
	if err != nil {
		var rejected *RejectError
		if !errors.As(err, &rejected) || !slices.Contains(Reasons(), rejected.Reason) {
			t.Fatalf("got %v, want a *RejectError with a known reason", err)
		}
		if len(err.Error()) > 1000 || !utf8.ValidString(err.Error()) {
			t.Fatalf("error unfit for a log: %q", err)
		}
		return
	}
	again, err := Encode(e.Attributes, e.Body)
	if err != nil {
		t.Fatalf("accepted and then refused: %v", err)
	}
	if again.Exchange != m.Exchange || again.Key != m.Key {
		t.Fatalf("came by %s %s, goes by %s %s", m.Exchange, m.Key, again.Exchange, again.Key)
	}
	if ofFleet(e.Body) && again.UserID != m.UserID {
		t.Fatalf("came from %q, goes as %q", m.UserID, again.UserID)
	}
	e2, err := Decode(again)
	if err != nil {
		t.Fatal(err)
	}
	if e2.Seq != e.Seq || e2.BootID != e.BootID || e2.ID != e.ID || e2.Source != e.Source {
		t.Fatalf("attributes changed from %+v to %+v", e.Attributes, e2.Attributes)
	}
	if a, b := mustMarshal(t, e.Body), mustMarshal(t, e2.Body); !bytes.Equal(a, b) {
		t.Fatalf("body changed from %s to %s", a, b)
	}
}

// fuzzBody fuzzes the body of one type inside a good envelope.
func fuzzBody(f *testing.F, name string, seeds ...string) {
	f.Helper()
	good := sample(f, name)
	f.Add(good.Body)
	for _, seed := range append(seeds, "{}", "null", "[]", "", `{"window_ms":1,"offered":1,"misses":1}`, strings.Repeat("{\"a\":", 2000)) {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m := good
		m.Body = body
		checkDecode(t, m)
	})
}

func FuzzDecodeRate(f *testing.F) {
	fuzzBody(f, "rate.v1", `{"window_ms":1000,"offered":1e3}`, `{"window_ms":1000,"offered":0,"OFFERED":5}`, `{"window_ms":1,"offered":1,"latency":"!"}`)
}

func FuzzDecodeMiss(f *testing.F) {
	fuzzBody(f, "miss.v1", `{"window_ms":1,"misses":0,"top_hot":[{"key":"\ud800","count":1}]}`)
}

func FuzzDecodeLife(f *testing.F) {
	fuzzBody(f, "life.v1", `{"state":"ready","reason":"\u0000"}`)
}

func FuzzDecodeOrigin(f *testing.F) {
	fuzzBody(f, "origin.v1", `{"site":"..","state":"down","window_ms":1}`)
}

func FuzzDecodeCanary(f *testing.F) {
	fuzzBody(f, "canary.v1", `{"replica":"surgewall-controller-0","sent_at":"9999-12-31T23:59:59.999999999+23:59"}`)
}

func FuzzDecodeDecision(f *testing.F) {
	fuzzBody(f, "decision.v1", `{"at":"0001-01-01T00:00:00Z","fleet":"edge"}`, `{"at":"2026-11-23T19:45:00Z","fleet":"edge","from":1e5}`)
}

func FuzzDecodePlan(f *testing.F) {
	fuzzBody(f, "plan.v1", `{"action":"add","fleet":"edge","name":"a","at":"2026-11-23T19:45:00Z","for_s":60,"floor":5000}`,
		`{"action":"add","fleet":"edge","name":"a","at":"9999-11-23T19:45:00+23:59","for_s":60,"factor":1e300}`, `{"action":"remove","fleet":"edge","name":"a","at":"x"}`)
}

func FuzzDecodeContent(f *testing.F) {
	fuzzBody(f, "content-purge.v1", `{"action":"purge","scope":"url","values":["http://www.example.com/%zz"],"principal":"p"}`,
		`{"action":"purge","scope":"host","values":["www.example.com:80","[::1]"],"principal":"p"}`, `{"action":"soft","scope":"group","values":["g"],"principal":"p"}`)
}

func FuzzDecodeApplied(f *testing.F) {
	fuzzBody(f, "applied.v1", `{"role":"edge","position":"0123456789abcdef;-1"}`)
}

func FuzzDecodeAudit(f *testing.F) { fuzzBody(f, "audit.v1", `{"call":"purge"}`) }

func FuzzParsePosition(f *testing.F) {
	for _, seed := range []string{"0123456789abcdef;0", "0123456789abcdef;007", ";", "0123456789abcdef;9223372036854775808", "0123456789ABCDEF;1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePosition(s)
		if err == nil && p.String() != s {
			t.Errorf("%q became %q", s, p)
		}
	})
}

// FuzzDecodeEnvelope fuzzes everything around the body, in binary mode.
func FuzzDecodeEnvelope(f *testing.F) {
	good := sample(f, "rate.v1")
	h := good.Headers
	f.Add(good.ContentType, good.Key, good.UserID, h["ce-specversion"], h["ce-id"], h["ce-source"], h["ce-type"], h["ce-time"], h["ce-bootid"], h["ce-sequence"], h["traceparent"])
	f.Add("APPLICATION/JSON ;x", "", "", "", "", "/a/b/c", "", "2026-13-01T00:00:00Z", "", "-1", "00-")
	f.Fuzz(func(t *testing.T, contentType, key, user, spec, id, source, eventType, at, boot, seq, trace string) {
		m := good
		m.ContentType, m.Key, m.UserID = contentType, key, user
		m.Headers = map[string]string{
			"ce-specversion": spec, "ce-id": id, "ce-source": source, "ce-type": eventType, "ce-time": at, "ce-bootid": boot,
			"ce-sequence": seq, "traceparent": trace,
		}
		checkDecode(t, m)
	})
}

// FuzzDecodeStructured fuzzes a whole event in one body.
func FuzzDecodeStructured(f *testing.F) {
	good := sample(f, "life.v1")
	f.Add([]byte(`{"specversion":"1.0","id":"a","source":"/edge/edge-5c9f7d8b6-x2x7q","type":"io.surgewall.edge.life.v1","bootid":"01234567","sequence":"1","data":{"state":"ready"}}`))
	f.Add([]byte(`{"specversion":"1.0","data_base64":"e30="}`))
	f.Add([]byte(`{"data":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		m := good
		m.Headers, m.ContentType, m.Body = nil, ContentTypeStructured, body
		checkDecode(t, m)
	})
}

func FuzzParseSource(f *testing.F) {
	for _, seed := range []string{"/edge/a", "/", "//", "/a/b/c", "/A/b", "/a-/b", "/\x00/b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		fleet, pod, err := ParseSource(source)
		if err == nil && Source(fleet, pod) != source {
			t.Errorf("%q became %q", source, Source(fleet, pod))
		}
	})
}

// FuzzMatches compares the matcher with the definition written as a recursion.
func FuzzMatches(f *testing.F) {
	f.Add("a.#.b", "a.x.b")
	f.Add("#.*.#", "a")
	f.Add("#.#.#.a", "a.a.a.b")
	f.Fuzz(func(t *testing.T, pattern, key string) {
		if len(pattern) > 40 || len(key) > 40 {
			return // the recursion is exponential
		}
		if got, want := Matches(pattern, key), defined(strings.Split(pattern, "."), strings.Split(key, ".")); got != want {
			t.Errorf("Matches(%q, %q) is %t, want %t", pattern, key, got, want)
		}
	})
}

func defined(pattern, key []string) bool {
	switch {
	case len(pattern) == 0:
		return len(key) == 0
	case pattern[0] == "#":
		return defined(pattern[1:], key) || len(key) > 0 && defined(pattern, key[1:])
	case len(key) == 0:
		return false
	}
	return (pattern[0] == "*" || pattern[0] == key[0]) && defined(pattern[1:], key[1:])
}

func FuzzCleanText(f *testing.F) {
	for _, seed := range []string{"plain", "ä", "\xff\xfe", "a\nb", "\u2028", strings.Repeat("€", 200)} {
		f.Add(seed, 16)
	}
	f.Fuzz(func(t *testing.T, s string, limit int) {
		if limit < 0 || limit > 1<<16 {
			return
		}
		got := CleanText(s, limit)
		if len(got) > limit || !printable(got) {
			t.Errorf("CleanText(%q, %d) is %q", s, limit, got)
		}
		if len(s) <= limit && printable(s) && got != s {
			t.Errorf("a clean text changed from %q to %q", s, got)
		}
	})
}
