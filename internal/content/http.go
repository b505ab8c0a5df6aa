package content

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/surgewall/surgewall/events"
)

const (
	// Field is how a replica shows its position: a shield in each response, an edge in each request to a shield. It concerns one hop only.
	Field = "Surgewall-Content-Offset"
	// Path is where a replica hands out what follows a position.
	Path = "/.well-known/surgewall/content"
)

const (
	// awaitLimit is how long a shield that is behind an edge waits before it answers without trusting its store.
	awaitLimit = 500 * time.Millisecond
	// rangeEntries and rangeBytes bound one answer.
	rangeEntries = 256
	rangeBytes   = 4 << 20
	pullTimeout  = 2 * time.Second
)

// rangeBody is the answer at Path.
type rangeBody struct {
	// Position is how far the answering replica is.
	Position string `json:"position"`
	// Found is false where it does not know the position that was asked for: then there are no events.
	Found  bool        `json:"found"`
	Events []wireEvent `json:"events"`
}

type wireEvent struct {
	Offset      int64             `json:"offset"`
	Exchange    string            `json:"exchange"`
	Key         string            `json:"routing_key"`
	MessageID   string            `json:"message_id"`
	UserID      string            `json:"user_id"`
	ContentType string            `json:"content_type"`
	Headers     map[string]string `json:"headers"`
	Body        []byte            `json:"body"`
}

// Handler answers GET Path?after=<position> with the events that follow the position, as far as this replica has them; without a position, only
// with its own. It is for other replicas: mount it where clients do not get.
func (r *Replica) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Method != http.MethodGet {
			w.Header().Set("Allow", http.MethodGet)
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		var after events.Position
		if text := q.URL.Query().Get("after"); text != "" {
			var err error
			if after, err = events.ParsePosition(text); err != nil {
				http.Error(w, "after: "+err.Error(), http.StatusBadRequest)
				return
			}
		}
		r.mu.Lock()
		body := rangeBody{Events: []wireEvent{}}
		var entries []Entry
		live := r.live()
		if live {
			body.Position = r.position.String()
			entries, body.Found = r.log.after(after, rangeEntries)
		}
		r.mu.Unlock()
		if !live {
			// What a replica that is out of touch has is no news to anybody, and its silence no comfort.
			http.Error(w, "this replica is out of touch with the log", http.StatusServiceUnavailable)
			return
		}
		for _, e := range entries {
			m := e.Message
			body.Events = append(body.Events, wireEvent{e.Offset, m.Exchange, m.Key, m.MessageID, m.UserID, m.ContentType, m.Headers, m.Body})
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(body) // a client that left
	})
}

// decodeRange reads an answer of Handler.
func decodeRange(from io.Reader) (entries []Entry, found bool, theirs events.Position, err error) {
	var body rangeBody
	if err := json.NewDecoder(io.LimitReader(from, 2*rangeBytes)).Decode(&body); err != nil {
		return nil, false, theirs, fmt.Errorf("read the range: %w", err)
	}
	if body.Position != "" {
		if theirs, err = events.ParsePosition(body.Position); err != nil {
			return nil, false, theirs, err
		}
	}
	if len(body.Events) > rangeEntries {
		return nil, false, theirs, fmt.Errorf("%d events in a range, at most %d are allowed", len(body.Events), rangeEntries)
	}
	for i, e := range body.Events {
		if e.Offset < 0 || e.Offset > theirs.Offset || i > 0 && e.Offset != body.Events[i-1].Offset+1 || len(e.Body) > events.MaxBody {
			return nil, false, theirs, errors.New("events of a range are out of order, out of bounds or too large")
		}
		entries = append(entries, Entry{e.Offset, events.Message{
			Exchange: e.Exchange, Key: e.Key, MessageID: e.MessageID, UserID: e.UserID, ContentType: e.ContentType, Headers: e.Headers, Body: e.Body,
		}})
	}
	return entries, body.Found, theirs, nil
}

