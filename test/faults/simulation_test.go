package faults

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/controllers/autoscale"
	"github.com/surgewall/surgewall/controllers/fleet"
	"github.com/surgewall/surgewall/controllers/ingest"
	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/events/membus"
)

// The simulation's bounds, as its policy has them.
const (
	simMin, simMax = 2, 30
	simTarget      = 100.0
	simTrouble     = 4 * time.Minute // faults come and go
	simPeace       = 2 * time.Minute // and then do not
)

// TestSimulation runs the control plane in virtual time: edges, bus, API server and two controllers, each with faults that one seed draws.
// SURGEWALL_SEEDS is how many seeds, SURGEWALL_SEED one to play again with its whole story.
func TestSimulation(t *testing.T) {
	if one := os.Getenv("SURGEWALL_SEED"); one != "" {
		seed, err := strconv.ParseUint(one, 10, 64)
		if err != nil {
			t.Fatalf("SURGEWALL_SEED %q: want a whole number", one)
		}
		s := simulate(t, seed)
		t.Log("\n" + strings.Join(s.story, "\n"))
		s.judge(t)
		return
	}
	n := times(uint64(1000), 40)
	if testing.Short() {
		n = 5
	}
	if text := os.Getenv("SURGEWALL_SEEDS"); text != "" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("SURGEWALL_SEEDS %q: want a whole number", text)
		}
	}
	sum := map[string]int{}
	start := time.Now()
	for seed := uint64(1); seed <= n; seed++ {
		s := simulate(t, seed)
		if !s.judge(t) {
			t.Errorf("seed %d: play it again with SURGEWALL_SEED=%d go test -run TestSimulation -v ./test/faults", seed, seed)
		}
		for what, count := range s.counts {
			sum[what] += count
		}
	}
	t.Logf("%d seeds of %v in %v: %v", n, simTrouble+simPeace, time.Since(start).Round(time.Second), sum)
}

// TestSimulationIsTheSameEachTime plays seeds twice.
func TestSimulationIsTheSameEachTime(t *testing.T) {
	for seed := range times(uint64(10), 3) {
		a, b := simulate(t, 100+seed), simulate(t, 100+seed)
		if a.digest() != b.digest() {
			for i := range min(len(a.story), len(b.story)) {
				if a.story[i] != b.story[i] {
					t.Fatalf("seed %d differs at line %d:\n%s\n%s", 100+seed, i, a.story[i], b.story[i])
				}
			}
			t.Errorf("seed %d: %d lines, then %d", 100+seed, len(a.story), len(b.story))
		}
	}
}

// simulation is one seed's world. Every actor draws from numbers of its own, and acts at nanoseconds of its own, so that the order of what
// happens does not hang on the scheduler.
type simulation struct {
	seed    uint64
	start   time.Time
	bus     *membus.Bus
	api     *simAPI
	mu      sync.Mutex
	story   []string
	broken  []string
	counts  map[string]int
	links   []*simLink
	load    float64
	speaker map[string]context.CancelFunc // by pod
	boots   int
}

func (s *simulation) random(actor string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(actor))
	return rand.New(rand.NewPCG(s.seed, h.Sum64())) //nolint:gosec // a simulation's numbers
}

func (s *simulation) tell(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.story = append(s.story, fmt.Sprintf("%12v  ", time.Since(s.start))+fmt.Sprintf(format, args...))
}

func (s *simulation) count(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[what]++
}

func (s *simulation) breaks(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.tell("BROKEN: %s", text)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = append(s.broken, text)
}

func (s *simulation) digest() uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(strings.Join(s.story, "\n")))
	return h.Sum64()
}

func (s *simulation) judge(t *testing.T) bool {
	t.Helper()
	for _, text := range s.broken {
		t.Errorf("seed %d: %s", s.seed, text)
	}
	return len(s.broken) == 0
}

