package updates

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/events"
)

// broker stands for the real one: it stores, refuses or hangs.
type broker struct {
	mu       sync.Mutex
	err      error
	hang     bool
	messages []events.Message
	dead     []events.Message
}

func (b *broker) Publish(ctx context.Context, m events.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hang {
		<-ctx.Done()
		return errors.New("the broker did not answer")
	}
	if b.err == nil {
		b.messages = append(b.messages, m)
	}
	return b.err
}

func (b *broker) Visit(_ context.Context, limit int, each func(events.Message) (bool, bool, error)) (int, error) {
	b.mu.Lock()
	all := slices.Clone(b.dead)
	b.mu.Unlock()
	for i, m := range all[:min(limit, len(all))] {
		take, stop, err := each(m)
		if take {
			b.dead = slices.Delete(b.dead, i, i+1)
		}
		if stop || err != nil {
			return len(all), err
		}
	}
	return len(all), nil
}

type rig struct {
	*broker
	api     *API
	tracker *Tracker
	audits  []events.Audit
	log     strings.Builder
	text    string
	reads   int // of the tokens
}

const tokenText = `
# who  hash  what
ops   %s all
cms   %s host:www.example.com tag:article-* prefix:https://shop.example.com/news/
`

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{broker: new(broker), tracker: NewTracker(nil), text: fmt.Sprintf(tokenText, Hash("ops-secret"), Hash("cms-secret"))}
	var seq uint64
	r.api = New(Options{
		Tokens: func() ([]Token, error) { r.reads++; return ParseTokens(r.text) },
		Next: func(now time.Time) events.Attributes {
			seq++
			return events.Attributes{Source: "/controller/c-0", Time: now, BootID: "0123456789abcdef", Seq: seq}
		},
		Publisher: r.broker, Shelf: r.broker, Tracker: r.tracker, Logger: zerolog.New(&r.log),
		Audit: func(m events.Message) {
			m.UserID = "controller"
			e, err := events.Decode(m)
			if err != nil {
				t.Error(err)
				return
			}
			r.audits = append(r.audits, *e.Body.(*events.Audit))
		},
	})
	return r
}

func (r *rig) call(method, path, token, body string, headers ...string) (int, string) {
	w, q := httptest.NewRecorder(), httptest.NewRequest(method, path, strings.NewReader(body))
	q.Header.Set("Content-Type", "application/json")
	if token != "" {
		q.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		q.Header.Set(headers[i], headers[i+1])
	}
	r.api.ServeHTTP(w, q)
	return w.Code, w.Body.String()
}