// pull asks one replica until this one is as far.
func (r *Replica) pull(ctx context.Context, client *http.Client, base string) error {
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	for {
		after := r.Position()
		target := base + Path
		if after.Known() {
			target += "?after=" + url.QueryEscape(after.String())
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		entries, found, theirs, err := func() ([]Entry, bool, events.Position, error) {
			defer response.Body.Close()
			if response.StatusCode != http.StatusOK {
				return nil, false, events.Position{}, fmt.Errorf("%s answers %s", base, response.Status)
			}
			return decodeRange(response.Body)
		}()
		if err != nil {
			return err
		}
		if !found && after.Known() && theirs.Known() && theirs.Offset < after.Offset {
			return nil // they are behind us
		}
		r.pulled(after, entries, found, theirs)
		if len(entries) == 0 || r.Position().Offset >= theirs.Offset {
			return nil
		}
	}
}

// Run looks at the time and pulls what it is told to, until the context ends.
func (r *Replica) Run(ctx context.Context) error {
	transport := r.o.Transport
	if transport == nil {
		own := &http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second}
		defer own.CloseIdleConnections()
		transport = own
	}
	// Nobody whom we ask sends us elsewhere.
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			r.Tick()
		case base := <-r.pulls:
			if err := r.pullAndTick(ctx, client, base, ticker.C); err != nil && ctx.Err() == nil {
				r.mu.Lock()
				r.counters.PullErrors++
				r.mu.Unlock()
				r.o.Logger.Debug().Err(err).Str("from", base).Msg("range of content updates not pulled")
			}
		}
	}
}

// pullAndTick pulls, and looks at the time meanwhile: who is asked may take long to answer, and what is due does not wait for that.
func (r *Replica) pullAndTick(ctx context.Context, client *http.Client, base string, ticks <-chan time.Time) error {
	pulled := make(chan error, 1)
	go func() { pulled <- r.pull(ctx, client, base) }()
	for {
		select {
		case err := <-pulled:
			return err
		case <-ticks:
			r.Tick()
		}
	}
}

// Greet serves an edge's request at a shield first: it answers at Path, and returns true; any other it holds back until what the edge has applied is
// applied here too, and shows our position in the response.
func (r *Replica) Greet(w http.ResponseWriter, q *http.Request) (answered bool) {
	if q.URL.Path == Path {
		r.Handler().ServeHTTP(w, q)
		return true
	}
	if text := q.Header.Get(Field); text != "" {
		// One that cannot be read is from no edge of ours.
		if claim, err := events.ParsePosition(text); err == nil {
			r.Await(q.Context(), claim, awaitLimit)
		}
	}
	r.mu.Lock()
	position, live := r.position, r.live()
	r.mu.Unlock()
	if live && position.Known() {
		w.Header()[Field] = []string{position.String()}
	}
	return false
}

// Forwarding sends an edge's requests to shields: each shows what the edge has applied, and what a shield shows is looked at and taken out.
func (r *Replica) Forwarding(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(q *http.Request) (*http.Response, error) {
		q.Header = q.Header.Clone()
		if position := r.Position(); position.Known() {
			q.Header[Field] = []string{position.String()}
		} else {
			delete(q.Header, Field)
		}
		response, err := next.RoundTrip(q)
		if err != nil {
			return response, err
		}
		if text := response.Header.Get(Field); text != "" {
			if position, err := events.ParsePosition(text); err == nil {
				r.Heard(q.URL.Scheme+"://"+q.URL.Host, position)
			}
			response.Header.Del(Field)
		}
		return response, nil
	})
}

// Facing serves for an edge: clients get nothing of what tiers tell each other.
func Facing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == Path {
			http.NotFound(w, q)
			return
		}
		next.ServeHTTP(w, q)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(q *http.Request) (*http.Response, error) { return f(q) }