// simLink is one process's path to the bus.
type simLink struct {
	s                        *simulation
	name                     string
	random                   *rand.Rand
	mu                       sync.Mutex
	down                     bool
	delay                    time.Duration
	twice                    bool
	said, lost, sent, copies int
}

func (s *simulation) link(name string) *simLink {
	l := &simLink{s: s, name: name, random: s.random("link " + name)}
	s.mu.Lock()
	s.links = append(s.links, l)
	s.mu.Unlock()
	return l
}

// Publish loses, delays or doubles a message, as the path is.
func (l *simLink) Publish(m events.Message) { l.pass(m, l.s.bus.Publish) }

func (l *simLink) pass(m events.Message, on func(events.Message)) {
	l.mu.Lock()
	l.said++
	down, twice := l.down, l.twice && l.random.IntN(3) == 0
	wait := time.Duration(1 + l.random.Int64N(int64(2*time.Millisecond)+int64(l.delay)))
	if down {
		l.lost++
	} else {
		l.sent++
		if twice {
			l.copies++
		}
	}
	l.mu.Unlock()
	if down {
		return
	}
	time.AfterFunc(wait, func() { on(m) })
	if twice {
		time.AfterFunc(2*wait+1, func() { on(m) })
	}
}

func (l *simLink) set(down bool, delay time.Duration, twice bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down, l.delay, l.twice = down, delay, twice
}

// simAPI is the API server: one Deployment with a version, its pods, and the Lease.
type simAPI struct {
	s        *simulation
	mu       sync.Mutex
	replicas int
	version  int
	pods     map[string]simPod
	next     int
	holder   string
	renewed  time.Time
}

type simPod struct{ ready, leaving bool }

type simError string

func (e simError) Error() string  { return string(e) }
func (e simError) Conflict() bool { return e == "conflict" }
func (e simError) NotFound() bool { return e == "not found" }

// simController is one replica: its view of the API server, its term, its ears.
type simController struct {
	s      *simulation
	name   string
	api    *simAPI
	link   *simLink // what it says
	ears   *simLink // what it hears
	in     *ingest.Ingest
	random *rand.Rand

	mu      sync.Mutex
	away    bool          // the API server does not answer this replica
	slow    time.Duration // a write may take this long to arrive, and does arrive
	stale   int           // replicas that its watch still shows; 0: it is up to date
	renewed time.Time     // its Lease, by its own clock
	signal  autoscale.Signal
}

func (c *simController) Deployment(string) (autoscale.Target, error) {
	c.mu.Lock()
	stale := c.stale
	c.mu.Unlock()
	c.api.mu.Lock()
	defer c.api.mu.Unlock()
	target := autoscale.Target{Spec: c.api.replicas}
	for _, p := range c.api.pods {
		if p.ready && !p.leaving {
			target.Ready++
		}
	}
	if stale > 0 {
		target.Spec = stale
	}
	return target, nil
}

// Floor and SetFloor are never called: nobody else scales the Deployment.
func (c *simController) Floor(context.Context, string) (int, string, error)  { return 0, "", nil }
func (c *simController) SetFloor(context.Context, string, string, int) error { return nil }

// Pending is how many pods are on their way.
func (c *simController) Pending(string) (pods int, why string) {
	c.api.mu.Lock()
	defer c.api.mu.Unlock()
	for _, p := range c.api.pods {
		if !p.ready {
			pods++
		}
	}
	return pods, "starting"
}

// call is the network between the replica and the API server.
func (c *simController) call(ctx context.Context) error {
	c.mu.Lock()
	away := c.away
	wait := time.Duration(1+c.random.IntN(5_000_000)) + time.Millisecond
	c.mu.Unlock()
	if away {
		<-ctx.Done()
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
		return nil
	}
}

func (c *simController) Scale(ctx context.Context, _ string) (int, string, error) {
	if err := c.call(ctx); err != nil {
		return 0, "", err
	}
	c.api.mu.Lock()
	defer c.api.mu.Unlock()
	return c.api.replicas, strconv.Itoa(c.api.version), nil
}

