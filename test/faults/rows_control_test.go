package faults

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/surgewall/surgewall/events"
)

// calmRPS is the load of a calm world.
const calmRPS = 3 * 95

// calm is a world with one fleet of three edges at 95 rps each, at a target of 100.
func calm(r *row) (*world, []*speaker) {
	r.Helper()
	w := newWorld(r, "edge")
	w.fleet("edge", 3, quickly(nil))
	var speakers []*speaker
	for i := range 3 {
		speakers = append(speakers, w.speakTo(w.broker.Host(), w.broker.Port(), "edge", i, 95, 0))
	}
	return w, speakers
}

// pair is a calm world with two replicas of the controller, of which the first leads.
func pair(r *row) (w *world, speakers []*speaker, first, second *controller) {
	r.Helper()
	w, speakers = calm(r)
	first = w.controller("c-1")
	first.leads("edge")
	second = w.controller("c-2")
	second.live("edge", time.Minute)
	first.knows("edge", calmRPS)
	second.knows("edge", calmRPS)
	return w, speakers, first, second
}

// led is a calm world with a controller that leads and knows its load.
func led(r *row) (w *world, speakers []*speaker, c *controller) {
	r.Helper()
	w, speakers = calm(r)
	c = w.controller("c-1")
	c.leads("edge")
	c.knows("edge", calmRPS)
	return w, speakers, c
}

func setAll(speakers []*speaker, rps uint64) {
	for _, s := range speakers {
		s.set(rps)
	}
}

// oneAfterAnother checks that each accepted write named another version than the one before.
func oneAfterAnother(t testing.TB, writes []write) {
	t.Helper()
	last := ""
	for _, w := range writes {
		if w.status == http.StatusOK && w.version != "" {
			if w.version == last {
				t.Errorf("two writes name the version %s", last)
			}
			last = w.version
		}
	}
}

func TestRow14CrashBeforeTheWrite(t *testing.T) {
	r := begin(t, 14)
	w, speakers, first, second := pair(r)
	// The decision is made, the write is on its way, the process dies.
	var died sync.Once
	var at atomic.Int64
	first.api.set(func(rw http.ResponseWriter, q *http.Request, next http.Handler) {
		if isWrite(q) {
			died.Do(func() {
				at.Store(time.Now().UnixNano())
				_ = first.cmd.Process.Kill()
			})
			hang(rw, q, next)
			return
		}
		next.ServeHTTP(rw, q)
	})
	setAll(speakers, 500)
	eventually(r, "the leader decides and dies", time.Minute, func() bool { return at.Load() != 0 })
	if got := w.replicas("edge"); got != 3 {
		r.Errorf("%d replicas after a write that never was", got)
	}
	eventually(r, "the other writes its own decision", time.Minute, func() bool { return w.replicas("edge") >= 12 })
	writes, accepted := second.api.written()
	oneAfterAnother(r, writes)
	r.show("%d replicas by the other replica %v after the crash, in %d writes", w.replicas("edge"), time.Since(time.Unix(0, at.Load())).Round(10*time.Millisecond), accepted)
}

func TestRow15CrashAfterTheWrite(t *testing.T) {
	r := begin(t, 15)
	w, speakers, first, second := pair(r)
	// The write is taken, the answer never comes back.
	var died atomic.Bool
	first.api.set(func(rw http.ResponseWriter, q *http.Request, next http.Handler) {
		if isWrite(q) && !died.Swap(true) {
			_ = first.cmd.Process.Kill()
			r2 := q.WithContext(w.Context())
			next.ServeHTTP(discard{http.Header{}}, r2)
			return
		}
		next.ServeHTTP(rw, q)
	})
	setAll(speakers, 500)
	eventually(r, "the leader writes and dies", time.Minute, died.Load)
	eventually(r, "the write is taken", time.Minute, func() bool { return w.replicas("edge") > 3 })
	eventually(r, "the other leads", time.Minute, func() bool { return second.status("edge").IsLeader })
	eventually(r, "the other has what the load needs", time.Minute, func() bool { return w.replicas("edge") >= 12 })
	settled := w.replicas("edge")
	throughout(r, "nothing is written twice", 5*time.Second, func() bool { return w.replicas("edge") >= 12 && w.replicas("edge") <= settled+3 })
	s := second.status("edge")
	if s.Replicas.Spec != w.replicas("edge") {
		r.Errorf("the new leader believes in %d replicas, the API server has %d", s.Replicas.Spec, w.replicas("edge"))
	}
	r.show("%d replicas; the new leader reads them as they are and goes on from there (the audit event of the lost leader is not made up for)", w.replicas("edge"))
}

