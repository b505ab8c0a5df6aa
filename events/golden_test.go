package events

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// wire is a message as the golden files show it: what a stranger has to send.
type wire struct {
	Exchange    string            `json:"exchange"`
	RoutingKey  string            `json:"routing_key"`
	ContentType string            `json:"content_type"`
	MessageID   string            `json:"message_id"`
	UserID      string            `json:"user_id"`
	Headers     map[string]string `json:"headers"`
	Body        json.RawMessage   `json:"body"`
}

func (w wire) message(t testing.TB) Message {
	t.Helper()
	// The files are indented for people; the wire is not.
	var body bytes.Buffer
	if err := json.Compact(&body, w.Body); err != nil {
		t.Fatal(err)
	}
	return Message{
		Exchange: w.Exchange, Key: w.RoutingKey, ContentType: w.ContentType, MessageID: w.MessageID, UserID: w.UserID,
		Headers: w.Headers, Body: body.Bytes(),
	}
}

// samples has an event of each type with every field set.
func samples() map[string]Event {
	at := time.Date(2026, 11, 23, 19, 45, 0, 250e6, time.UTC)
	from := func(fleet, pod string, seq uint64) Attributes {
		return Attributes{Source: Source(fleet, pod), Time: at, BootID: "4f6b0e9c2a7d4e11", Seq: seq}
	}
	traced := from("edge", "edge-5c9f7d8b6-x2x7q", 42)
	traced.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	named := func(id string) Attributes {
		a := from("controller", "surgewall-controller-0", 11)
		a.ID = id
		return a
	}
	return map[string]Event{
		"rate.v1": {traced, &Rate{
			WindowMS: 1003, Offered: 1200, RecentMS: 502, Recent: 640,
			Status:   StatusCounts{Hit: 1100, Miss: 40, Stale: 10, Revalidated: 5, Collapsed: 30, Error: 2, Shed: 8, Bypass: 1},
			BytesOut: 98765432, BytesIn: 1234567, InFlight: 37, InFlightPeak: 61, Latency: []byte("sketch"),
			Capacity: Capacity{CPU: 2, Connections: 10000, MaxRPS: 4000}, Warm: 0.95, Draining: true, Early: true,
		}},
		"rate-idle.v1": {from("edge", "edge-5c9f7d8b6-x2x7q", 43), &Rate{WindowMS: 1000, Warm: 1}},
		"miss.v1": {from("edge", "edge-5c9f7d8b6-x2x7q", 44), &Miss{
			WindowMS: 1000, Misses: 40, Distinct: 17, Sketch: []byte("sketch"),
			TopMissing: []KeyCount{{"https://www.example.com/live/segment-1.ts", 12}, {"https://www.example.com/?q=<a&b>", 3}},
			TopHot:     []KeyCount{{"https://www.example.com/", 900}},
		}},
		"life.v1": {from("edge", "edge-5c9f7d8b6-x2x7q", 45), &Life{State: LifeClosing, Reason: "SIGTERM"}},
		"origin.v1": {from("shield", "surgewall-shield-0", 7), &Origin{
			Site: "www.example.com", State: OriginSlow, WindowMS: 1000, Fetches: 20, Errors: 1, InFlight: 4, LatencyMS: 812.5,
		}},
		"canary.v1": {from("controller", "surgewall-controller-0", 9), &Canary{Replica: "surgewall-controller-0", SentAt: at}},
		"plan.v1": {from("content", "cms", 3), &Plan{
			Action: PlanAdd, Fleet: "edge", Name: "derby", At: at.Add(70 * time.Minute), RampS: 600, ForS: 7200, Factor: 5, Note: "kick-off",
		}},
		"plan-remove.v1": {from("content", "cms", 4), &Plan{Action: PlanRemove, Fleet: "edge", Name: "derby"}},
		"decision.v1": {from("controller", "surgewall-controller-0", 10), &Decision{
			At: at, Fleet: "edge", From: 3, To: 9, Desired: 12, Mode: "direct", Path: "spike", Reason: "12000 rps at a target of 1000 per edge",
			Limits: []string{"step"}, Load: DecisionLoad{OfferedRPS: 6000, FastRPS: 12000, HitRatio: 0.97},
			Written: true, WrittenAt: at.Add(40 * time.Millisecond), Error: "none",
		}},
		"content-purge.v1": {named("release-41"), &Content{
			Action: ContentPurge, Scope: ScopeURL, Values: []string{"https://www.example.com/a?b=<c>", "http://www.example.com/"}, Principal: "cms", Reason: "corrected",
		}},
		"content-soft.v1": {named("01JDCKQ3M9ZT"), &Content{Action: ContentSoft, Scope: ScopeTag, Values: []string{"article-7"}, Host: "www.example.com", Principal: "cms"}},
		"content-all.v1":  {named("everything-1"), &Content{Action: ContentPurge, Scope: ScopeAll, Principal: "operator"}},
		"content-prefetch.v1": {named("warm.1"), &Content{
			Action: ContentPrefetch, Scope: ScopeURL, Values: []string{"https://www.example.com/live/init.mp4"}, Principal: "cms",
		}},
		"applied.v1": {from("edge", "edge-5c9f7d8b6-x2x7q", 46), &Applied{
			Role: "edge", Position: PositionOf("release-41", 1207).String(), Live: true, Applied: 12, Gaps: 1, Closing: true,
		}},
		"audit.v1": {from("controller", "surgewall-controller-0", 12), &Audit{
			At: at, Call: "purge", Outcome: "accepted", Principal: "cms", Remote: "192.0.2.7:41234", ContentID: "release-41", Scope: "url", Soft: true, Values: 2,
			First: "https://www.example.com/a?b=<c>", Reason: "corrected", Error: "none",
		}},
	}
}

func TestGolden(t *testing.T) {
	for name, sample := range samples() {
		t.Run(name, func(t *testing.T) {
			m, err := Encode(sample.Attributes, sample.Body)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", name+".json")
			if *update {
				writeGolden(t, file, m)
			}
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var w wire
			if err := json.Unmarshal(content, &w); err != nil {
				t.Fatal(err)
			}
			golden := w.message(t)
			if !reflect.DeepEqual(m, golden) {
				t.Errorf("encoded\n%+v\n%s\nwant\n%+v\n%s", m, m.Body, golden, golden.Body)
			}
			got, err := Decode(golden)
			if err != nil {
				t.Fatal(err)
			}
			want := sample
			want.ID, want.Type = m.MessageID, sample.Body.eventType()
			if !reflect.DeepEqual(got, want) {
				t.Errorf("decoded %+v %+v, want %+v %+v", got.Attributes, got.Body, want.Attributes, want.Body)
			}
		})
	}
}

func writeGolden(t *testing.T, file string, m Message) {
	t.Helper()
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	w := wire{m.Exchange, m.Key, m.ContentType, m.MessageID, m.UserID, m.Headers, m.Body}
	if err := enc.Encode(w); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