func (c *simController) SetScale(ctx context.Context, _, version string, replicas int) error {
	c.mu.Lock()
	slow, signal := c.slow, c.signal
	c.mu.Unlock()
	if err := c.call(ctx); err != nil {
		return err
	}
	if slow == 0 {
		return c.api.put(c, version, replicas, signal)
	}
	// It lies in the network for longer than its sender waits, and arrives all the same.
	result := make(chan error, 1)
	time.AfterFunc(slow+time.Duration(len(c.name)), func() { result <- c.api.put(c, version, replicas, signal) })
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *simController) StartTime(string) time.Duration { return 6 * time.Second }

// put is a write as it takes effect, where everything that must never happen would be seen.
func (a *simAPI) put(c *simController, version string, replicas int, signal autoscale.Signal) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if version != strconv.Itoa(a.version) {
		a.s.count("conflicts")
		a.s.tell("%s: %d refused, version %s is not %d", c.name, replicas, version, a.version)
		return simError("conflict")
	}
	a.s.count("writes")
	a.s.tell("%s: %d -> %d at version %s, %s", c.name, a.replicas, replicas, version, signal)
	if a.holder != c.name {
		a.s.count("writes of a former leader on a version that nobody had changed")
	}
	if replicas < simMin || replicas > simMax {
		a.s.breaks("%s wrote %d, outside %d to %d", c.name, replicas, simMin, simMax)
	}
	if signal == autoscale.Blind || signal == "" {
		a.s.breaks("%s wrote %d while it was %s", c.name, replicas, signal)
	}
	if replicas < a.replicas && signal != autoscale.Live {
		a.s.breaks("%s scaled in from %d to %d while it was %s", c.name, a.replicas, replicas, signal)
	}
	a.replicas, a.version = replicas, a.version+1
	return nil
}

// Read notes what the decision is made on.
func (c *simController) Read(name string, clamp ingest.Clamp) ingest.Reading {
	reading := c.in.Read(name, clamp)
	c.mu.Lock()
	defer c.mu.Unlock()
	if reading.Signal != c.signal {
		c.s.tell("%s: %s, %d of %d edges", c.name, reading.Signal, reading.Live, reading.Known)
		c.s.count(string(reading.Signal))
	}
	c.signal = reading.Signal
	return reading
}

// Latency is what the status shows.
func (c *simController) Latency(name string, clamp float64) (p50, p99 time.Duration) {
	return c.in.Latency(name, clamp)
}

// The Lease as client-go has it: held for five seconds after the last renewal, by the clock of whoever asks.
const simLease = 5 * time.Second

func (c *simController) Leading() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.renewed.IsZero() && time.Since(c.renewed) < simLease-2*time.Second
}

func (c *simController) Leader() string   { return c.api.holder }
func (c *simController) Identity() string { return c.name }

func (c *simController) renew(ctx context.Context) {
	random := c.s.random(c.name + "'s Lease") // its own: the fleets draw from the other meanwhile
	for ctx.Err() == nil {
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		if c.call(try) == nil {
			c.api.mu.Lock()
			now := time.Now()
			if c.api.holder == c.name || now.Sub(c.api.renewed) > simLease {
				if c.api.holder != c.name {
					c.s.tell("%s leads", c.name)
					c.s.count("leaders")
				}
				c.api.holder, c.api.renewed = c.name, now
				c.api.mu.Unlock()
				c.mu.Lock()
				c.renewed = now
				c.mu.Unlock()
			} else {
				c.api.mu.Unlock()
				c.mu.Lock()
				c.renewed = time.Time{}
				c.mu.Unlock()
			}
		}
		cancel()
		select {
		case <-ctx.Done():
		case <-time.After(time.Second + time.Duration(random.IntN(1_000_000))):
		}
	}
}

