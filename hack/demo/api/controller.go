package api

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Controller is the controller's HTTP API, by its base URL.
type Controller string

// Fleet is what the controller says of one fleet; fields that the demo has no use for are left out.
type Fleet struct {
	Fleet    string `json:"fleet"`
	Mode     string `json:"mode"`
	Leader   string `json:"leader"`
	IsLeader bool   `json:"is_leader"`
	Policy   struct {
		ResourceVersion string            `json:"resource_version"`
		AcceptedAt      time.Time         `json:"accepted_at"`
		Values          map[string]string `json:"values"`
		Error           string            `json:"error"`
	} `json:"policy"`
	Signal struct {
		State   string            `json:"state"` // LIVE, PARTIAL or BLIND
		Known   int               `json:"known"`
		Live    int               `json:"live"`
		Lost    uint64            `json:"lost_events"`
		Dropped map[string]uint64 `json:"dropped"`
	} `json:"signal"`
	Load struct {
		OfferedRPS float64 `json:"offered_rps"`
		FastRPS    float64 `json:"fast_rps"`
		HitRatio   float64 `json:"hit_ratio"`
	} `json:"load"`
	Replicas struct {
		Desired int `json:"desired"`
		Spec    int `json:"spec"`
		Ready   int `json:"ready"`
	} `json:"replicas"`
	Decision Decision `json:"decision"`
}

// Decision is one decision of the controller.
type Decision struct {
	At        time.Time `json:"at"`
	From      int       `json:"from"`
	To        int       `json:"to"`
	Desired   int       `json:"desired"`
	Path      string    `json:"path"`
	Reason    string    `json:"reason"`
	Written   bool      `json:"written"`
	WrittenAt time.Time `json:"written_at"`
	Error     string    `json:"error"`
	Load      struct {
		OfferedRPS float64 `json:"offered_rps"`
	} `json:"load"`
	// Inputs are absent in a decision that the answering replica did not make itself.
	Inputs *struct {
		Signal string `json:"signal"`
	} `json:"inputs"`
}

// Fleet asks for one fleet.
func (c Controller) Fleet(ctx context.Context, fleet string) (f Fleet, err error) {
	return f, call(ctx, http.MethodGet, string(c)+"/v1/fleets/"+url.PathEscape(fleet), nil, &f)
}

// Decisions asks for a fleet's decisions since a time, newest last.
func (c Controller) Decisions(ctx context.Context, fleet string, since time.Time) ([]Decision, error) {
	var answer struct {
		Decisions []Decision `json:"decisions"`
	}
	query := url.Values{"since": {since.UTC().Format(time.RFC3339Nano)}}
	err := call(ctx, http.MethodGet, string(c)+"/v1/fleets/"+url.PathEscape(fleet)+"/decisions?"+query.Encode(), nil, &answer)
	return answer.Decisions, err
}
