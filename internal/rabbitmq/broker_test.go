package rabbitmq

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/testrabbit"
)

// The broker comes up after us, is killed under load and comes back: each time messages flow again by themselves, and as many connections
// as before are open. Nothing that waited too long is sent afterwards.
func TestBrokerComesAndGoes(t *testing.T) {
	b := broker.Get(t, testrabbit.Stopped())
	const vhost = "/"
	b.Kill() // if another test has started it

	var in seen
	var ups sync.WaitGroup
	ups.Add(1)
	first := sync.OnceFunc(ups.Done)
	o := options(b, vhost)
	o.OnUp = first
	p := running(t, o)
	eventually(t, "the publisher has tried in vain", 30*time.Second, func() bool { return p.State() == StateDown })
	p.Publish(rate(t, "guest", 1))

	b.Restart(t)
	returned := time.Now()
	ups.Wait()
	t.Logf("up %v after the broker's first start", time.Since(returned).Round(time.Millisecond))
	consuming(t.Context(), t, options(b, vhost), allTelemetry(), in.handle)
	p.Publish(rate(t, "guest", 2))
	eventually(t, "telemetry flows", 30*time.Second, func() bool { return in.last() == 2 })
	if got := b.Connections(t, vhost); got != 2 {
		t.Fatalf("%d connections, want 2", got)
	}

	// An edge that publishes every 20 ms through all of it.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var sent sync.WaitGroup
	var slowest time.Duration
	sent.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for seq := uint64(3); ; seq++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				m := rate(t, "guest", seq)
				start := time.Now()
				p.Publish(m)
				slowest = max(slowest, time.Since(start))
			}
		}
	})
	eventually(t, "telemetry flows under load", 30*time.Second, func() bool { return in.last() > 10 })
	b.Kill()
	killed := in.last()
	eventually(t, "the loss is noticed", 30*time.Second, func() bool { return p.State() != StateUp })
	b.Restart(t)
	recovered := eventually(t, "telemetry is back after the broker's return", 60*time.Second, func() bool { return in.last() > killed })
	cancel()
	sent.Wait()
	t.Logf("telemetry is back %v after the broker's return; slowest Publish %v", recovered.Round(time.Millisecond), slowest)
	if slowest > time.Second { // a wait for the broker would be its death long
		t.Errorf("a Publish took %v while the broker was away", slowest)
	}
	eventually(t, "two connections after the crash, as before", 60*time.Second, func() bool { return b.Connections(t, vhost) == 2 })
	if p.Counters().Expired == 0 && p.Counters().Overflowed == 0 {
		t.Error("a backlog of the whole outage was replayed")
	}
	seqs := in.all()
	if !slices.IsSorted(seqs) || len(slices.Compact(slices.Clone(seqs))) != len(seqs) {
		t.Errorf("disorder or duplicates: %v", seqs)
	}
}

// A broker short of memory stops reading. Publish goes on returning at once, what is too old is dropped and counted, and with the
// memory back the newest flows without a backlog.
func TestMemoryAlarmBlocksNobody(t *testing.T) {
	b := broker.Get(t)
	vhost := b.VHost(t)
	var in seen
	consuming(t.Context(), t, options(b, vhost), allTelemetry(), in.handle)
	o := options(b, vhost)
	o.RingSize, o.MaxAge, o.BlockedLimit = 16, 200*time.Millisecond, 300*time.Millisecond
	var mu sync.Mutex
	var states []State
	o.OnState = func(s State) {
		mu.Lock()
		defer mu.Unlock()
		states = append(states, s)
	}
	p := connected(t, o)
	p.Publish(rate(t, "guest", 1))
	eventually(t, "telemetry flows", 30*time.Second, func() bool { return in.last() == 1 })

	b.MemoryAlarm(t, true)
	defer b.MemoryAlarm(t, false)
	seq := uint64(1)
	var slowest time.Duration
	publish := func() {
		seq++
		m := rate(t, "guest", seq)
		start := time.Now()
		p.Publish(m)
		slowest = max(slowest, time.Since(start))
	}
	gaveUp := func() bool {
		publish()
		mu.Lock()
		defer mu.Unlock()
		// up, blocked, given up, up, blocked again
		return len(states) > 0 && strings.Count(join(states), "blocked") >= 2
	}
	eventually(t, "the connection is blocked, given up and blocked again", 60*time.Second, gaveUp)
	for range 100 {
		publish()
	}
	if slowest > time.Second {
		t.Errorf("a Publish took %v under the alarm", slowest)
	}
	if p.Counters().Overflowed == 0 {
		t.Errorf("nothing was dropped: %+v", p.Counters())
	}
	b.MemoryAlarm(t, false)
	cleared, before := time.Now(), seq
	eventually(t, "telemetry flows again", 30*time.Second, func() bool { publish(); return in.last() > before })
	t.Logf("telemetry is back %v after the alarm; slowest Publish %v; %+v; %s",
		time.Since(cleared).Round(time.Millisecond), slowest, p.Counters(), join(states))
}

