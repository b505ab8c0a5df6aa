package tier

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/surgewall/surgewall/cmd/internal/boot"
	"github.com/surgewall/surgewall/config"
	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/content"
	"github.com/surgewall/surgewall/internal/httpcache"
	"github.com/surgewall/surgewall/internal/httpcache/store"
	"github.com/surgewall/surgewall/internal/rabbitmq"
	"github.com/surgewall/surgewall/internal/telemetry"
	"github.com/surgewall/surgewall/internal/testrabbit"
)

var broker testrabbit.Shared

func TestMain(m *testing.M) { os.Exit(broker.Main(m)) }

type nobody struct{}

func (nobody) Shutdown(...fx.ShutdownOption) error { return nil }

// origin has one resource for each path, all of one version, fresh for an hour. It can hold its answers back.
type origin struct {
	version atomic.Int64
	fetches atomic.Int64
	mu      sync.Mutex
	hold    chan struct{}
	held    chan struct{}
}

func (o *origin) RoundTrip(r *http.Request) (*http.Response, error) {
	o.fetches.Add(1)
	version := o.version.Load()
	o.mu.Lock()
	hold, held := o.hold, o.held
	o.mu.Unlock()
	if hold != nil {
		select {
		case held <- struct{}{}:
		default:
		}
		<-hold
	}
	body := fmt.Sprint("v", version)
	return &http.Response{
		StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)),
		Header: http.Header{"Cache-Control": {"max-age=3600"}, "Cache-Tag": {"all-of-them"}, "Etag": {fmt.Sprintf("%q", body)}, "Date": {time.Now().UTC().Format(http.TimeFormat)}},
	}, nil
}

// line is a TCP proxy in front of the broker that can be cut.
type line struct {
	mu    sync.Mutex
	cut   bool
	conns []net.Conn
	port  int
}

func newLine(t testing.TB, target string) *line {
	t.Helper()
	l := new(line)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.port = listener.Addr().(*net.TCPAddr).Port
	t.Cleanup(func() { listener.Close(); l.set(true) })
	go func() {
		for {
			a, err := listener.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", target)
			l.mu.Lock()
			if err != nil || l.cut {
				l.mu.Unlock()
				a.Close()
				if b != nil {
					b.Close()
				}
				continue
			}
			l.conns = append(l.conns, a, b)
			l.mu.Unlock()
			go func() { _, _ = io.Copy(a, b); a.Close(); b.Close() }()
			go func() { _, _ = io.Copy(b, a); a.Close(); b.Close() }()
		}
	}()
	return l
}

func (l *line) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut = cut; cut {
		for _, c := range l.conns {
			c.Close()
		}
		l.conns = nil
	}
}

// silent keeps what fx logs at each start and stop out of the results.
type silent struct{ testing.TB }

func (silent) Logf(string, ...any) {}

// replica is a cache that follows content updates through a line of its own.
type replica struct {
	*line
	*Content
	cache *httpcache.Cache
}

func newReplica(t testing.TB, b *testrabbit.Broker, vhost, role, pod string, o *origin) *replica {
	t.Helper()
	r := &replica{line: newLine(t, b.Addr())}
	r.join(t, vhost, r.port, role, pod, o, func(cache *httpcache.Cache) Purger { return cache })
	return r
}

