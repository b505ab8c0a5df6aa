package updates

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"

	"github.com/surgewall/surgewall/events"
)

// prefetchRequest is the body of POST /v1/prefetch.
type prefetchRequest struct {
	ID     string   `json:"id"`
	URLs   []string `json:"urls"`
	Reason string   `json:"reason"`
	DryRun bool     `json:"dry_run"`
}

// Queued is the answer to a prefetch.
type Queued struct {
	ID     string `json:"id"`
	Queued int    `json:"queued"`
	DryRun bool   `json:"dry_run,omitempty"`
}

func (a *API) prefetch(r *http.Request, t *Token, trace *events.Audit) answer {
	var q prefetchRequest
	if code, err := read(r, &q); err != nil {
		return refuse(code, "refused", err)
	}
	id, err := idOf(r, q.ID)
	describe(trace, id, &events.Content{Scope: events.ScopeURL, Values: q.URLs, Reason: q.Reason})
	if err == nil && (len(q.URLs) == 0 || len(q.URLs) > maxPrefetch) {
		err = fmt.Errorf("%d urls: 1 to %d are allowed", len(q.URLs), maxPrefetch)
	}
	if err != nil {
		return refuse(http.StatusBadRequest, "refused", err)
	}
	// One piece of work for each, since they go to different shields.
	work := make([]events.Content, len(q.URLs))
	for i, u := range q.URLs {
		work[i] = events.Content{Action: events.ContentPrefetch, Scope: events.ScopeURL, Values: []string{u}, Principal: t.Name, Reason: q.Reason}
		if err := work[i].Check(); err != nil {
			return refuse(http.StatusBadRequest, "refused", fmt.Errorf("url %d: %w", i+1, err))
		}
		if err := t.Allows(&work[i]); err != nil {
			return refuse(http.StatusForbidden, "forbidden", err)
		}
	}
	if q.DryRun {
		return answer{code: http.StatusOK, outcome: "dry-run", body: Queued{id, len(work), true}}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), publishTimeout)
	defer cancel()
	for i, err := range a.publishAll(ctx, id, work) {
		if err != nil {
			code := http.StatusServiceUnavailable
			if errors.Is(err, ErrFull) {
				code = http.StatusTooManyRequests
			}
			return refuse(code, "unavailable", fmt.Errorf("url %d: %w; try again with the id %s", i+1, err, id))
		}
	}
	return answer{code: http.StatusAccepted, outcome: "accepted", body: Queued{ID: id, Queued: len(work)}}
}

// publishAll publishes at once, since each waits for its confirm.
func (a *API) publishAll(ctx context.Context, id string, work []events.Content) []error {
	errs := make([]error, len(work))
	turns := make(chan struct{}, 64)
	var wg sync.WaitGroup
	for i, c := range work {
		part := id
		if len(work) > 1 {
			part += "." + strconv.Itoa(i+1)
		}
		m, err := events.EncodeContent(a.o.Next(a.o.Now()), part, c)
		if err != nil {
			errs[i] = err
			continue
		}
		turns <- struct{}{}
		wg.Go(func() {
			errs[i] = a.o.Publisher.Publish(ctx, m)
			<-turns
		})
	}
	wg.Wait()
	return errs
}