// discard is an answer that nobody gets.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

func TestRow16TwoLeaders(t *testing.T) {
	r := begin(t, 16)
	w, speakers := calm(r)
	controllers := []*controller{w.controller("c-0"), w.controller("c-1")}
	for _, c := range controllers {
		c.live("edge", time.Minute)
		c.knows("edge", calmRPS)
	}
	tries, late, refused := times(50, 2), 0, 0
	for try := range tries {
		var leader, other *controller
		eventually(r, "one leads", time.Minute, func() bool {
			for i, c := range controllers {
				if c.signal("edge") == "LIVE" && c.status("edge").IsLeader && w.holder() == c.name {
					leader, other = c, controllers[1-i]
				}
			}
			return leader != nil
		})
		other.live("edge", time.Minute)
		// The leader's next write is held on its way, and the leader is stopped for longer than its Lease.
		held, release := make(chan struct{}), make(chan struct{})
		var once sync.Once
		done := make(chan int, 1)
		leader.api.set(func(rw http.ResponseWriter, q *http.Request, next http.Handler) {
			mine := false
			if isWrite(q) {
				once.Do(func() { mine = true })
			}
			if !mine {
				next.ServeHTTP(rw, q)
				return
			}
			body, _ := io.ReadAll(q.Body) // now, for the client will be stopped
			close(held)
			<-release
			status := &statusWriter{ResponseWriter: discard{http.Header{}}, status: http.StatusOK}
			q2 := q.Clone(w.Context())
			q2.Body = io.NopCloser(strings.NewReader(string(body)))
			next.ServeHTTP(status, q2)
			done <- status.status
		})
		rps := []uint64{700, 150}[try%2]
		setAll(speakers, rps)
		select {
		case <-held:
		case <-time.After(40 * time.Second):
			r.Fatalf("try %d: the leader never wrote", try)
		}
		leader.freeze()
		_, before := other.api.written()
		eventually(r, "the other leads", time.Minute, func() bool { return other.status("edge").IsLeader })
		eventually(r, "the other writes", time.Minute, func() bool { _, n := other.api.written(); return n > before })
		// Now the outdated write arrives, and its sender goes on.
		_, mine := leader.api.written()
		close(release)
		select {
		case status := <-done:
			if status == http.StatusConflict {
				refused++
			} else {
				late++
				r.Errorf("try %d: the write of the outdated view was answered with %d", try, status)
			}
		case <-time.After(10 * time.Second):
			r.Fatal("the held write got no answer")
		}
		leader.api.set(nil)
		leader.thaw()
		throughout(r, "the former leader writes nothing", times(2*time.Second, time.Second), func() bool {
			_, n := leader.api.written()
			return n == mine || w.holder() == leader.name
		})
		for _, c := range controllers {
			c.knows("edge", 3*float64(rps))
		}
	}
	r.show("%d tries: leader stopped with a write on its way, the other took over and wrote; %d outdated writes refused by version, %d took effect", tries, refused, late)
}

func TestRow17APIServerDown(t *testing.T) {
	r := begin(t, 17)
	w, speakers, c := led(r)
	c.api.set(hang)
	c.api.cutWatches()
	setAll(speakers, 1000)
	time.Sleep(times(60*time.Second, 8*time.Second))
	setAll(speakers, 400) // what is current when it comes back
	time.Sleep(times(60*time.Second, 8*time.Second))
	if got := w.replicas("edge"); got != 3 {
		r.Errorf("%d replicas while the API server was away", got)
	}
	_, before := c.api.written()
	c.api.set(nil)
	r.promise("the first write after the API server was back", eventually(r, "a write", time.Minute, func() bool { _, n := c.api.written(); return n > before }), 5*time.Second)
	time.Sleep(2 * time.Second) // for writes that must not come
	writes, after := c.api.written()
	oneAfterAnother(r, writes)
	if got := w.replicas("edge"); after != before+1 || got < 12 || got > 20 {
		r.Errorf("%d writes led to %d replicas, want one write of the current decision: %+v", after-before, got, writes)
	}
	r.show("%d write led to %d replicas for the current 1200 rps, of 3000 in between (promised: one write)", after-before, w.replicas("edge"))
}

