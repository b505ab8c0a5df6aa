package api

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/controllers/fleet"
	"github.com/surgewall/surgewall/controllers/updates"
)

// TestFleetReadsWhatTheControllerWrites keeps the names of the fields in step with the controller's own types.
func TestFleetReadsWhatTheControllerWrites(t *testing.T) {
	at := time.Date(2026, time.June, 14, 20, 0, 0, 0, time.UTC)
	record := fleet.Record{At: at, From: 2, To: 6, Desired: 6, Path: "spike", Reason: "because", Written: true, WrittenAt: at,
		Load: fleet.Load{OfferedRPS: 280}, Inputs: &fleet.Inputs{Signal: "LIVE"}}
	status := fleet.Status{
		Fleet: "edge", Mode: "direct", Leader: "a", IsLeader: true, Decision: &record,
		Policy:   fleet.Policy{ResourceVersion: "7", AcceptedAt: at, Values: map[string]string{"mode": "direct"}, Error: "no"},
		Signal:   fleet.Signal{State: "LIVE", Known: 3, Live: 2, LostEvents: 4, Dropped: map[string]uint64{"stale": 5}},
		Replicas: fleet.Replicas{Desired: 6, Spec: 6, Ready: 2},
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/fleets/edge":
			json.NewEncoder(w).Encode(status)
		case "/v1/fleets/edge/decisions":
			if since, err := time.Parse(time.RFC3339, r.URL.Query().Get("since")); err != nil || !since.Equal(at) {
				t.Errorf("since %v, %v", since, err)
			}
			json.NewEncoder(w).Encode(fleet.DecisionList{Decisions: []fleet.Record{record}})
		default:
			http.Error(w, `{"error":"no fleet"}`, http.StatusNotFound)
		}
	}))
	defer s.Close()
	c := Controller(s.URL)
	f, err := c.Fleet(t.Context(), "edge")
	if err != nil {
		t.Fatal(err)
	}
	if f.Fleet != "edge" || f.Mode != "direct" || f.Leader != "a" || !f.IsLeader || f.Policy.ResourceVersion != "7" || f.Policy.Values["mode"] != "direct" ||
		f.Policy.Error != "no" || f.Signal.State != "LIVE" || f.Signal.Known != 3 || f.Signal.Live != 2 || f.Signal.Lost != 4 || f.Signal.Dropped["stale"] != 5 ||
		f.Replicas.Spec != 6 || f.Replicas.Ready != 2 || f.Replicas.Desired != 6 || f.Decision.Reason != "because" || f.Decision.To != 6 {
		t.Errorf("%+v", f)
	}
	decisions, err := c.Decisions(t.Context(), "edge", at)
	if err != nil || len(decisions) != 1 || !decisions[0].Written || !decisions[0].WrittenAt.Equal(at) || decisions[0].Path != "spike" ||
		decisions[0].Load.OfferedRPS != 280 || decisions[0].Inputs == nil || decisions[0].Inputs.Signal != "LIVE" {
		t.Errorf("%v %+v", err, decisions)
	}
	if _, err := c.Fleet(t.Context(), "other"); err == nil || !strings.Contains(err.Error(), "no fleet") {
		t.Errorf("an error answer: %v", err)
	}
}

// TestPurgeReadsWhatTheControllerWrites keeps the names of the fields in step with the controller's own types.
func TestPurgeReadsWhatTheControllerWrites(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		text, _ := io.ReadAll(r.Body)
		if sent := r.Header.Get("Content-Type") == "application/json"; sent != (len(text) > 0) {
			t.Errorf("%s %s: said to be JSON: %v", r.Method, r.URL.Path, sent)
		}
		switch got := r.Method + " " + r.URL.Path + " " + string(text); got {
		case `POST /v1/purge {"scope":"url","values":["http://a.example/x"]}`:
			w.WriteHeader(http.StatusAccepted)
		case "GET /v1/purges/p ":
		default:
			t.Error(got)
		}
		json.NewEncoder(w).Encode(updates.Update{ID: "p", State: "Complete", Applied: 3, Replicas: 4, Progress: []updates.Progress{{Role: "edge", Pod: "e-1", State: "applied"}}})
	}))
	defer s.Close()
	c := Controller(s.URL)
	for name, ask := range map[string]func() (Update, error){
		"purge": func() (Update, error) { return c.Purge(t.Context(), "secret", "http://a.example/x") },
		"state": func() (Update, error) { return c.Update(t.Context(), "secret", "p") },
	} {
		u, err := ask()
		if err != nil || u.ID != "p" || u.State != "Complete" || u.Applied != 3 || u.Replicas != 4 || len(u.Progress) != 1 || u.Progress[0].Role != "edge" || u.Progress[0].Pod != "e-1" || u.Progress[0].State != "applied" {
			t.Errorf("%s: %v %+v", name, err, u)
		}
	}
	if _, err := c.Update(t.Context(), "", "p"); err == nil || !strings.Contains(err.Error(), "who are you") {
		t.Errorf("without a token: %v", err)
	}
}

// TestAnOriginThatIsBusyIsAskedAgain: a call that failed is made again, and one that fails each time is told.
func TestAnOriginThatIsBusyIsAskedAgain(t *testing.T) {
	asked, well := 0, 3
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked < well {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		w.Write([]byte(`{"fetches": 7}`))
	}))
	defer s.Close()
	if n, err := Origin(s.URL).Fetches(t.Context(), "/obj/a"); err != nil || n != 7 || asked != 3 {
		t.Errorf("%d, %v after %d calls", n, err, asked)
	}
	asked, well = 0, 99
	if err := Origin(s.URL).Reset(t.Context()); err == nil || !strings.Contains(err.Error(), "busy") || asked != 3 {
		t.Errorf("%v after %d calls", err, asked)
	}
}

func TestOriginCalls(t *testing.T) {
	var got []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Method+" "+r.URL.RequestURI())
		w.Write([]byte(`{"fetches": 3, "max_per_lifetime": 2, "worst_object": "/obj/a"}`))
	}))
	defer s.Close()
	o, ctx := Origin(s.URL), t.Context()
	stats, err := o.Stats(ctx)
	if err != nil || stats.Fetches != 3 || stats.MaxPerLifetime != 2 || stats.WorstObject != "/obj/a" {
		t.Errorf("%+v %v", stats, err)
	}
	if n, err := o.Fetches(ctx, "/obj/a?bytes=1"); n != 3 || err != nil {
		t.Errorf("%d %v", n, err)
	}
	age := 5
	if err := o.Control(ctx, OriginControl{MaxAgeS: &age}); err != nil {
		t.Error(err)
	}
	if err := o.Reset(ctx); err != nil {
		t.Error(err)
	}
	if want := "GET /stats,GET /objects/obj/a?bytes=1,POST /control,POST /reset"; strings.Join(got, ",") != want {
		t.Errorf("%v", got)
	}
}
