package api

import (
	"context"
	"net/http"
	"net/url"
)

// Update is a content update, and how far the replicas are with it.
type Update struct {
	ID       string `json:"id"`
	State    string `json:"state"` // Published, Applying or Complete
	Applied  int    `json:"applied"`
	Replicas int    `json:"replicas"`
	Progress []struct {
		Role  string `json:"role"`
		Pod   string `json:"pod"`
		State string `json:"state"`
	} `json:"progress"`
}

// Purge has URLs purged on every edge and shield.
func (c Controller) Purge(ctx context.Context, token string, urls ...string) (u Update, err error) {
	body := map[string]any{"scope": "url", "values": urls}
	return u, authorized(ctx, token, http.MethodPost, string(c)+"/v1/purge", body, &u)
}

// Update asks how far the replicas are with an update.
func (c Controller) Update(ctx context.Context, token, id string) (u Update, err error) {
	return u, authorized(ctx, token, http.MethodGet, string(c)+"/v1/purges/"+url.PathEscape(id), nil, &u)
}
