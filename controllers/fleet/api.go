package fleet

import (
	"encoding/json"
	"net/http"
	"time"
)

// FleetList is the answer to GET /v1/fleets.
type FleetList struct {
	Fleets []Status `json:"fleets"`
}

// DecisionList is the answer to GET /v1/fleets/{fleet}/decisions.
type DecisionList struct {
	Decisions []Record `json:"decisions"`
}

// Problem is the answer to a request that failed.
type Problem struct {
	Error string `json:"error"`
}

// Handler serves the state of the fleets as JSON. Whoever calls to write has to
// pass the guard first; without one, nobody can.
//
//	GET /v1/fleets
//	GET /v1/fleets/{fleet}
//	GET /v1/fleets/{fleet}/decisions?since=RFC3339
//	GET /v1/fleets/{fleet}/windows?since=RFC3339
//	GET /v1/fleets/{fleet}/plans
//	POST /v1/fleets/{fleet}/plans
//	DELETE /v1/fleets/{fleet}/plans/{plan}
//	POST /v1/fleets/{fleet}/policy/check
func (m *Manager) Handler(guard func(http.Handler) http.Handler) http.Handler {
	if guard == nil {
		guard = func(http.Handler) http.Handler { return http.HandlerFunc(readOnly) }
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/fleets/{fleet}/plans", func(w http.ResponseWriter, r *http.Request) {
		if plans, ok := m.Plans(r.PathValue("fleet")); ok {
			answer(w, http.StatusOK, PlanList{plans})
			return
		}
		noFleet(w, r)
	})
	mux.HandleFunc("POST /v1/fleets/{fleet}/policy/check", m.checkPolicy) // it reads only, whatever the method
	mux.Handle("POST /v1/fleets/{fleet}/plans", guard(http.HandlerFunc(m.addPlan)))
	mux.Handle("DELETE /v1/fleets/{fleet}/plans/{plan}", guard(http.HandlerFunc(m.removePlan)))
	mux.HandleFunc("GET /v1/fleets", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, FleetList{m.Statuses()})
	})
	mux.HandleFunc("GET /v1/fleets/{fleet}", func(w http.ResponseWriter, r *http.Request) {
		if s, ok := m.Status(r.PathValue("fleet")); ok {
			answer(w, http.StatusOK, s)
			return
		}
		noFleet(w, r)
	})
	mux.HandleFunc("GET /v1/fleets/{fleet}/decisions", func(w http.ResponseWriter, r *http.Request) {
		since, ok := sinceOf(w, r)
		if !ok {
			return
		}
		if records, ok := m.Decisions(r.PathValue("fleet"), since); ok {
			answer(w, http.StatusOK, DecisionList{records})
			return
		}
		noFleet(w, r)
	})
	mux.HandleFunc("GET /v1/fleets/{fleet}/windows", func(w http.ResponseWriter, r *http.Request) {
		since, ok := sinceOf(w, r)
		if !ok {
			return
		}
		if windows, ok := m.Windows(r.PathValue("fleet"), since); ok {
			answer(w, http.StatusOK, windows)
			return
		}
		noFleet(w, r)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusNotFound, Problem{"no such resource; try GET /v1/fleets"})
	})
	return mux
}

// sinceOf is the time of the parameter since, zero without it. A bad one is
// answered.
func sinceOf(w http.ResponseWriter, r *http.Request) (since time.Time, ok bool) {
	v := r.URL.Query().Get("since")
	if v == "" {
		return since, true
	}
	since, err := time.Parse(time.RFC3339, v)
	if err != nil {
		answer(w, http.StatusBadRequest, Problem{"since: want a time in RFC 3339 such as 2026-06-14T20:00:00Z"})
	}
	return since, err == nil
}

func readOnly(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusForbidden, Problem{"this controller takes no writes over HTTP: start it with --api-token-file"})
}

func noFleet(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusNotFound, Problem{"no policy ConfigMap names the fleet " + r.PathValue("fleet")})
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	// An error here is a client that left.
	_ = json.NewEncoder(w).Encode(body)
}