func TestRow18Conflicts(t *testing.T) {
	r := begin(t, 18)
	w, speakers, c := led(r)
	// Somebody writes the scale just before each of the controller's first writes.
	var n atomic.Int64
	c.api.set(func(rw http.ResponseWriter, q *http.Request, next http.Handler) {
		if isWrite(q) && n.Add(1) <= 5 {
			w.setReplicas("edge", int(3+n.Load()))
		}
		next.ServeHTTP(rw, q)
	})
	setAll(speakers, 500)
	eventually(r, "the load gets what it needs", time.Minute, func() bool { return w.replicas("edge") >= 12 })
	writes, accepted := c.api.written()
	conflicts := 0
	for _, x := range writes {
		if x.status == http.StatusConflict {
			conflicts++
		}
	}
	oneAfterAnother(r, writes)
	if conflicts == 0 {
		r.Error("no conflict was met")
	}
	r.show("%d conflicts, each decided anew on what the other had written; %d accepted writes led to %d replicas", conflicts, accepted, w.replicas("edge"))
}

func TestRow19Throttled(t *testing.T) {
	r := begin(t, 19)
	w, speakers, c := led(r)
	c.api.set(func(rw http.ResponseWriter, q *http.Request, next http.Handler) {
		if isScale(q) {
			rw.Header().Set("Retry-After", "1")
			answering(rw, http.StatusTooManyRequests, "TooManyRequests")
			return
		}
		next.ServeHTTP(rw, q)
	})
	calls, start := c.api.scaleCalls(), time.Now()
	setAll(speakers, 500)
	time.Sleep(times(30*time.Second, 8*time.Second))
	rate := float64(c.api.scaleCalls()-calls) / time.Since(start).Seconds()
	if rate > 10 {
		r.Errorf("%.1f calls a second while throttled", rate)
	}
	if !c.status("edge").IsLeader {
		r.Error("the Lease was lost: it has a client of its own")
	}
	c.api.set(func(rw http.ResponseWriter, q *http.Request, next http.Handler) {
		if isScale(q) {
			answering(rw, http.StatusInternalServerError, "InternalError")
			return
		}
		next.ServeHTTP(rw, q)
	})
	time.Sleep(3 * time.Second)
	c.api.set(nil)
	took := eventually(r, "the write", time.Minute, func() bool { return w.replicas("edge") >= 12 })
	r.show("%.1f calls a second while throttled and failing with 500, leading all the time; written %v after", rate, took.Round(10*time.Millisecond))
}

func TestRow20StaleWatch(t *testing.T) {
	r := begin(t, 20)
	w, speakers, c := led(r)
	// From here on the controller's watch of Deployments shows nothing new.
	c.api.set(func(rw http.ResponseWriter, q *http.Request, next http.Handler) {
		if strings.HasSuffix(q.URL.Path, "/deployments") {
			hang(rw, q, next)
			return
		}
		next.ServeHTTP(rw, q)
	})
	c.api.cutWatches()
	w.setReplicas("edge", 20)
	setAll(speakers, 400)
	throughout(r, "no write from the 3 that the stale watch shows", 6*time.Second, func() bool { return w.replicas("edge") >= 12 })
	c.knows("edge", 1200)
	throughout(r, "no write from the 3 that the stale watch shows, with the load known", time.Second, func() bool { return w.replicas("edge") >= 12 })
	got := w.replicas("edge")
	writes, _ := c.api.written()
	for _, x := range writes {
		if x.replicas != 0 && x.replicas < 12 && x.status == http.StatusOK {
			r.Errorf("a write of %d replicas was taken", x.replicas)
		}
	}
	c.api.set(nil)
	r.show("watch stuck at 3 replicas while 20 were asked for by hand: %d stayed, decisions are made on what is read before a write", got)
}