func join(states []State) string {
	var b strings.Builder
	for _, s := range states {
		b.WriteString(string(s) + " ")
	}
	return b.String()
}

// Edges may declare nothing and may speak for themselves only. The broker keeps the rest out, and the refusal does not cost an honest
// edge anything.
func TestLeastPrivilege(t *testing.T) {
	b := broker.Get(t)
	vhost := b.VHost(t)
	b.Declare(t, vhost)
	b.User(t, vhost, events.FleetRole(), "edge", "secret")
	b.User(t, vhost, events.FleetRole(), "video", "secret")
	b.User(t, vhost, events.ControllerRole(), "", "secret")

	var in seen
	var decided seen
	controller := Options{URL: b.URL("controller", "secret", vhost), Name: "controller"}
	consuming(t.Context(), t, controller, events.ControllerBindings(), func(m events.Message) {
		in.handle(m)
		if strings.HasPrefix(m.Key, "decision.") {
			decided.handle(m)
		}
	})
	edge := connected(t, Options{URL: b.URL("edge", "secret", vhost), Name: "edge"})
	edge.Publish(rate(t, "edge", 1))
	eventually(t, "the edge is heard", 30*time.Second, func() bool { return in.last() == 1 })

	var log syncBuffer
	forger := connected(t, Options{URL: b.URL("video", "secret", vhost), Name: "video", Logger: zerolog.New(&log)})
	forger.Publish(rate(t, "edge", 2))
	eventually(t, "the forger is refused", 30*time.Second, func() bool { return strings.Contains(log.String(), "ACCESS_REFUSED") })

	leader := connected(t, controller)
	decision, err := events.EncodeDecision(
		events.Attributes{Source: events.Source("controller", "controller-0"), BootID: "0123456789abcdef", Seq: 3},
		events.Decision{At: time.Now(), Fleet: "edge", From: 2, To: 4, Desired: 4, Mode: "direct", Path: "spike", Reason: "twice the load"},
	)
	if err != nil {
		t.Fatal(err)
	}
	leader.Publish(decision)
	eventually(t, "the decision is heard", 30*time.Second, func() bool { return decided.last() == 3 })
	if got := in.all(); slices.Contains(got, 2) {
		t.Errorf("a forged message arrived: %v", got)
	}
}

// Without setup and without the right to make up for it, the error names what is missing.
func TestMissingExchangeIsNamed(t *testing.T) {
	b := broker.Get(t)
	vhost := b.VHost(t)
	b.User(t, vhost, events.FleetRole(), "bare", "secret")
	var log syncBuffer
	p := connected(t, Options{URL: b.URL("bare", "secret", vhost), Logger: zerolog.New(&log)})
	p.Publish(rate(t, "bare", 1))
	eventually(t, "the error is logged", 30*time.Second, func() bool {
		return strings.Contains(log.String(), `exchange surgewall.telemetry is missing and user \"bare\" may not declare it`)
	})
}