// Members and IsMember are the pods as the watch shows them.
func (c *simController) Members(_ string, each func(pod string, ready, leaving bool)) bool {
	c.api.mu.Lock()
	pods := make(map[string]simPod, len(c.api.pods))
	for name, p := range c.api.pods {
		pods[name] = p
	}
	c.api.mu.Unlock()
	for name, p := range pods {
		each(name, p.ready, p.leaving)
	}
	return true
}

func (c *simController) IsMember(_, pod string) (member, known bool) {
	c.api.mu.Lock()
	defer c.api.mu.Unlock()
	_, member = c.api.pods[pod]
	return member, true
}

func (c *simController) OnDeployment(string, bool, string, string) {}
func (c *simController) OnPolicy(string, bool, string, string)     {}

// run starts the replica as cmd/controller wires it.
func (c *simController) run(ctx context.Context, group *sync.WaitGroup) {
	sender := ingest.NewSender(c.name, "boot-"+c.name+"-0001")
	var manager *fleet.Manager
	c.in = ingest.New(ingest.Options{
		Replica: c.name, Members: c, Logger: zerolog.Nop(), Poke: func(name string) { manager.Poke(name) },
		OnDecision: func(replica string, d events.Decision) { manager.Heard(replica, d) },
	})
	manager = fleet.NewManager(fleet.Options{
		Namespace: "sim", Scaler: c, Signals: c, Leadership: c, Recorder: c, Publisher: c.link, Sender: sender, Logger: zerolog.Nop(),
	})
	manager.SetPolicy("edge", "1", map[string]string{
		"target-rps-per-edge": strconv.Itoa(int(simTarget)), "min-replicas": strconv.Itoa(simMin), "max-replicas": strconv.Itoa(simMax),
		"stable-window": "10s", "scale-down-hold": "10s", "scale-down-max-step": "50%",
	})
	// The other direction of the path draws numbers of its own: both may be in use at one moment.
	done := c.s.bus.Subscribe(ctx, events.ControllerBindings(), func(m events.Message) { c.ears.pass(m, c.in.Handle) })
	group.Go(func() { <-done })
	group.Go(func() { _ = manager.Run(ctx) })
	group.Go(func() { _ = ingest.Canary{Sender: sender, To: c.link}.Run(ctx) })
	group.Go(func() { c.renew(ctx) })
}

// edge is one pod that reports its part of the load until it ends.
func (s *simulation) edge(ctx context.Context, pod string, group *sync.WaitGroup) {
	s.mu.Lock()
	s.boots++
	boot := fmt.Sprintf("boot-%06d", s.boots)
	s.mu.Unlock()
	link, random := s.link("edge "+pod), s.random(pod)
	group.Go(func() {
		var hung time.Time
		for seq := uint64(1); ; seq++ {
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second + time.Duration(random.IntN(3_000_000))):
			}
			if random.IntN(400) == 0 && time.Since(s.start) < simTrouble-20*time.Second {
				hung = time.Now().Add(time.Duration(1+random.IntN(15)) * time.Second)
				s.tell("%s hangs until %v", pod, hung.Sub(s.start))
			}
			if time.Now().Before(hung) {
				seq--
				continue
			}
			s.api.mu.Lock()
			n := 0
			for _, p := range s.api.pods {
				if p.ready && !p.leaving {
					n++
				}
			}
			s.api.mu.Unlock()
			s.mu.Lock()
			mean := s.load / float64(max(n, 1))
			s.mu.Unlock()
			offered := max(0, mean*(1+0.05*random.NormFloat64()))
			m, err := events.EncodeRate(events.Attributes{Source: events.Source("edge", pod), BootID: boot, Seq: seq}, events.Rate{WindowMS: 1000, Offered: uint64(offered), Warm: 1})
			if err != nil {
				panic(err) // the simulation's own mistake
			}
			link.Publish(m)
			s.mu.Lock()
			link.mu.Lock()
			if time.Since(s.start) < simTrouble && random.IntN(200) == 0 {
				link.down = true
			} else if link.down && (random.IntN(10) == 0 || time.Since(s.start) >= simTrouble) {
				link.down = false
			}
			link.mu.Unlock()
			s.mu.Unlock()
		}
	})
}