func TestRow21BadPolicy(t *testing.T) {
	r := begin(t, 21)
	w, _ := calm(r)
	c := w.controller("c-1")
	c.leads("edge")
	good := fmt.Sprint(c.status("edge").Policy.Values)
	bad := map[string]string{
		"target-rps-per-edge": "NaN", "min-replicas": "60", "max-replicas": "0", "stable-window": "-5s", "scale-down-hold": "soon", "scale-down-max-step": "200%",
		"mode": "yes", "target-deployment": "Not A Name", "hold-until": "tomorrow", "surprise": "1", "edge-max-rps": "-1",
	}
	more := []map[string]string{
		{"target-rps-per-edge": "0"}, {"target-rps-per-edge": "1e400"}, {"target-rps-per-edge": "Inf"}, {"target-rps-per-edge": ""}, {"target-rps-per-edge": "100 "},
		{"min-replicas": "-1"}, {"min-replicas": "1.5"}, {"min-replicas": "0x10"}, {"max-replicas": "999999999999999999999"}, {"min-replicas": "10", "max-replicas": "5"},
		{"stable-window": "5"}, {"stable-window": "5m5"}, {"stable-window": "999999h"}, {"scale-down-max-step": "%"}, {"scale-down-max-step": "0%"}, {"mode": "DIRECT"},
	}
	for key, value := range bad {
		more = append(more, map[string]string{key: value})
	}
	n := 0
	for _, values := range more {
		data := quickly(values)
		w.setPolicy("edge", data)
		for end := time.Now().Add(30 * time.Second); c.status("edge").Policy.Error == "" && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
		s := c.status("edge")
		if s.Policy.Error == "" {
			r.Errorf("%v was accepted", values)
		}
		if got := fmt.Sprint(s.Policy.Values); got != good {
			r.Errorf("after %v the policy in force is %s", values, got)
		}
		w.setPolicy("edge", quickly(nil))
		eventually(r, "the good policy is back", time.Minute, func() bool { return c.status("edge").Policy.Error == "" })
		n++
	}
	r.show("%d bad ConfigMaps refused whole, the last good policy stayed in force and the reason was shown", n)
}

func TestRow22PolicyDeleted(t *testing.T) {
	r := begin(t, 22)
	w, speakers, c := led(r)
	w.check(w.admin.CoreV1().ConfigMaps(w.namespace).Delete(r.Context(), "edge", metav1.DeleteOptions{}))
	eventually(r, "the deletion is shown", time.Minute, func() bool { return c.status("edge").Policy.Error != "" })
	setAll(speakers, 500)
	eventually(r, "the last good policy still decides", time.Minute, func() bool { return w.replicas("edge") >= 12 })
	r.show("without its ConfigMap the fleet still grows by the last good policy; shown: %s", c.status("edge").Policy.Error)
}

func TestRow23OneEdge(t *testing.T) {
	r := begin(t, 23)
	w, speakers, c := led(r)
	// One hangs: alive in the API, silent on the bus. The load of the others goes.
	speakers[0].muted.Store(true)
	partial := eventually(r, "PARTIAL", time.Minute, func() bool { return c.signal("edge") == "PARTIAL" })
	setAll(speakers[1:], 0)
	throughout(r, "a silent edge forbids the scale-in", 12*time.Second, func() bool { return w.replicas("edge") == 3 })
	// It is gone: its pod is deleted.
	zero := int64(0)
	w.check(w.admin.CoreV1().Pods(w.namespace).Delete(r.Context(), podName("edge", 0), metav1.DeleteOptions{GracePeriodSeconds: &zero}))
	live := eventually(r, "LIVE with the two that are left", time.Minute, func() bool { s := c.status("edge").Signal; return s.State == "LIVE" && s.Known == 2 })
	eventually(r, "the scale-in", time.Minute, func() bool { return w.replicas("edge") == 1 })
	r.show("a hanging edge: PARTIAL after %v, no scale-in; a deleted one: LIVE without it after %v, then scale-in", partial.Round(10*time.Millisecond), live.Round(10*time.Millisecond))
}

