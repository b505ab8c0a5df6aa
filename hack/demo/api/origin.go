package api

import (
	"context"
	"net/http"
)

// Origin is the admin side of a demo origin, by its base URL.
type Origin string

// OriginStats is what an origin has counted since its start or its last reset.
type OriginStats struct {
	Fetches        uint64 `json:"fetches"`
	Objects        int    `json:"objects"`
	Failed         uint64 `json:"failed"`
	Untracked      uint64 `json:"untracked"`
	MaxPerLifetime uint64 `json:"max_per_lifetime"` // most fetches of one object within one freshness lifetime
	WorstObject    string `json:"worst_object"`
}

// OriginControl is how an origin behaves; nil leaves a setting as it is.
type OriginControl struct {
	LatencyMS *int     `json:"latency_ms,omitempty"`
	FailRatio *float64 `json:"fail_ratio,omitempty"`
	MaxAgeS   *int     `json:"max_age_s,omitempty"`
	RateBytes *int     `json:"rate_bytes,omitempty"`
}

// Stats asks for the sums.
func (o Origin) Stats(ctx context.Context) (s OriginStats, err error) {
	return s, call(ctx, http.MethodGet, string(o)+"/stats", nil, &s)
}

// Fetches asks how often one object was fetched; path is its path with its query.
func (o Origin) Fetches(ctx context.Context, path string) (uint64, error) {
	var account struct {
		Fetches uint64 `json:"fetches"`
	}
	err := Again(ctx, func() error { return call(ctx, http.MethodGet, string(o)+"/objects"+path, nil, &account) })
	return account.Fetches, err
}

// Control changes how it behaves.
func (o Origin) Control(ctx context.Context, c OriginControl) error {
	return Again(ctx, func() error { return call(ctx, http.MethodPost, string(o)+"/control", c, nil) })
}

// Reset sets all counts to zero.
func (o Origin) Reset(ctx context.Context) error {
	return Again(ctx, func() error { return call(ctx, http.MethodPost, string(o)+"/reset", nil, nil) })
}
