package events

import (
	"encoding/json"
	"errors"
	"maps"
	"math"
	"strings"
	"testing"
	"time"
)

// sample returns a good message of a sample.
func sample(t testing.TB, name string) Message {
	t.Helper()
	s, ok := samples()[name]
	if !ok {
		t.Fatalf("no sample %q", name)
	}
	m, err := Encode(s.Attributes, s.Body)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestDecodeRefuses(t *testing.T) {
	body := func(s string) func(*Message) { return func(m *Message) { m.Body = []byte(s) } }
	header := func(name, value string) func(*Message) { return func(m *Message) { m.Headers[name] = value } }
	tests := map[string]struct {
		of     string
		change func(*Message)
		reason Reason
		says   string
	}{
		"body too large":          {"rate.v1", body(strings.Repeat(" ", MaxBody+1)), ReasonOversize, "65537 bytes, at most 65536"},
		"no body":                 {"rate.v1", body(""), ReasonMalformed, "not a JSON object"},
		"null":                    {"rate.v1", body("null"), ReasonMalformed, "not a JSON object"},
		"list":                    {"rate.v1", body("[]"), ReasonMalformed, "not a JSON object"},
		"cut short":               {"rate.v1", body(`{"window_ms":1000,"offered":1`), ReasonMalformed, "unexpected end"},
		"something behind":        {"rate.v1", body(`{"window_ms":1000,"offered":1} x`), ReasonMalformed, "invalid character"},
		"text for a number":       {"rate.v1", body(`{"window_ms":1000,"offered":"many"}`), ReasonMalformed, "offered"},
		"fraction of a request":   {"rate.v1", body(`{"window_ms":1000,"offered":1.5}`), ReasonMalformed, "offered"},
		"negative count":          {"rate.v1", body(`{"window_ms":1000,"offered":-1}`), ReasonMalformed, "offered"},
		"more than any float":     {"rate.v1", body(`{"window_ms":1000,"offered":1,"warm":1e999}`), ReasonMalformed, "warm"},
		"count left out":          {"rate.v1", body(`{"window_ms":1000}`), ReasonMalformed, "offered is missing"},
		"count is null":           {"rate.v1", body(`{"window_ms":1000,"offered":null}`), ReasonMalformed, "offered is missing"},
		"absurd count":            {"rate.v1", body(`{"window_ms":1000,"offered":9007199254740993}`), ReasonOutOfRange, "offered 9007199254740993: 0 to"},
		"no window":               {"rate.v1", body(`{"offered":1}`), ReasonOutOfRange, "window_ms 0: 1 to 60000"},
		"endless window":          {"rate.v1", body(`{"window_ms":60001,"offered":1}`), ReasonOutOfRange, "window_ms 60001"},
		"endless end":             {"rate.v1", body(`{"window_ms":1000,"offered":1,"recent_ms":60001}`), ReasonOutOfRange, "recent_ms 60001: 0 to 60000"},
		"warmer than warm":        {"rate.v1", body(`{"window_ms":1000,"offered":1,"warm":1.1}`), ReasonOutOfRange, "warm 1.1: 0 to 1"},
		"large sketch":            {"rate.v1", func(m *Message) { m.Body = rateWithSketch(t, MaxSketch+1) }, ReasonOutOfRange, "latency has 8193 bytes"},
		"misses left out":         {"miss.v1", body(`{"window_ms":1000}`), ReasonMalformed, "misses is missing"},
		"too many keys":           {"miss.v1", body(`{"window_ms":1,"misses":1,"top_hot":[` + strings.Repeat(`{"key":"a"},`, 20) + `{"key":"a"}]}`), ReasonOutOfRange, "top_hot has 21 entries, at most 20"},
		"long key":                {"miss.v1", body(`{"window_ms":1,"misses":1,"top_missing":[{"key":"` + strings.Repeat("k", 513) + `"}]}`), ReasonOutOfRange, "top_missing.key has 513 bytes"},
		"empty key":               {"miss.v1", body(`{"window_ms":1,"misses":1,"top_missing":[{"count":1}]}`), ReasonOutOfRange, "top_missing[0].key is empty"},
		"line break in a key":     {"miss.v1", body(`{"window_ms":1,"misses":1,"top_missing":[{"key":"a\nb"}]}`), ReasonOutOfRange, "printable"},
		"unheard-of state":        {"life.v1", body(`{"state":"dancing"}`), ReasonOutOfRange, `state "dancing": starting, warming`},
		"no state":                {"life.v1", body(`{}`), ReasonOutOfRange, "state"},
		"site with a slash":       {"origin.v1", body(`{"site":"a/b","state":"down","window_ms":1}`), ReasonOutOfRange, "site"},
		"canary without a time":   {"canary.v1", body(`{"replica":"a"}`), ReasonOutOfRange, "sent_at is missing"},
		"too many replicas":       {"decision.v1", body(`{"at":"2026-11-23T19:45:00Z","fleet":"edge","to":100001}`), ReasonOutOfRange, "to 100001: 0 to 100000"},
		"plan of nothing":         {"plan.v1", body(`{"fleet":"edge","name":"derby"}`), ReasonOutOfRange, `action "": add and remove are allowed`},
		"plan of both":            {"plan.v1", body(`{"action":"add","fleet":"edge","name":"derby","at":"2026-11-23T20:55:00Z","for_s":60,"factor":2,"floor":3}`), ReasonOutOfRange, "not exactly one of factor and floor"},
		"plan without a time":     {"plan.v1", body(`{"action":"add","fleet":"edge","name":"derby","for_s":60,"factor":2}`), ReasonOutOfRange, "at is missing"},
		"plan of a moment":        {"plan.v1", body(`{"action":"add","fleet":"edge","name":"derby","at":"2026-11-23T20:55:00Z","for_s":1,"factor":2}`), ReasonOutOfRange, "for_s 1: 60 to 604800 are allowed"},
		"plan of a thousandfold":  {"plan.v1", body(`{"action":"add","fleet":"edge","name":"derby","at":"2026-11-23T20:55:00Z","for_s":60,"factor":1000}`), ReasonOutOfRange, "factor 1000: 1.01 to 100 are allowed"},
		"plan of minus one edge":  {"plan.v1", body(`{"action":"add","fleet":"edge","name":"derby","at":"2026-11-23T20:55:00Z","for_s":60,"floor":-1}`), ReasonOutOfRange, "floor -1: 0 to 5000 are allowed"},
		"plan with a bad name":    {"plan.v1", body(`{"action":"remove","fleet":"edge","name":"Derby"}`), ReasonOutOfRange, "name"},
		"plan of another fleet":   {"plan.v1", func(m *Message) { m.Key = "plan.video" }, ReasonForged, "belongs to"},
		"negative replicas":       {"decision.v1", body(`{"at":"2026-11-23T19:45:00Z","fleet":"edge","from":-1}`), ReasonOutOfRange, "from -1"},
		"other spec version":      {"rate.v1", header("ce-specversion", "0.3"), ReasonMalformed, `specversion "0.3"`},
		"no CloudEvent":           {"rate.v1", func(m *Message) { m.Headers = nil }, ReasonMalformed, "specversion"},
		"sequence is no number":   {"rate.v1", header("ce-sequence", "one"), ReasonMalformed, "sequence"},
		"sequence is long":        {"rate.v1", header("ce-sequence", strings.Repeat("0", 21)), ReasonMalformed, "sequence has 21"},
		"sequence is zero":        {"rate.v1", header("ce-sequence", "0"), ReasonOutOfRange, "start at 1"},
		"time is no time":         {"rate.v1", header("ce-time", "noon"), ReasonMalformed, "RFC 3339"},
		"next major version":      {"rate.v1", header("ce-type", "io.surgewall.edge.rate.v2"), ReasonUnknownType, "rate.v2"},
		"no type":                 {"rate.v1", header("ce-type", ""), ReasonUnknownType, "type"},
		"no id":                   {"rate.v1", header("ce-id", ""), ReasonOutOfRange, "id"},
		"short boot id":           {"rate.v1", header("ce-bootid", "1234567"), ReasonOutOfRange, "7 characters, 8 to 36"},
		"boot id with a space":    {"rate.v1", header("ce-bootid", "1234 5678"), ReasonOutOfRange, "bootid"},
		"source without a pod":    {"rate.v1", header("ce-source", "/edge"), ReasonOutOfRange, "/<fleet>/<pod>"},
		"source with a dot":       {"rate.v1", header("ce-source", "/edge/a.b"), ReasonOutOfRange, "pod"},
		"fleet in capitals":       {"rate.v1", header("ce-source", "/Edge/a"), ReasonOutOfRange, "fleet"},
		"other content type":      {"rate.v1", func(m *Message) { m.ContentType = "application/protobuf" }, ReasonMalformed, "protobuf"},
		"batch":                   {"rate.v1", func(m *Message) { m.ContentType = "application/cloudevents-batch+json" }, ReasonMalformed, "batch"},
		"nobody's":                {"rate.v1", func(m *Message) { m.UserID = "" }, ReasonNoUser, "no user id from /edge/"},
		"another fleet's user":    {"rate.v1", func(m *Message) { m.UserID = "video" }, ReasonForged, `user "video" speaks for fleet "edge"`},
		"another fleet's key":     {"rate.v1", func(m *Message) { m.Key = "rate.video.x" }, ReasonForged, "rate.video.x"},
		"another kind of key":     {"rate.v1", func(m *Message) { m.Key = "life.edge.edge-5c9f7d8b6-x2x7q" }, ReasonForged, "belongs to"},
		"another exchange":        {"decision.v1", func(m *Message) { m.Exchange = ExchangeTelemetry }, ReasonForged, "belongs to"},
		"decision on another key": {"decision.v1", func(m *Message) { m.Key = "decision.video" }, ReasonForged, "decision.video"},
		"structured and not JSON": {"rate.v1", func(m *Message) { m.ContentType = ContentTypeStructured; m.Body = []byte("no") }, ReasonMalformed, "structured"},
		"structured and empty":    {"rate.v1", func(m *Message) { m.ContentType = ContentTypeStructured; m.Body = []byte("{}") }, ReasonMalformed, "specversion"},
		"structured, other format": {"rate.v1", func(m *Message) {
			m.ContentType = ContentTypeStructured
			m.Body = []byte(`{"datacontenttype":"text/xml"}`)
		}, ReasonMalformed, "text/xml"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := sample(t, test.of)
			test.change(&m)
			_, err := Decode(m)
			var rejected *RejectError
			if !errors.As(err, &rejected) {
				t.Fatalf("got %v, want a *RejectError", err)
			}
			if rejected.Reason != test.reason || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %s with %q", err, test.reason, test.says)
			}
			if len(err.Error()) > 400 {
				t.Errorf("the error has %d bytes: input must not flood a log", len(err.Error()))
			}
		})
	}
}

