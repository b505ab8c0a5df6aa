package main

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/controllers/fleet"
	"github.com/surgewall/surgewall/controllers/ingest"
	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/telemetry"
)

// TestWhatCannotBeDecodedCountsOnce has two fleets, of which one sent a message twice, and one message that is nobody's.
func TestWhatCannotBeDecodedCountsOnce(t *testing.T) {
	in := ingest.New(ingest.Options{Replica: "c-1", Now: func() time.Time { return time.Unix(1, 0) }, Logger: zerolog.Nop()})
	in.Handle(events.Message{Exchange: events.ExchangeTelemetry, Key: "rate.edge.a", ContentType: "text/plain", UserID: "edge"})
	m, err := events.EncodeRate(events.Attributes{Source: events.Source("edge", "a"), BootID: "boot-0001", Seq: 1}, events.Rate{WindowMS: 1000, Offered: 1})
	if err != nil {
		t.Fatal(err)
	}
	in.Handle(m)
	in.Handle(m)
	statuses := func() []fleet.Status {
		var all []fleet.Status
		for _, name := range []string{"edge", "news"} {
			s := fleet.Status{Fleet: name, Signal: fleet.Signal{Dropped: map[string]uint64{}}}
			for reason, n := range in.Read(name, ingest.Clamp{}).Dropped {
				s.Signal.Dropped[string(reason)] = n
			}
			all = append(all, s)
		}
		return all
	}
	registry := telemetry.NewRegistry("controller", "test")
	watchDropped(registry, statuses, in.Unattributed)
	answer := httptest.NewRecorder()
	registry.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	var got []string
	for line := range strings.Lines(answer.Body.String()) {
		if strings.HasPrefix(line, "surgewall_telemetry_dropped_total{") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	want := []string{
		`surgewall_telemetry_dropped_total{fleet="",reason="malformed"} 1`,
		`surgewall_telemetry_dropped_total{fleet="edge",reason="duplicate"} 1`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
