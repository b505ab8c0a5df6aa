package faults

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/testorigin"
)

// content is an origin with one cacheable object.
func content(t testing.TB) string {
	t.Helper()
	origin := testorigin.New(t)
	origin.Serve("/a", testorigin.Response{Header: map[string]string{"Cache-Control": "max-age=3600"}, Body: []byte("content")})
	return origin.URL()
}

// load asks an edge from four clients until stop, and returns the times that it took and what failed.
func load(url string, length time.Duration) (took []time.Duration, failed int) {
	var mu sync.Mutex
	var clients sync.WaitGroup
	end := time.Now().Add(length)
	for range 4 {
		clients.Go(func() {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			client := http.Client{Transport: transport, Timeout: 10 * time.Second}
			var mine []time.Duration
			bad := 0
			for time.Now().Before(end) {
				start := time.Now()
				response, err := client.Get(url + "/a")
				if err != nil {
					bad++
					continue
				}
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
				if response.StatusCode != http.StatusOK {
					bad++
				}
				mine = append(mine, time.Since(start))
				time.Sleep(2 * time.Millisecond)
			}
			mu.Lock()
			defer mu.Unlock()
			took, failed = append(took, mine...), failed+bad
		})
	}
	clients.Wait()
	return took, failed
}

func p99(took []time.Duration) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

func TestRow01BrokerDownAtStart(t *testing.T) {
	r := begin(t, 1)
	w := newWorld(r, "edge")
	w.fleet("edge", 1, quickly(nil))
	w.broker.Kill()
	edge, _ := w.edge("edge", 0, content(r))
	c := w.controller("c-1")
	eventually(r, "the controller is ready without a broker", 2*time.Minute, c.ready)
	if code, err := ask(edge.url+"/a", nil); code != http.StatusOK {
		r.Errorf("the edge answers %d, %v without a broker", code, err)
	}
	if s := c.signal("edge"); s != "BLIND" {
		r.Errorf("the controller says %s without a broker", s)
	}
	if edge.metric("surgewall_broker_publisher_state", `state="up"`) != 0 {
		r.Error("the edge says that its connection is up")
	}
	w.broker.Restart(r)
	r.promise("LIVE after the broker's first answer", c.live("edge", time.Minute), 5*time.Second)
}

func TestRow02BrokerCrash(t *testing.T) {
	r := begin(t, 2)
	w := newWorld(r, "edge")
	w.fleet("edge", 3, quickly(nil))
	seen := w.witness()
	var speakers []*speaker
	var links []*link
	for i := range 3 {
		s, l := w.speak("edge", i, 95)
		speakers, links = append(speakers, s), append(links, l)
	}
	c := w.controller("c-1")
	c.leads("edge")
	before, connections := w.replicas("edge"), w.broker.Connections(r, w.vhost)
	var slowest time.Duration
	n := times(20, 2)
	for range n {
		w.broker.Kill()
		eventually(r, "BLIND", time.Minute, func() bool { return c.signal("edge") != "LIVE" })
		w.broker.Restart(r)
		slowest = max(slowest, c.live("edge", time.Minute))
	}
	// Every path is reset again and again for a while.
	links = append(links, c.link)
	for _, l := range links {
		l.reset()
	}
	eventually(r, "BLIND under resets", time.Minute, func() bool { return c.signal("edge") == "BLIND" })
	for _, l := range links {
		l.heal()
	}
	r.promise("LIVE after every connection was reset for seconds", c.live("edge", time.Minute), 5*time.Second)
	if got := w.replicas("edge"); got != before {
		r.Errorf("%d replicas after the crashes, %d before", got, before)
	}
	eventually(r, "as many connections as before", time.Minute, func() bool { return w.broker.Connections(r, w.vhost) == connections })
	r.promise(fmt.Sprintf("killed %d times: LIVE again", n), slowest, 5*time.Second)
	r.show("%d replicas and %d connections as before", before, connections)
	r.show("telemetry: %s", seen.balance(r, n+1, speakers...))
}