func rateWithSketch(t testing.TB, n int) []byte {
	t.Helper()
	body, err := json.Marshal(&Rate{WindowMS: 1000, Latency: make([]byte, n)})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// A later release may say more. That must not cost the message.
func TestDecodeIgnoresTheUnknown(t *testing.T) {
	m := sample(t, "rate.v1")
	m.Headers["ce-color"] = "red"
	m.Headers["x-other"] = "1"
	m.Body = []byte(`{"window_ms":1000,"offered":7,"mood":{"level":[1,2]},"status":{"hit":7,"guessed":3}}`)
	e, err := Decode(m)
	if err != nil {
		t.Fatal(err)
	}
	if r := e.Body.(*Rate); r.Offered != 7 || r.Status.Hit != 7 || r.RPS() != 7 || r.Window() != time.Second {
		t.Errorf("got %+v", r)
	}
}

// The same event in structured mode decodes to the same value.
func TestStructuredModeIsUnderstood(t *testing.T) {
	for name := range samples() {
		t.Run(name, func(t *testing.T) {
			binary := sample(t, name)
			want, err := Decode(binary)
			if err != nil {
				t.Fatal(err)
			}
			for _, data := range []string{"data", "data_base64"} {
				event := map[string]any{"datacontenttype": ContentTypeJSON, "data": json.RawMessage(binary.Body)}
				if data == "data_base64" {
					delete(event, "data")
					event["data_base64"] = binary.Body
				}
				for header, value := range binary.Headers {
					event[strings.TrimPrefix(header, "ce-")] = value
				}
				m := binary
				m.Headers, m.ContentType = nil, "application/cloudevents+json; charset=utf-8"
				if m.Body, err = json.Marshal(event); err != nil {
					t.Fatal(err)
				}
				got, err := Decode(m)
				if err != nil {
					t.Fatal(err)
				}
				if got.Attributes != want.Attributes || string(mustMarshal(t, got.Body)) != string(mustMarshal(t, want.Body)) {
					t.Errorf("%s: got %+v, want %+v", data, got, want)
				}
			}
		})
	}
}

func mustMarshal(t testing.TB, b Body) []byte {
	t.Helper()
	out, err := marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// What the sender may not send it hears of, with the field, the value and the range.
func TestEncodeRefuses(t *testing.T) {
	good := Attributes{Source: "/edge/a", BootID: "0123456789", Seq: 1}
	with := func(change func(*Attributes)) Attributes { a := good; change(&a); return a }
	tests := map[string]struct {
		attributes Attributes
		body       Body
		says       string
	}{
		"not a number": {good, &Rate{WindowMS: 1, Warm: math.NaN()}, "warm NaN: 0 to 1"},
		"infinity":     {good, &Rate{WindowMS: 1, Capacity: Capacity{MaxRPS: math.Inf(1)}}, "capacity.max_rps +Inf"},
		"negative":     {good, &Rate{WindowMS: 1, Capacity: Capacity{CPU: -1}}, "capacity.cpu -1"},
		"no window":    {good, &Miss{}, "window_ms 0: 1 to 60000"},
		"no boot id":   {with(func(a *Attributes) { a.BootID = "" }), &Life{State: LifeReady}, "bootid"},
		"no sequence":  {with(func(a *Attributes) { a.Seq = 0 }), &Life{State: LifeReady}, "sequence 0"},
		"no source":    {with(func(a *Attributes) { a.Source = "" }), &Life{State: LifeReady}, "source"},
		"long reason":  {good, &Life{State: LifeReady, Reason: strings.Repeat("r", 257)}, "reason has 257 bytes, at most 256"},
		"broken UTF-8": {good, &Life{State: LifeReady, Reason: "\xff"}, "printable"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := Encode(test.attributes, test.body); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %q in it", err, test.says)
			}
		})
	}
}