func TestWhoMayPurgeWhat(t *testing.T) {
	for _, c := range []struct {
		token, body string
		code        int
		outcome     string
		want        string
	}{
		{"", `{"scope":"all"}`, 401, "unauthorized", "Bearer"},
		{"wrong", `{"scope":"all"}`, 401, "unauthorized", "Bearer"},
		{"ops-secret", `{"scope":"all"}`, 202, "accepted", "Published"},
		{"cms-secret", `{"scope":"all"}`, 403, "forbidden", "grant all"},
		{"cms-secret", `{"scope":"url","values":["https://www.example.com/a","http://WWW.example.com:80/b"]}`, 202, "accepted", ""},
		{"cms-secret", `{"scope":"host","values":["www.example.com"],"soft":true}`, 202, "accepted", `"soft"`},
		{"cms-secret", `{"scope":"host","values":["shop.example.com"]}`, 403, "forbidden", "may not purge host"},
		{"cms-secret", `{"scope":"prefix","values":["http://shop.example.com/news/today"]}`, 202, "accepted", ""},
		{"cms-secret", `{"scope":"prefix","values":["http://shop.example.com/new"]}`, 403, "forbidden", ""},
		{"cms-secret", `{"scope":"url","values":["http://shop.example.com/news/../cart"]}`, 403, "forbidden", ""},
		{"cms-secret", `{"scope":"url","values":["http://shop.example.com/news/%2e%2e/cart"]}`, 403, "forbidden", ""},
		{"cms-secret", `{"scope":"url","values":["http://shop.example.com/news/a","http://shop.example.com/cart"]}`, 403, "forbidden", "/cart"},
		{"cms-secret", `{"scope":"tag","values":["article-7"]}`, 202, "accepted", ""},
		{"cms-secret", `{"scope":"tag","values":["front"]}`, 403, "forbidden", ""},
		{"cms-secret", `{"scope":"tag","values":["front"],"host":"www.example.com"}`, 202, "accepted", ""},
		{"cms-secret", `{"scope":"group","values":["g"],"host":"shop.example.com"}`, 403, "forbidden", ""},
		{"ops-secret", `{"scope":"url","values":["/a"]}`, 400, "refused", "value 1"},
		{"ops-secret", `{"scope":"regex","values":["a"]}`, 400, "refused", "scope"},
		{"ops-secret", `{"scope":"all","id":"a b"}`, 400, "refused", "id"},
		{"ops-secret", `{"scope":"all","id":"` + strings.Repeat("x", 59) + `"}`, 400, "refused", "at most 58"},
		{"ops-secret", `{"scope":"all","ttl":1}`, 400, "refused", "ttl"},
		{"ops-secret", `{"scope":"all"}{}`, 400, "refused", "nothing after"},
		{"ops-secret", `{"scope":"tag","values":["` + strings.Repeat("x", 200_000) + `"]}`, 413, "refused", "bytes"},
		{"cms-secret", `{"scope":"host","values":["www.example.com"],"dry_run":true}`, 200, "dry-run", "dry_run"},
	} {
		r := newRig(t)
		code, body := r.call("POST", "/v1/purge", c.token, c.body)
		if code != c.code || !strings.Contains(body, c.want) {
			t.Errorf("%.120s as %q: %d %s, want %d with %s", c.body, c.token, code, body, c.code, c.want)
		}
		if (len(r.messages) == 1) != (code == 202) {
			t.Errorf("%.120s: %d messages", c.body, len(r.messages))
		}
		if len(r.audits) != 1 || r.audits[0].Outcome != c.outcome || r.audits[0].Call != "purge" {
			t.Errorf("%.120s: audit %+v, want %s", c.body, r.audits, c.outcome)
		}
		if strings.Contains(r.log.String()+body, "-secret") {
			t.Errorf("%.120s: a token is in the log or the answer", c.body)
		}
	}
}

func TestAnIDIsPublishedOnce(t *testing.T) {
	r := newRig(t)
	if code, body := r.call("POST", "/v1/purge", "ops-secret", `{"scope":"tag","values":["a"]}`, "Idempotency-Key", `"release-41"`); code != 202 || !strings.Contains(body, "release-41") {
		t.Fatal(code, body)
	}
	// Until the log shows it, it is published again: replicas take an id once.
	m := r.messages[0]
	m.UserID = "controller"
	e, err := events.Decode(m)
	if err != nil {
		t.Fatal(err)
	}
	r.tracker.Logged(e, events.PositionOf(e.ID, 7))
	if code, body := r.call("POST", "/v1/purge", "ops-secret", `{"scope":"tag","values":["a"],"id":"release-41","reason":"once more"}`); code != 202 || !strings.Contains(body, `"repeated":true`) {
		t.Error(code, body)
	}
	if code, body := r.call("POST", "/v1/purge", "ops-secret", `{"scope":"tag","values":["b"],"id":"release-41"}`); code != 409 || !strings.Contains(body, "another update") {
		t.Error(code, body)
	}
	if code, _ := r.call("POST", "/v1/purge", "ops-secret", `{"scope":"all","id":"x"}`, "Idempotency-Key", "y"); code != 400 {
		t.Error(code)
	}
	if len(r.messages) != 1 {
		t.Errorf("%d messages", len(r.messages))
	}
}