func TestRow27TargetDeleted(t *testing.T) {
	r := begin(t, 27)
	w := newWorld(r, "edge", "video")
	var edges, videos []*speaker
	w.fleet("edge", 2, quickly(nil))
	w.fleet("video", 2, quickly(nil))
	for i := range 2 {
		edges = append(edges, w.speakTo(w.broker.Host(), w.broker.Port(), "edge", i, 95, 0))
		videos = append(videos, w.speakTo(w.broker.Host(), w.broker.Port(), "video", i, 95, 0))
	}
	c := w.controller("c-1")
	c.leads("edge")
	c.live("video", time.Minute)
	c.knows("edge", 190)
	c.knows("video", 190)
	w.check(w.admin.AppsV1().Deployments(w.namespace).Delete(r.Context(), "video", metav1.DeleteOptions{}))
	eventually(r, "TargetMissing", time.Minute, func() bool {
		missing, _ := condition(c.status("video"), "TargetMissing")
		return missing
	})
	setAll(videos, 1000)
	setAll(edges, 500)
	took := eventually(r, "the other fleet grows", time.Minute, func() bool { return w.replicas("edge") >= 8 })
	r.show("TargetMissing is shown; the other fleet grew %v after its load", took.Round(10*time.Millisecond))
}

func TestRow10Malformed(t *testing.T) {
	r := begin(t, 10)
	w, _, c := led(r)
	to := w.publisher(w.broker.Host(), w.broker.Port(), "edge", nil)
	before := c.metric("surgewall_telemetry_dropped_total")
	good, err := events.EncodeRate(events.Attributes{Source: "/edge/edge-0", BootID: "boot-0009", Seq: 1}, events.Rate{WindowMS: 1000, Offered: 95})
	w.check(err)
	with := func(change func(m *events.Message)) events.Message {
		m := good
		m.Headers = map[string]string{}
		for k, v := range good.Headers {
			m.Headers[k] = v
		}
		change(&m)
		return m
	}
	bad := []events.Message{
		with(func(m *events.Message) { m.Body = nil }),
		with(func(m *events.Message) { m.Body = []byte("{") }),
		with(func(m *events.Message) { m.Body = []byte(strings.Repeat("[", 60_000)) }),
		with(func(m *events.Message) { m.Body = make([]byte, 1<<20) }),
		with(func(m *events.Message) { m.Body = []byte(`{"window_ms":1000,"offered":-1}`) }),
		with(func(m *events.Message) { m.Body = []byte(`{"window_ms":1000,"offered":1e300}`) }),
		with(func(m *events.Message) { m.Body = []byte(`{"window_ms":0,"offered":1}`) }),
		with(func(m *events.Message) { m.Body = []byte(`{"window_ms":1000}`) }),
		with(func(m *events.Message) { m.Headers["ce-type"] = "io.surgewall.edge.rate.v2" }),
		with(func(m *events.Message) { m.Headers["ce-specversion"] = "9" }),
		with(func(m *events.Message) { m.Headers["ce-source"] = "/video/edge-0" }),
		with(func(m *events.Message) { m.Headers["ce-source"] = "../../etc" }),
		with(func(m *events.Message) { m.Headers["ce-sequence"] = "99999999999999999999999" }),
		with(func(m *events.Message) { m.Headers["ce-bootid"] = strings.Repeat("a", 1000) }),
		with(func(m *events.Message) { m.Headers = nil }),
		with(func(m *events.Message) { m.ContentType = "text/html" }),
		with(func(m *events.Message) {
			m.ContentType, m.Body = events.ContentTypeStructured, []byte(`{"specversion":"1.0"}`)
		}),
	}
	n := times(20, 3)
	for range n {
		for _, m := range bad {
			to.Publish(m)
			time.Sleep(time.Millisecond)
		}
	}
	eventually(r, "all of it is on its way", time.Minute, func() bool { return to.Waiting() == 0 })
	said, want := to.Counters(), float64(n*len(bad))
	// What the publisher itself had to drop is on its own account.
	missing := func() float64 {
		said = to.Counters()
		return want - float64(said.Dropped()) - (c.metric("surgewall_telemetry_dropped_total") - before)
	}
	eventually(r, "each is dropped and counted", time.Minute, func() bool { return missing() == 0 })
	throughout(r, "no more are counted than there were", time.Second, func() bool { return missing() == 0 })
	c.live("edge", time.Minute) // a machine that is busy for seconds delays the good ones, too
	dead := w.broker.Ctl(r, "list_queues", "-p", w.vhost, "--silent", "messages_unacknowledged", "messages_ready")
	loud := strings.Count(c.log.String(), "dropped a message from the bus")
	if loud > 12 {
		r.Errorf("%d log lines for %v messages", loud, want)
	}
	r.show("%.0f bad messages of %d kinds: %d reached the broker, each was dropped and counted by its reason; %d log lines, LIVE, queues %q", want, len(bad), said.Published, loud, strings.Fields(dead))
}

