package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/controllers/fleet"
	"github.com/surgewall/surgewall/controllers/plan"
)

// planner is a controller that keeps plans and wants the token "secret".
func planner(t *testing.T) string {
	kept := []fleet.PlanStatus{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/fleets/edge/plans", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(fleet.PlanList{Plans: kept})
	})
	mux.HandleFunc("POST /v1/fleets/edge/plans", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			_ = json.NewEncoder(w).Encode(fleet.Problem{Error: "unauthorized"})
			return
		}
		var p plan.Plan
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
			t.Error(err)
		}
		p.By = "http"
		s := fleet.PlanStatus{Plan: p, State: "waiting", Warning: "floor is more than max-replicas"}
		kept = append(kept, s)
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(s)
	})
	mux.HandleFunc("DELETE /v1/fleets/edge/plans/{name}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("name") != "derby" {
			w.WriteHeader(http.StatusNotFound)
			_ = json.NewEncoder(w).Encode(fleet.Problem{Error: plan.ErrUnknown.Error()})
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestPlans(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"SURGEWALL_CONTROLLER": planner(t), "SURGEWALL_TOKEN_FILE": file}
	at := time.Now().Add(2 * time.Hour).UTC().Truncate(time.Minute)
	when := "at " + at.Format(time.RFC3339)
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"plan", "add", "edge", when + ", ×5, ramp 10 m, for 2 h", "--name", "derby", "--note", "kick-off"}, exitOK, "added derby: " + when + ", x5, ramp 10m, for 2h"},
		{[]string{"plan", "add", "edge", "at", at.Format("2006-01-02"), at.Format("15:04"), "25", "edges", "for", "90m", "--zone", "UTC", "--name", "late"}, exitOK, "added late: " + when + ", 25 edges, for 1h30m"},
		{[]string{"plan", "list", "edge"}, exitOK, "derby  waiting"},
		{[]string{"plan", "list", "edge", "-o", "json"}, exitOK, `"ramp": "10m"`},
		{[]string{"plan", "rm", "edge", "derby"}, exitOK, "removed derby"},
		{[]string{"plan", "rm", "edge", "none"}, exitFailure, "there is no such plan"},
		{[]string{"plan", "add", "edge", "tonight"}, exitUsage, `"tonight" is not understood: want "at TIME`},
		{[]string{"plan", "add", "edge", "at 20:55 x500 for 2h"}, exitUsage, "factor 500: 1.01 to 100 are allowed"},
		{[]string{"plan", "add", "edge", when + " x5 for 2h", "--name", "A"}, exitUsage, `name "A"`},
		{[]string{"plan", "add", "edge", when + " x5 for 2h", "--zone", "Mars"}, exitUsage, `--zone: "Mars"`},
		{[]string{"plan", "add", "edge", when + " x5 for 2h", "--token-file", "/nowhere"}, exitUsage, "--token-file"},
		{[]string{"plan", "add", "edge", when + " x5 for 2h", "--token-file", ""}, exitFailure, "give its file with --token-file"},
	} {
		code, out, log := call(t, env, tc.args...)
		if code != tc.code || !strings.Contains(out+log, tc.want) {
			t.Errorf("%v: exit %d, want %d with %q: %s%s", tc.args, code, tc.code, tc.want, out, log)
		}
	}
}