// join starts the replica on a port of the broker's. Updates are applied to what purger makes of its cache.
func (r *replica) join(t testing.TB, vhost string, port int, role, pod string, o *origin, purger func(*httpcache.Cache) Purger) {
	t.Helper()
	var err error
	if r.cache, err = httpcache.New(httpcache.Options{Name: role, Upstream: o, Store: store.NewMemory(64 << 20)}); err != nil {
		t.Fatal(err)
	}
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("guest"), 0o600); err != nil {
		t.Fatal(err)
	}
	amqp := config.AMQP{Host: "127.0.0.1", Port: port, VHost: vhost, Username: "guest", PasswordFile: password}
	settings := config.NewEdge().Content
	lifecycle := fxtest.NewLifecycle(silent{t})
	registry := telemetry.NewRegistry(role, "test")
	runners := boot.NewRunners(lifecycle, nobody{}, zerolog.Nop())
	publisher, err := NewPublisher(amqp, pod, runners, registry, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	if r.Content, err = NewContent(ContentOptions{Settings: settings, AMQP: amqp, Role: role, Fleet: "guest", Pod: pod, Publisher: publisher}, runners, registry, zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
	r.Content.Bind(purger(r.cache))
	lifecycle.RequireStart()
	t.Cleanup(lifecycle.RequireStop)
}

func (r *replica) get(path string) string {
	w := httptest.NewRecorder()
	q := httptest.NewRequest(http.MethodGet, path, nil)
	q.Host = "www.example.com"
	r.cache.ServeHTTP(w, q)
	return w.Body.String()
}

func until(t testing.TB, what string, limit time.Duration, holds func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !holds() {
		if time.Since(began) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return time.Since(began)
}

// publisher stores updates as a controller does.
func newConfirmer(t testing.TB, b *testrabbit.Broker, vhost string) func(id string, scope events.ContentScope, values ...string) error {
	t.Helper()
	c, err := rabbitmq.NewConfirmer(rabbitmq.Options{URL: b.GuestURL(vhost), Name: "controller"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = c.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return func(id string, scope events.ContentScope, values ...string) error {
		m, err := events.EncodeContent(events.Attributes{Source: "/controller/c-0", BootID: "0123456789abcdef", Seq: 1}, id,
			events.Content{Action: events.ContentPurge, Scope: scope, Values: values, Principal: "test"})
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		return c.Publish(ctx, m)
	}
}

// TestWhatWasPurgedIsNeverServedAsFreshAgain: with a real broker, whatever comes between a purge and a replica.
func TestWhatWasPurgedIsNeverServedAsFreshAgain(t *testing.T) {
	b := broker.Get(t)
	vhost := b.VHost(t)
	b.Setup(t, vhost)
	publish := newConfirmer(t, b, vhost)
	o := new(origin)
	r := newReplica(t, b, vhost, "edge", "edge-1", o)
	n := 0
	purge := func(scope events.ContentScope, values ...string) string {
		t.Helper()
		n++
		id := fmt.Sprint("p-", n)
		if err := publish(id, scope, values...); err != nil {
			t.Fatal(err)
		}
		return id
	}
	applied := func(id string) func() bool { return func() bool { _, ok := r.Offset(id); return ok } }
	until(t, "the replica follows", time.Minute, r.Live)
	purge(events.ScopeTag, "first")
	until(t, "an update is applied", time.Minute, func() bool { return r.Position().Known() })

	t.Run("each scope", func(t *testing.T) {
		for _, c := range []struct {
			scope  events.ContentScope
			values []string
		}{
			{events.ScopeURL, []string{"https://www.example.com/a"}}, {events.ScopePrefix, []string{"http://www.example.com/"}},
			{events.ScopeHost, []string{"www.example.com"}}, {events.ScopeTag, []string{"all-of-them"}}, {events.ScopeAll, nil},
		} {
			before := r.get("/a")
			if again := r.get("/a"); again != before {
				t.Fatalf("%q and then %q: it is not stored", before, again)
			}
			o.version.Add(1)
			until(t, "it is applied", time.Minute, applied(purge(c.scope, c.values...)))
			if got, want := r.get("/a"), fmt.Sprint("v", o.version.Load()); got != want {
				t.Errorf("%s: got %s, want %s", c.scope, got, want)
			}
		}
	})
	t.Run("while a fetch is under way", func(t *testing.T) {
		hold := make(chan struct{})
		o.mu.Lock()
		o.hold, o.held = hold, make(chan struct{}, 1)
		o.mu.Unlock()
		old := fmt.Sprint("v", o.version.Load())
		got := make(chan string, 1)
		go func() { got <- r.get("/flight") }()
		<-o.held
		o.version.Add(1)
		until(t, "it is applied", time.Minute, applied(purge(events.ScopeTag, "all-of-them")))
		o.mu.Lock()
		o.hold = nil
		o.mu.Unlock()
		close(hold)
		if body := <-got; body != old {
			t.Errorf("who waited got %s", body)
		}
		if body, want := r.get("/flight"), fmt.Sprint("v", o.version.Load()); body != want {
			t.Errorf("got %s after the purge, want %s", body, want)
		}
	})
	// fresh reads everything, and fails if anything is older than the origin.
	fresh := func(t *testing.T) {
		t.Helper()
		want := fmt.Sprint("v", o.version.Load())
		for i := range 20 {
			if got := r.get(fmt.Sprint("/", i)); got != want {
				t.Errorf("/%d is %s, want %s", i, got, want)
			}
		}
	}
	fill := func() {
		for i := range 20 {
			r.get(fmt.Sprint("/", i))
		}
	}
	t.Run("during a partition", func(t *testing.T) {
		fill()
		gaps := r.Counters().Gaps
		r.set(true)
		until(t, "the loss is noticed", time.Minute, func() bool { return b.Connections(t, vhost) == 1 })
		o.version.Add(1)
		id := purge(events.ScopeHost, "www.example.com")
		r.set(false)
		took := until(t, "it is applied after the partition", time.Minute, applied(id))
		fresh(t)
		t.Logf("applied %v after the partition", took.Round(time.Millisecond))
		if got := r.Counters().Gaps; got != gaps {
			t.Errorf("%d gaps where nothing was lost", got-gaps)
		}
	})
	t.Run("with the stream made anew", func(t *testing.T) {
		fill()
		gaps, fetches := r.Counters().Gaps, o.fetches.Load()
		// A crowd that asks all the time: whatever the replica distrusts shows at the origin at once.
		crowd, goHome := context.WithCancel(t.Context())
		var asking sync.WaitGroup
		defer asking.Wait()
		defer goHome()
		asking.Go(func() {
			for crowd.Err() == nil {
				fill()
				time.Sleep(5 * time.Millisecond)
			}
		})
		b.DeleteQueue(t, vhost, events.StreamContent)
		b.Setup(t, vhost)
		o.version.Add(1)
		purge(events.ScopeTag, "nobody has this tag") // what would have been purged is lost with the stream
		until(t, "it is noticed", time.Minute, func() bool { return r.Counters().Gaps > gaps && r.Live() && r.Position().Known() })
		fresh(t)
		fresh(t)
		asked, noticed := o.fetches.Load()-fetches, r.Counters().Gaps-gaps
		t.Logf("%d fetches for 20 objects, which were distrusted %d times", asked, noticed)
		// Once; again where a busy broker lets no subscription follow within a second.
		if asked > int64(20*min(noticed, 2)) { //nolint:gosec // a handful
			t.Errorf("%d fetches for 20 objects, after %d gaps: more than one validation each", asked, noticed)
		}
	})
	t.Run("during a restart of the broker", func(t *testing.T) {
		fill()
		b.Kill()
		o.version.Add(1)
		done := make(chan error, 1)
		go func() { done <- publish("restart", events.ScopeHost, "www.example.com") }()
		b.Restart(t)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		took := until(t, "it is applied", time.Minute, applied("restart"))
		fresh(t)
		t.Logf("applied %v after the confirm", took.Round(time.Millisecond))
	})
}

// TestAnEmptyLogIsOpened: before the first purge ever, a lost connection costs no validation.
func TestAnEmptyLogIsOpened(t *testing.T) {
	b := broker.Get(t)
	vhost := b.VHost(t)
	b.Setup(t, vhost)
	b.Users(t, vhost, events.ControllerRole(), "secret", "controller")
	r := newReplica(t, b, vhost, "edge", "edge-1", new(origin))
	until(t, "the replica follows", time.Minute, r.Live)
	publisher, err := rabbitmq.NewPublisher(rabbitmq.Options{URL: b.URL("controller", "secret", vhost)})
	if err != nil {
		t.Fatal(err)
	}
	var seq uint64
	opener := content.Opener{Replica: r.Replica, Publisher: publisher, Logger: zerolog.Nop(), Attributes: func(time.Time) events.Attributes {
		seq++
		return events.Attributes{Source: "/controller/c-0", BootID: "0123456789abcdef", Seq: seq}
	}}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = publisher.Run(ctx) })
	running.Go(func() { _ = opener.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	until(t, "the log has a first event", time.Minute, func() bool { return r.Position().Known() })
	r.set(true)
	until(t, "the loss is noticed", time.Minute, func() bool { return b.Connections(t, vhost) == 1 })
	r.set(false)
	if err := newConfirmer(t, b, vhost)("after", events.ScopeTag, "any"); err != nil {
		t.Fatal(err)
	}
	until(t, "the replica follows again", time.Minute, func() bool { _, ok := r.Offset("after"); return ok })
	if c := r.Counters(); c.Gaps != 0 || c.Refused != 0 {
		t.Errorf("%+v: nothing was missed", c)
	}
}