// kubelet starts and ends pods as the Deployment asks.
func (s *simulation) kubelet(ctx context.Context, group *sync.WaitGroup) {
	random := s.random("kubelet")
	group.Go(func() {
		for ctx.Err() == nil {
			s.api.mu.Lock()
			alive := make([]string, 0, len(s.api.pods))
			for name, p := range s.api.pods {
				if !p.leaving {
					alive = append(alive, name)
				}
			}
			slices.Sort(alive)
			want := s.api.replicas
			for len(alive) < want {
				s.api.next++
				name := fmt.Sprintf("edge-%03d", s.api.next)
				s.api.pods[name] = simPod{}
				alive = append(alive, name)
				wait := 3*time.Second + time.Duration(random.Int64N(int64(4*time.Second)))
				group.Go(func() { s.begin(ctx, name, wait, group) })
			}
			for len(alive) > want {
				name := alive[len(alive)-1]
				alive = alive[:len(alive)-1]
				s.api.pods[name] = simPod{ready: s.api.pods[name].ready, leaving: true}
				group.Go(func() { s.end(ctx, name, 2*time.Second) })
			}
			s.api.mu.Unlock()
			// A pod may die, too.
			if random.IntN(120) == 0 && time.Since(s.start) < simTrouble && len(alive) > 0 {
				name := alive[random.IntN(len(alive))]
				s.tell("%s dies", name)
				s.end(ctx, name, 0)
			}
			select {
			case <-ctx.Done():
			case <-time.After(500*time.Millisecond + time.Duration(random.IntN(1_000_000))):
			}
		}
	})
}

func (s *simulation) begin(ctx context.Context, pod string, wait time.Duration, group *sync.WaitGroup) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(wait):
	}
	s.api.mu.Lock()
	p, ok := s.api.pods[pod]
	if ok && !p.leaving {
		s.api.pods[pod] = simPod{ready: true}
	}
	s.api.mu.Unlock()
	if !ok || p.leaving {
		return
	}
	life, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	s.speaker[pod] = cancel
	s.mu.Unlock()
	s.edge(life, pod, group)
}