func TestRow03EdgeCutOff(t *testing.T) {
	r := begin(t, 3)
	w := newWorld(r, "edge")
	w.fleet("edge", 2, quickly(nil))
	seen := w.witness()
	other, _ := w.speak("edge", 1, 95)
	edge, link := w.edge("edge", 0, content(r))
	c := w.controller("c-1")
	c.leads("edge")
	source := events.Source("edge", podName("edge", 0))
	length := times(60*time.Second, 8*time.Second)
	calm, failed := load(edge.url, length/2)
	if failed > 0 {
		r.Errorf("%d requests failed before", failed)
	}
	rss := edge.resident()
	link.blackHole()
	cut := time.Now()
	var silent, noticed time.Duration
	var watching sync.WaitGroup
	watching.Go(func() {
		for time.Since(cut) < max(length, 40*time.Second) && (silent == 0 || noticed == 0) {
			if silent == 0 && c.signal("edge") == "PARTIAL" {
				silent = time.Since(cut)
			}
			if noticed == 0 && edge.metric("surgewall_broker_publisher_state", `state="up"`) == 0 {
				noticed = time.Since(cut)
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	cutOff, failed := load(edge.url, length)
	watching.Wait()
	if failed > 0 {
		r.Errorf("%d requests failed while the edge was cut off", failed)
	}
	if silent == 0 || noticed == 0 {
		r.Fatalf("the controller took note after %v, the edge after %v: 0 is never", silent, noticed)
	}
	r.promise("PARTIAL for want of three windows", silent, 4*time.Second)
	r.promise("the edge noticed the dead path", noticed, 7500*time.Millisecond)
	r.calmly(fmt.Sprintf("while cut off for %v", length), calm, cutOff)
	r.bounded("the edge", rss, edge.resident(), 64)
	link.heal()
	seen.recovers(r, edge, source)
	r.show("the edge beside it: %s", seen.balance(r, 0, other))
}

// redial is the longest that a process takes to be connected to a broker that is back: a handshake that began before, and the wait for the next attempt.
const redial = 7 * time.Second

// bounded shows what a process held before and under a fault, and fails where that grew by more than so many MiB.
func (r *row) bounded(who string, before, under, most int) {
	r.Helper()
	r.show("%s held %d MiB before and %d after (bound: %d more)", who, before>>20, under>>20, most)
	if under-before > most<<20 {
		r.Errorf("%s grew by %d MiB, at most %d are allowed", who, (under-before)>>20, most)
	}
}

// cutOffBlind lets a controller settle on two edges, breaks its path, has the load rise tenfold meanwhile, and checks that it becomes BLIND and writes nothing
// for a time. What it returns undoes the fault and shows how long LIVE took.
func (r *row) cutOffBlind(fault func(*link), length time.Duration) (w *world, c *controller, mend func()) {
	r.Helper()
	w = newWorld(r, "edge")
	w.fleet("edge", 2, quickly(nil))
	var speakers []*speaker
	for i := range 2 {
		s, _ := w.speak("edge", i, 95)
		speakers = append(speakers, s)
	}
	c = w.controller("c-1")
	c.leads("edge")
	c.knows("edge", 190)
	_, before := c.api.written()
	fault(c.link)
	r.promise("BLIND", eventually(r, "BLIND", time.Minute, func() bool { return c.signal("edge") == "BLIND" }), 4*time.Second)
	setAll(speakers, 1000)
	throughout(r, "BLIND and no write", length, func() bool {
		_, n := c.api.written()
		return n == before && c.signal("edge") == "BLIND"
	})
	return w, c, func() {
		r.Helper()
		c.link.heal()
		r.promise("LIVE after the path was whole", c.live("edge", 2*time.Minute), 7500*time.Millisecond+redial)
	}
}

func TestRow04ControllerCutOff(t *testing.T) {
	r := begin(t, 4)
	length := times(60*time.Second, 10*time.Second)
	w, _, mend := r.cutOffBlind((*link).blackHole, length)
	r.show("no write while BLIND for %v, though the load was tenfold", length)
	mend()
	wrote := eventually(r, "the rise is written", time.Minute, func() bool { return w.replicas("edge") >= 15 })
	r.promise("the rise was written", wrote, 1500*time.Millisecond)
}

func TestRow05MemoryAlarm(t *testing.T) {
	r := begin(t, 5)
	w := newWorld(r, "edge")
	w.fleet("edge", 2, quickly(map[string]string{"scale-down-hold": "5m"})) // the clients pause while the lever is pulled
	seen := w.witness()
	edge, _ := w.edge("edge", 0, content(r))
	s, _ := w.speak("edge", 1, 95)
	c := w.controller("c-1")
	c.leads("edge")
	length := times(60*time.Second, 8*time.Second)
	calm, failed := load(edge.url, length/2)
	rss, replicas := edge.resident(), w.replicas("edge")
	w.broker.MemoryAlarm(r, true)
	clear := sync.OnceFunc(func() { w.broker.MemoryAlarm(r, false) })
	defer clear()
	blocked, more := load(edge.url, length)
	if failed+more > 0 {
		r.Errorf("%d requests failed before the alarm, %d during it", failed, more)
	}
	r.bounded("the edge", rss, edge.resident(), 64)
	if got := c.signal("edge"); got == "LIVE" {
		r.Errorf("the signal is %s under the alarm", got)
	}
	if got := w.replicas("edge"); got < replicas {
		r.Errorf("%d replicas under the alarm, %d before", got, replicas)
	}
	r.calmly(fmt.Sprintf("under the alarm of %v", length), calm, blocked)
	clear()
	seen.recovers(r, edge, events.Source("edge", podName("edge", 0)))
	r.promise("LIVE after that", c.live("edge", 2*time.Minute), 5*time.Second)
	r.show("telemetry: %s", seen.balance(r, 1, s))
}

func TestRow06SlowController(t *testing.T) {
	r := begin(t, 6)
	w := newWorld(r, "edge")
	w.fleet("edge", 1, quickly(nil))
	s, _ := w.speak("edge", 0, 95)
	c := w.controller("c-1")
	c.leads("edge")
	rss := c.resident()
	length, rate := times(60*time.Second, 12*time.Second), times(10_000, 1500)
	c.freeze()
	thaw := sync.OnceFunc(c.thaw)
	defer thaw()
	// Windows by the thousand, from one that has the right to.
	frozen := time.Now()
	n := 0
	for time.Since(frozen) < length {
		for range rate / 20 {
			s.say(&events.Rate{WindowMS: 1000, Offered: 95, Warm: 1})
			n++
		}
		time.Sleep(50 * time.Millisecond)
	}
	queued := 0
	for line := range strings.Lines(w.broker.Ctl(r, "list_queues", "-p", w.vhost, "--silent", "messages")) {
		var messages int
		_, _ = fmt.Sscan(line, &messages)
		queued += messages
	}
	if queued > 100_000+1000 {
		r.Errorf("%d messages wait in the broker", queued)
	}
	thaw()
	live := c.live("edge", 2*time.Minute)
	eventually(r, "the queue is empty", 2*time.Minute, func() bool {
		return !strings.ContainsAny(w.broker.Ctl(r, "list_queues", "-p", w.vhost, "--silent", "messages_ready"), "123456789")
	})
	r.bounded("the controller", rss, c.resident(), 128)
	r.show("stopped for %v under %d windows: %d waited in the broker (bound: 100000)", length, n, queued)
	r.promise("LIVE after it went on", live, 10*time.Second)
}

func TestRow09Late(t *testing.T) {
	r := begin(t, 9)
	// Longer than the delay: what is late arrives now, and is not taken for news.
	_, _, mend := r.cutOffBlind(func(l *link) { l.delay(15 * time.Second) }, 20*time.Second)
	r.show("no write while everything came 15 s late")
	mend()
}

func TestRow24AllSilent(t *testing.T) {
	r := begin(t, 24)
	w := newWorld(r, "edge")
	w.fleet("edge", 3, quickly(nil))
	for i := range 3 {
		w.speak("edge", i, 95)
	}
	c := w.controller("c-1")
	c.leads("edge")
	before := w.replicas("edge")
	// The broker lets the fleet's user publish nothing any more; the controller's path is whole.
	w.broker.Ctl(r, "set_permissions", "-p", w.vhost, "edge", "^$", "^$", "^$")
	w.broker.Ctl(r, "close_all_connections", "-p", w.vhost, "the permission was taken away")
	r.promise("BLIND", eventually(r, "BLIND", time.Minute, func() bool { return c.signal("edge") == "BLIND" }), 4*time.Second)
	throughout(r, "the replicas are held", times(60*time.Second, 12*time.Second), func() bool { return w.replicas("edge") == before })
	w.broker.Ctl(r, "set_permissions", "-p", w.vhost, "edge", "^$", `^surgewall\.telemetry$`, `^surgewall\.content\.log$`)
	r.show("%d replicas held", before)
	r.promise("LIVE after the permission was back", c.live("edge", time.Minute), 5*time.Second)
}

func TestRow25ReallyZero(t *testing.T) {
	r := begin(t, 25)
	w := newWorld(r, "edge")
	w.fleet("edge", 3, quickly(nil))
	seen := w.witness()
	var speakers []*speaker
	for i := range 3 {
		s, _ := w.speak("edge", i, 95)
		speakers = append(speakers, s)
	}
	c := w.controller("c-1")
	c.leads("edge")
	c.knows("edge", 285)
	setAll(speakers, 0)
	took := eventually(r, "the fleet is scaled in", 2*time.Minute, func() bool { return w.replicas("edge") == 1 })
	r.show("scaled in from 3 to 1 after %v of explicit zeros, at a hold of 3 s", took.Round(100*time.Millisecond))
	r.show("telemetry: %s", seen.balance(r, 0, speakers...))
}

func TestRow29Credentials(t *testing.T) {
	r := begin(t, 29)
	w := newWorld(r, "edge")
	w.fleet("edge", 1, quickly(nil))
	w.speak("edge", 0, 95)
	c := w.controller("c-1")
	c.leads("edge")
	users := []string{"edge", "controller"}
	for _, name := range users {
		w.broker.SetPassword(r, name, "rotated-0815-"+name)
	}
	w.broker.Ctl(r, "close_all_connections", "-p", w.vhost, "credentials are others now")
	eventually(r, "BLIND with the old passwords", time.Minute, func() bool { return c.signal("edge") == "BLIND" })
	for _, name := range users {
		w.setPassword(name, "rotated-0815-"+name)
	}
	r.promise("LIVE after the files had the new passwords", c.live("edge", time.Minute), 5*time.Second)
	if log := c.log.String(); strings.Contains(log, "rotated-0815") || strings.Contains(log, password) {
		r.Error("the log holds a password")
	}
	r.show("refused with the old passwords and tried again with back-off, no password in a log (expired certificates: internal/rabbitmq)")
}

func TestRow30Topology(t *testing.T) {
	r := begin(t, 30)
	w := newWorld(r, "edge")
	w.fleet("edge", 1, quickly(nil))
	w.speak("edge", 0, 95)
	c := w.controller("c-1")
	c.leads("edge")
	// The controller's queue is deleted under it.
	w.broker.Eval(r, `[rabbit_amqqueue:delete(Q, false, false, <<"test">>) || Q <- rabbit_amqqueue:list(<<"`+w.vhost+`">>)].`)
	deleted := time.Now()
	eventually(r, "a new queue is there", time.Minute, func() bool {
		return strings.Contains(c.log.String(), "its queue is gone") && c.metric("surgewall_broker_consumer_state", `state="up"`) == 1 && c.signal("edge") == "LIVE"
	})
	r.promise("LIVE with a new queue", time.Since(deleted), 5*time.Second)
	// The exchange goes, with all that was bound to it, and comes back without.
	w.broker.Eval(r, `rabbit_exchange:delete(rabbit_misc:r(<<"`+w.vhost+`">>, exchange, <<"surgewall.telemetry">>), false, <<"test">>).`)
	eventually(r, "BLIND without the exchange", 60*time.Second, func() bool { return c.signal("edge") == "BLIND" })
	eventually(r, "the missing exchange is named", 60*time.Second, func() bool {
		return strings.Contains(c.log.String(), "surgewall.telemetry is missing") || strings.Contains(c.log.String(), "no exchange 'surgewall.telemetry'")
	})
	w.broker.Declare(r, w.vhost)
	r.promise("LIVE after a deleted exchange was declared again", c.live("edge", 2*time.Minute), 10*time.Second)
}