// A wrong password is no reason to stop trying, and shows in no log; the right one in the same file is taken at the next dial.
func TestRotatedPassword(t *testing.T) {
	b := broker.Get(t)
	vhost := b.VHost(t)
	b.User(t, vhost, events.Role{Configure: ".*", Write: ".*", Read: ".*"}, "rotating", "right-secret")
	file := writeFile(t, "wrong-secret\n")
	var log syncBuffer
	p := running(t, Options{Host: b.Host(), Port: b.Port(), VHost: vhost, Username: "rotating", PasswordFile: file, Logger: zerolog.New(&log)})
	eventually(t, "the login is refused", 30*time.Second, func() bool { return strings.Contains(log.String(), "not allowed") })
	if strings.Contains(log.String(), "secret") {
		t.Errorf("the log holds a password: %s", log.String())
	}
	if err := os.WriteFile(file, []byte("right-secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new password is taken", 30*time.Second, func() bool { return p.State() == StateUp })
}

// What an edge says last, at the end of its life, still gets out.
func TestCloseFlushes(t *testing.T) {
	b := broker.Get(t)
	vhost := b.VHost(t)
	var in seen
	consuming(t.Context(), t, options(b, vhost), allTelemetry(), in.handle)
	for name, end := range map[string]func(*Publisher, context.CancelFunc) error{
		"close":  func(p *Publisher, _ context.CancelFunc) error { return p.Close(t.Context()) },
		"cancel": func(_ *Publisher, cancel context.CancelFunc) error { cancel(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			o := options(b, vhost)
			o.MaxAge, o.FlushTimeout = time.Minute, 30*time.Second // neither is what this is about
			p, err := NewPublisher(o)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- p.Run(ctx) }()
			eventually(t, "the publisher is up", 30*time.Second, func() bool { return p.State() == StateUp })
			start := in.last()
			for seq := range uint64(100) {
				p.Publish(rate(t, "guest", start+1+seq))
			}
			if err := end(p, cancel); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			p.Publish(rate(t, "guest", start+101))
			eventually(t, "the last words arrive", 30*time.Second, func() bool { return in.last() == start+100 })
			if c := p.Counters(); c.Published != 100 || c.Failed != 1 {
				t.Errorf("%+v, want 100 published and the late one failed", c)
			}
		})
	}
}

// A broker that deletes the consumer's queue is asked for a new one.
func TestConsumerSurvivesItsQueue(t *testing.T) {
	b := broker.Get(t)
	vhost := b.VHost(t)
	var in seen
	var ups atomic.Int64
	o := options(b, vhost)
	o.OnUp = func() { ups.Add(1) }
	consuming(t.Context(), t, o, allTelemetry(), in.handle)
	p := connected(t, options(b, vhost))
	p.Publish(rate(t, "guest", 1))
	eventually(t, "telemetry flows", 30*time.Second, func() bool { return in.last() == 1 })
	b.Eval(t, `[rabbit_amqqueue:delete(Q, false, false, <<"test">>) || Q <- rabbit_amqqueue:list(<<"`+vhost+`">>)].`)
	eventually(t, "the consumer is back", 30*time.Second, func() bool { return ups.Load() >= 2 })
	p.Publish(rate(t, "guest", 2))
	eventually(t, "telemetry flows again", 30*time.Second, func() bool { return in.last() == 2 })
}

// A broker that hangs closes nothing. The heartbeat notices, nobody waits, and everything is back when it goes on.
func TestFrozenBroker(t *testing.T) {
	b := broker.Get(t)
	vhost := b.VHost(t)
	var in seen
	o := options(b, vhost)
	o.Heartbeat, o.DialTimeout = time.Second, 500*time.Millisecond
	consuming(t.Context(), t, o, allTelemetry(), in.handle)
	p := connected(t, o)
	p.Publish(rate(t, "guest", 1))
	eventually(t, "telemetry flows", 30*time.Second, func() bool { return in.last() == 1 })
	b.Freeze()
	thaw := sync.OnceFunc(b.Thaw)
	defer thaw()
	var slowest time.Duration
	seq := uint64(1)
	publish := func() {
		seq++
		m := rate(t, "guest", seq)
		start := time.Now()
		p.Publish(m)
		slowest = max(slowest, time.Since(start))
	}
	noticed := eventually(t, "the heartbeat notices", 30*time.Second, func() bool { publish(); return p.State() != StateUp })
	thaw()
	before := seq
	back := eventually(t, "telemetry flows again", 30*time.Second, func() bool { publish(); return in.last() > before })
	t.Logf("noticed after %v at a heartbeat of 1s, back %v after the thaw, slowest Publish %v", noticed.Round(time.Millisecond), back.Round(time.Millisecond), slowest)
	if slowest > time.Second {
		t.Errorf("a Publish took %v while the broker hung", slowest)
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
