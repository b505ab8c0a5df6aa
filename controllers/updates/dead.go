package updates

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/surgewall/surgewall/events"
)

// deadTimeout bounds a look at the dead letters, maxDead how many are looked through.
const (
	deadTimeout = 10 * time.Second
	maxDead     = 10_000
)

// DeadLetter is a piece of work that nobody could do.
type DeadLetter struct {
	ID     string   `json:"id"`
	Key    string   `json:"key"`
	Values []string `json:"values,omitempty"`
	// Reason is why it died: delivery_limit, rejected, expired or maxlen.
	Reason    string `json:"reason"`
	Queue     string `json:"queue"`
	Principal string `json:"principal,omitempty"`
	Time      string `json:"time,omitempty"`
	// Body is there when one was asked for.
	Body string `json:"body,omitempty"`
}

// DeadList is the answer to GET /v1/dead.
type DeadList struct {
	Total int          `json:"total"`
	Dead  []DeadLetter `json:"dead"`
}

func letter(m events.Message, whole bool) DeadLetter {
	d := DeadLetter{ID: m.MessageID, Key: m.Key, Reason: m.Headers["x-first-death-reason"], Queue: m.Headers["x-first-death-queue"], Time: m.Headers["ce-time"]}
	if e, err := events.Decode(living(m)); err == nil {
		if c, ok := e.Body.(*events.Content); ok {
			d.Values, d.Principal = c.Values, c.Principal
		}
	}
	if whole {
		d.Body = events.CleanText(string(m.Body), events.MaxBody)
	}
	return d
}

// living is a dead letter as it was before it died: what the broker adds on the way is left out, or the broker would count its deaths on.
func living(m events.Message) events.Message {
	m.Exchange, m.Persistent = events.ExchangeContent, true
	m.Headers = maps.Clone(m.Headers)
	maps.DeleteFunc(m.Headers, func(name, _ string) bool { return strings.HasPrefix(name, "x-") })
	return m
}

func (a *API) dead(r *http.Request, t *Token, _ *events.Audit) answer {
	if !t.All() {
		return refuse(http.StatusForbidden, "forbidden", fmt.Errorf("token %s may not look at dead letters: that takes the grant all", t.Name))
	}
	limit, err := limitOf(r, 100, 1000)
	if err != nil {
		return refuse(http.StatusBadRequest, "refused", err)
	}
	if id := r.PathValue("id"); id != "" {
		var found *DeadLetter
		err := a.seek(r.Context(), id, func(m events.Message) (bool, error) {
			d := letter(m, true)
			found = &d
			return false, nil
		})
		if err != nil {
			return deadError(err)
		}
		return answer{code: http.StatusOK, body: found}
	}
	list := DeadList{Dead: []DeadLetter{}}
	ctx, cancel := context.WithTimeout(r.Context(), deadTimeout)
	defer cancel()
	list.Total, err = a.o.Shelf.Visit(ctx, limit, func(m events.Message) (bool, bool, error) {
		list.Dead = append(list.Dead, letter(m, false))
		return false, false, nil
	})
	if err != nil {
		return deadError(err)
	}
	return answer{code: http.StatusOK, body: list}
}

// errNotDead is for an id that no dead letter has.
var errNotDead = errors.New("no dead letter has this id")

// seek calls do for the dead letter with an id, and takes it out if do says so.
func (a *API) seek(ctx context.Context, id string, do func(m events.Message) (take bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, deadTimeout)
	defer cancel()
	found := false
	_, err := a.o.Shelf.Visit(ctx, maxDead, func(m events.Message) (take, stop bool, err error) {
		if m.MessageID != id {
			return false, false, nil
		}
		found = true
		take, err = do(m)
		return take, true, err
	})
	if err == nil && !found {
		return errNotDead
	}
	return err
}

func deadError(err error) answer {
	if errors.Is(err, errNotDead) {
		return refuse(http.StatusNotFound, "refused", err)
	}
	return refuse(http.StatusServiceUnavailable, "unavailable", err)
}

func (a *API) requeue(r *http.Request, t *Token, trace *events.Audit) answer {
	return a.decide(r, t, trace, func(ctx context.Context, m events.Message) error {
		// First in the queue again, and only then no dead letter any more: twice is better than never.
		ctx, cancel := context.WithTimeout(ctx, publishTimeout)
		defer cancel()
		return a.o.Publisher.Publish(ctx, living(m))
	})
}

func (a *API) drop(r *http.Request, t *Token, trace *events.Audit) answer {
	return a.decide(r, t, trace, func(context.Context, events.Message) error { return nil })
}

// decide takes a dead letter out after do.
func (a *API) decide(r *http.Request, t *Token, trace *events.Audit, do func(context.Context, events.Message) error) answer {
	id := r.PathValue("id")
	trace.ContentID = id
	if !t.All() {
		return refuse(http.StatusForbidden, "forbidden", fmt.Errorf("token %s may not decide on dead letters: that takes the grant all", t.Name))
	}
	ctx := context.WithoutCancel(r.Context())
	var done DeadLetter
	err := a.seek(ctx, id, func(m events.Message) (bool, error) {
		done = letter(m, false)
		err := do(ctx, m)
		return err == nil, err
	})
	if err != nil {
		return deadError(err)
	}
	return answer{code: http.StatusOK, outcome: "accepted", body: done}
}