// Whatever keys people ask for, a full miss event fits.
func TestLargestMissFits(t *testing.T) {
	worst := Miss{WindowMS: 1, Sketch: make([]byte, MaxSketch)}
	for range MaxTop {
		// A backslash doubles when it is escaped; nothing printable grows more.
		kc := KeyCount{CleanKey(strings.Repeat(`\`, 2*MaxKey)), MaxCount}
		worst.TopMissing, worst.TopHot = append(worst.TopMissing, kc), append(worst.TopHot, kc)
	}
	m, err := EncodeMiss(Attributes{Source: "/edge/a", BootID: "0123456789", Seq: 1}, worst)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Decode(m); err != nil {
		t.Fatal(err)
	}
}

// An explanation that is too long is cut; the decision still goes out.
func TestLongDecisionIsCut(t *testing.T) {
	d := Decision{At: time.Unix(1, 0), Fleet: "edge", Reason: strings.Repeat("ä", MaxReason), Error: "a\nb"}
	m, err := EncodeDecision(Attributes{Source: "/controller/c-0", BootID: "0123456789", Seq: 1}, d)
	if err != nil {
		t.Fatal(err)
	}
	e, err := Decode(m)
	if err != nil {
		t.Fatal(err)
	}
	if got := e.Body.(*Decision); got.Reason != strings.Repeat("ä", MaxReason/2) || got.Error != "a?b" {
		t.Errorf("got a reason of %d bytes and error %q", len(got.Reason), got.Error)
	}
}

func TestBrokenTraceContextIsDropped(t *testing.T) {
	m := sample(t, "rate.v1")
	for _, broken := range []string{"00-short", strings.ToUpper(m.Headers["traceparent"]), "01" + m.Headers["traceparent"][2:]} {
		m.Headers = maps.Clone(m.Headers)
		m.Headers["traceparent"] = broken
		e, err := Decode(m)
		if err != nil {
			t.Fatal(err)
		}
		if e.TraceParent != "" {
			t.Errorf("kept %q", broken)
		}
	}
}

func BenchmarkEncodeRate(b *testing.B) {
	s := samples()["rate.v1"]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := EncodeRate(s.Attributes, *s.Body.(*Rate)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeRate(b *testing.B) {
	m := sample(b, "rate.v1")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(m); err != nil {
			b.Fatal(err)
		}
	}
}