func TestRow11HostileEdge(t *testing.T) {
	r := begin(t, 11)
	w := newWorld(r, "edge", "video")
	w.fleet("edge", 2, quickly(nil))
	w.fleet("video", 2, quickly(map[string]string{"max-replicas": "12"}))
	for i := range 2 {
		w.speakTo(w.broker.Host(), w.broker.Port(), "edge", i, 95, 0)
	}
	w.speakTo(w.broker.Host(), w.broker.Port(), "video", 0, 95, 0)
	liar := w.speakTo(w.broker.Host(), w.broker.Port(), "video", 1, 95, 0)
	c := w.controller("c-1")
	c.leads("edge")
	c.live("video", time.Minute)
	c.knows("edge", 190)
	c.knows("video", 190)
	liar.set(events.MaxCount)
	// It also speaks for others, and invents pods of its own fleet.
	for i := range 200 {
		for _, source := range []string{"/edge/edge-0", fmt.Sprintf("/video/ghost-%d", i)} {
			m, err := events.EncodeRate(events.Attributes{Source: source, BootID: "boot-0666", Seq: 1_000_000}, events.Rate{WindowMS: 1, Offered: math.MaxUint32})
			w.check(err)
			m.UserID = "video"
			liar.publisher.Publish(m)
		}
	}
	most := 0
	throughout(r, "the other fleet stays", times(30*time.Second, 10*time.Second), func() bool {
		most = max(most, w.replicas("video"))
		return w.replicas("edge") == 2 && c.signal("edge") == "LIVE"
	})
	if most > 12 {
		r.Errorf("the liar's fleet grew to %d, its maximum is 12", most)
	}
	s := c.status("video")
	r.show("one liar with 10^15 requests and 200 invented pods: its fleet grew to %d of 12 at most, the other stayed at 2; dropped %v", most, s.Signal.Dropped)
}

func TestRow35Terminated(t *testing.T) {
	r := begin(t, 35)
	w := newWorld(r, "edge")
	w.fleet("edge", 2, quickly(nil))
	origin := content(r)
	a, _ := w.edge("edge", 0, origin)
	b, _ := w.edge("edge", 1, origin)
	first := w.controller("c-1")
	first.leads("edge")
	second := w.controller("c-2")
	second.live("edge", time.Minute)
	// Clients behind a balancer: they ask whoever is ready, and no request may fail.
	var current atomic.Pointer[process]
	current.Store(a)
	var asked, failed atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			client := http.Client{Transport: transport, Timeout: 10 * time.Second}
			for {
				select {
				case <-stop:
					return
				default:
				}
				response, err := client.Get(current.Load().url + "/a")
				asked.Add(1)
				if err != nil {
					failed.Add(1)
					continue
				}
				if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
					failed.Add(1)
				}
				response.Body.Close()
				time.Sleep(time.Millisecond)
			}
		})
	}
	time.Sleep(2 * time.Second)
	// As an endpoint controller does: the pod leaves the balancer when it is no longer ready, while it still serves for its drain delay.
	go func() {
		for a.ready() {
			time.Sleep(5 * time.Millisecond)
		}
		current.Store(b)
	}()
	a.terminate()
	zero := int64(0)
	w.check(w.admin.CoreV1().Pods(w.namespace).Delete(r.Context(), podName("edge", 0), metav1.DeleteOptions{GracePeriodSeconds: &zero}))
	time.Sleep(time.Second)
	close(stop)
	clients.Wait()
	if failed.Load() > 0 {
		r.Errorf("%d of %d requests failed", failed.Load(), asked.Load())
	}
	eventually(r, "LIVE without the edge that said goodbye", time.Minute, func() bool { s := first.status("edge").Signal; return s.State == "LIVE" && s.Known == 1 })
	ended := time.Now()
	first.terminate()
	if w.holder() == first.name {
		r.Error("the Lease is still held by who ended: it was not given back")
	}
	eventually(r, "the Lease is handed over", time.Minute, func() bool { return second.status("edge").IsLeader })
	r.show("an edge ended under %d requests, %d failed", asked.Load(), failed.Load())
	r.promise("the controller ended and the other led", time.Since(ended), 6*time.Second)
}