func (s *simulation) end(ctx context.Context, pod string, wait time.Duration) {
	if wait > 0 {
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	s.mu.Lock()
	if cancel := s.speaker[pod]; cancel != nil {
		cancel()
		delete(s.speaker, pod)
	}
	s.mu.Unlock()
	s.api.mu.Lock()
	delete(s.api.pods, pod)
	s.api.mu.Unlock()
}

// trouble draws what goes wrong, and mends it.
func (s *simulation) trouble(ctx context.Context, controllers []*simController) {
	random := s.random("trouble")
	path := func(c *simController, down bool, delay time.Duration, twice bool) {
		c.link.set(down, delay, twice)
		c.ears.set(down, delay, twice)
	}
	mend := func(c *simController) {
		path(c, false, 0, false)
		c.mu.Lock()
		c.away, c.slow, c.stale = false, 0, 0
		c.mu.Unlock()
	}
	for ctx.Err() == nil && time.Since(s.start) < simTrouble {
		time.Sleep(time.Second + time.Duration(random.Int64N(int64(12*time.Second))))
		c := controllers[random.IntN(len(controllers))]
		kind := random.IntN(9)
		s.tell("trouble %d for %s", kind, c.name)
		switch kind {
		case 0:
			path(c, true, 0, false) // cut off from the broker
		case 1:
			path(c, false, 3*time.Second, true) // late, out of order and twice
		case 2:
			path(c, false, 12*time.Second, false) // so late that it is worth nothing
		case 3:
			c.mu.Lock()
			c.away = true
			c.mu.Unlock()
		case 4:
			c.mu.Lock()
			c.slow = time.Duration(random.Int64N(int64(15 * time.Second)))
			c.mu.Unlock()
		case 5:
			target, _ := c.Deployment("edge")
			c.mu.Lock()
			c.stale = target.Spec
			c.mu.Unlock()
		case 6: // somebody's hand
			s.api.mu.Lock()
			s.api.replicas, s.api.version = simMin+random.IntN(simMax-simMin), s.api.version+1
			s.tell("a hand writes %d", s.api.replicas)
			s.api.mu.Unlock()
		case 7: // the broker is away for all
			for _, c := range controllers {
				path(c, true, 0, false)
			}
		case 8:
			for _, c := range controllers {
				mend(c)
			}
		}
		s.mu.Lock()
		if random.IntN(3) == 0 {
			s.load = 100 + 2400*random.Float64()*random.Float64()
		}
		s.mu.Unlock()
		if random.IntN(2) == 0 {
			time.Sleep(time.Duration(random.Int64N(int64(15 * time.Second))))
			for _, c := range controllers {
				mend(c)
			}
		}
	}
	for _, c := range controllers {
		mend(c)
	}
	s.mu.Lock()
	s.load = 1000
	s.mu.Unlock()
	s.tell("peace at 1000 rps")
}

func simulate(t *testing.T, seed uint64) *simulation {
	t.Helper()
	s := &simulation{seed: seed, counts: map[string]int{}, speaker: map[string]context.CancelFunc{}, load: 350}
	synctest.Test(t, func(*testing.T) {
		s.start = time.Now()
		s.bus = membus.New()
		s.api = &simAPI{s: s, replicas: 4, version: 1, pods: map[string]simPod{}}
		ctx, cancel := context.WithCancel(context.Background())
		var group sync.WaitGroup
		var controllers []*simController
		s.kubelet(ctx, &group)
		for i := range 2 {
			time.Sleep(time.Duration(137*(i+1)) * time.Millisecond)
			name := fmt.Sprintf("c-%d", i)
			c := &simController{s: s, name: name, api: s.api, link: s.link(name), ears: s.link(name + " hears"), random: s.random(name)}
			controllers = append(controllers, c)
			c.run(ctx, &group)
		}
		s.trouble(ctx, controllers)
		time.Sleep(simPeace)
		s.settled(controllers)
		cancel()
		group.Wait()
		time.Sleep(time.Minute) // what lies in the network arrives
		s.balance()
	})
	return s
}

// settled is what must be true after two minutes of peace: the fleet has what the load needs, and both replicas see it.
func (s *simulation) settled(controllers []*simController) {
	s.api.mu.Lock()
	replicas := s.api.replicas
	s.api.mu.Unlock()
	if need := 1000 / simTarget; float64(replicas) < need*0.9 || float64(replicas) > need*1.6+1 {
		s.breaks("%d replicas after peace, the load needs %.0f", replicas, need)
	}
	leaders := 0
	for _, c := range controllers {
		if c.Leading() {
			leaders++
		}
		if r := c.in.Read("edge", ingest.Clamp{}); r.Signal != autoscale.Live {
			s.breaks("%s is %s after peace: %d of %d, silent %v", c.name, r.Signal, r.Live, r.Known, r.Silent)
		}
	}
	if leaders != 1 {
		s.breaks("%d leaders after peace", leaders)
	}
}

// balance closes the books: what was said on each path was lost there or went on, and what went on came out as often as it was copied.
func (s *simulation) balance() {
	for _, l := range s.links {
		if l.said != l.lost+l.sent {
			s.breaks("%s: %d said, %d lost, %d sent", l.name, l.said, l.lost, l.sent)
		}
		s.counts["messages said"] += l.said
		s.counts["messages lost"] += l.lost
		s.counts["messages doubled"] += l.copies
	}
}