func TestABrokerThatDoesNotAnswerIs503In2s(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.hang = true
		began := time.Now()
		code, body := r.call("POST", "/v1/purge", "ops-secret", `{"scope":"all","id":"a"}`)
		if took := time.Since(began); code != 503 || took != 2*time.Second || !strings.Contains(body, "try again with the id a") {
			t.Errorf("%d after %v: %s", code, took, body)
		}
	})
}

func TestEachPrincipalHasItsOwnBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		count := func(token string, want int) (n int) {
			for range burst + 10 {
				if code, _ := r.call("POST", "/v1/purge", token, `{"scope":"tag","values":["article-1"]}`); code == want {
					n++
				}
			}
			return n
		}
		if n := count("cms-secret", 202); n != burst {
			t.Errorf("%d calls of one token", n)
		}
		if n := count("nobody", 401); n != burst {
			t.Errorf("%d calls of strangers", n)
		}
		if n := count("ops-secret", 202); n != burst {
			t.Errorf("%d calls of another token", n)
		}
		// Who is refused for calling too often costs nothing more than an answer.
		if r.reads != 1 {
			t.Errorf("the tokens were read %d times", r.reads)
		}
		if lines := strings.Count(r.log.String(), "\n"); len(r.audits) != 3*burst || lines != 3*burst {
			t.Errorf("%d events and %d lines of log, want %d", len(r.audits), lines, 3*burst)
		}
		limited := map[string]uint64{}
		r.api.Counts(func(_, outcome string, n uint64) { limited[outcome] = n })
		if limited["limited"] != 30 {
			t.Errorf("counted %v", limited)
		}
		time.Sleep(time.Second)
		if n := count("cms-secret", 202); n != perSecond {
			t.Errorf("%d calls a second later", n)
		}
	})
}

func TestATokenThatIsTakenAwayIsRefusedASecondLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		if code, _ := r.call("GET", "/v1/purges", "cms-secret", ""); code != 200 {
			t.Fatal(code)
		}
		r.text = "ops " + Hash("ops-secret") + " all"
		time.Sleep(tokensHold)
		if code, _ := r.call("GET", "/v1/purges", "cms-secret", ""); code != 401 {
			t.Error(code)
		}
		if code, _ := r.call("GET", "/v1/purges", "ops-secret", ""); code != 200 || r.reads != 2 {
			t.Errorf("%d after %d reads", code, r.reads)
		}
		// Who has no token at all needs no list of them.
		time.Sleep(tokensHold)
		if code, _ := r.call("GET", "/v1/purges", "", ""); code != 401 || r.reads != 2 {
			t.Errorf("%d after %d reads", code, r.reads)
		}
	})
}

func TestPrefetchIsWorkForEachURL(t *testing.T) {
	r := newRig(t)
	body := `{"urls":["http://www.example.com/a","http://www.example.com/b"],"id":"warm"}`
	if code, got := r.call("POST", "/v1/prefetch", "cms-secret", body); code != 202 || !strings.Contains(got, `"queued":2`) {
		t.Fatal(code, got)
	}
	var ids []string
	for _, m := range r.messages {
		ids = append(ids, m.MessageID)
		if m.Key != "prefetch.www.example.com" || !m.Persistent {
			t.Errorf("%+v", m)
		}
	}
	if slices.Sort(ids); !slices.Equal(ids, []string{"warm.1", "warm.2"}) {
		t.Error(ids)
	}
	if code, _ := r.call("POST", "/v1/prefetch", "cms-secret", `{"urls":["http://evil.example/"]}`); code != 403 {
		t.Error(code)
	}
	r.err = fmt.Errorf("nack: %w", ErrFull)
	if code, _ := r.call("POST", "/v1/prefetch", "cms-secret", body); code != 429 {
		t.Error(code)
	}
}

func TestDeadLetters(t *testing.T) {
	r := newRig(t)
	for _, id := range []string{"a", "b"} {
		m, err := events.EncodeContent(events.Attributes{Source: "/controller/c-0", BootID: "0123456789abcdef", Seq: 1}, id,
			events.Content{Action: events.ContentPrefetch, Scope: events.ScopeURL, Values: []string{"http://www.example.com/" + id}, Principal: "cms"})
		if err != nil {
			t.Fatal(err)
		}
		m.Exchange, m.UserID = events.ExchangeDead, "controller"
		m.Headers["x-first-death-reason"], m.Headers["x-delivery-count"] = "delivery_limit", "5"
		r.dead = append(r.dead, m)
	}
	if code, _ := r.call("GET", "/v1/dead", "cms-secret", ""); code != 403 {
		t.Error(code)
	}
	if code, body := r.call("GET", "/v1/dead?limit=1", "ops-secret", ""); code != 200 || !strings.Contains(body, `"total":2`) || !strings.Contains(body, "http://www.example.com/a") || !strings.Contains(body, "delivery_limit") {
		t.Error(code, body)
	}
	if code, body := r.call("GET", "/v1/dead/b", "ops-secret", ""); code != 200 || !strings.Contains(body, `"body":`) {
		t.Error(code, body)
	}
	if code, _ := r.call("DELETE", "/v1/dead/c", "ops-secret", ""); code != 404 {
		t.Error(code)
	}
	r.err = errors.New("away")
	if code, _ := r.call("POST", "/v1/dead/a/requeue", "ops-secret", ""); code != 503 || len(r.dead) != 2 {
		t.Errorf("%d, %d dead letters", code, len(r.dead))
	}
	r.err = nil
	if code, _ := r.call("POST", "/v1/dead/a/requeue", "ops-secret", ""); code != 200 || len(r.dead) != 1 || len(r.messages) != 1 {
		t.Errorf("%d, %d dead letters", code, len(r.dead))
	}
	if m := r.messages[0]; m.Exchange != events.ExchangeContent || m.Key != "prefetch.www.example.com" || m.MessageID != "a" || len(m.Headers["x-delivery-count"]) > 0 || !m.Persistent {
		t.Errorf("%+v", m)
	}
	if code, _ := r.call("DELETE", "/v1/dead/b", "ops-secret", ""); code != 200 || len(r.dead) != 0 {
		t.Errorf("%d, %d dead letters", code, len(r.dead))
	}
}

func TestTokensCannotBeReadWrongly(t *testing.T) {
	for text, want := range map[string]string{
		"":                                                   "no token",
		"ops secret all":                                     "a token itself has no place here",
		"ops sha256:00 all":                                  "64 hexadecimal digits",
		"ops " + Hash("x"):                                   "at least one grant",
		"ops " + Hash("x") + " everything":                   "grant \"everything\"",
		"ops " + Hash("x") + " all:x":                        "grant",
		"ops " + Hash("x") + " host:":                        "grant",
		"ops " + Hash("x") + " host:*":                       "grant",
		"ops " + Hash("x") + " prefix:/news/":                "grant",
		"ops " + Hash("x") + " prefix:http://a":              "grant",
		"ops " + Hash("x") + " tag:*a*":                      "grant",
		"a/b " + Hash("x") + " all":                          "name",
		"a " + Hash("x") + " all\n\na " + Hash("y") + " all": "line 3: name \"a\" is there twice",
	} {
		if _, err := ParseTokens(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), Hash("x")[7:]) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	r := newRig(t)
	r.text = "broken"
	if code, body := r.call("POST", "/v1/purge", "ops-secret", `{"scope":"all"}`); code != http.StatusServiceUnavailable || strings.Contains(body, "line") {
		t.Error(code, body)
	}
}

func FuzzParseTokens(f *testing.F) {
	f.Add(fmt.Sprintf(tokenText, Hash("a"), Hash("b")))
	f.Add("a sha256: prefix:http://[::1/ tag:")
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := ParseTokens(text)
		if err == nil && len(tokens) == 0 {
			t.Error("no tokens and no error")
		}
		for i := range tokens {
			c := events.Content{Scope: events.ScopeURL, Values: []string{"http://a.example/b/../c"}}
			_ = tokens[i].Allows(&c)
		}
	})
}
