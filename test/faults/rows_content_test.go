package faults

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/testorigin"
)

// versioned is an edge in front of an origin whose object says which version it is, for an hour fresh.
type versioned struct {
	*world
	edge    *process
	link    *link
	speaks  *amqp.Channel // as the controller, who may purge
	version atomic.Int64
	asked   atomic.Int64
	purges  int
}

func newVersioned(r *row) *versioned {
	r.Helper()
	v := &versioned{world: newWorld(r, "edge")}
	v.version.Store(1)
	v.broker.Setup(r, v.vhost)
	v.speaks = dial(r, v.broker.URL("controller", password, v.vhost))
	v.check(v.speaks.Confirm(false))
	origin := testorigin.New(r)
	origin.Handle("/a", func(*http.Request, int) testorigin.Response {
		v.asked.Add(1)
		n := v.version.Load()
		return testorigin.Response{Header: map[string]string{"Cache-Control": "max-age=3600"}, ETag: fmt.Sprintf(`"%d"`, n), Body: []byte(strconv.FormatInt(n, 10))}
	})
	v.edge, v.link = v.world.edge("edge", 0, origin.URL())
	return v
}

// get asks the edge which version it has.
func (v *versioned) get() int64 {
	v.Helper()
	response, err := client.Get(v.edge.url + "/a")
	v.check(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	v.check(err)
	n, err := strconv.ParseInt(string(body), 10, 64)
	v.check(err)
	return n
}

// purge publishes the purge of the object, confirmed.
func (v *versioned) purge() {
	v.Helper()
	v.purges++
	m, err := events.EncodeContent(events.Attributes{Source: "/controller/c-1", BootID: "boot-0001", Seq: uint64(v.purges)}, //nolint:gosec // a handful
		fmt.Sprintf("purge-%d", v.purges), events.Content{Action: events.ContentPurge, Scope: events.ScopeURL, Values: []string{v.edge.url + "/a"}, Principal: "test"})
	v.check(err)
	headers := amqp.Table{}
	for name, value := range m.Headers {
		headers[name] = value
	}
	c, err := v.speaks.PublishWithDeferredConfirmWithContext(v.Context(), m.Exchange, m.Key, true, false,
		amqp.Publishing{Headers: headers, ContentType: m.ContentType, MessageId: m.MessageID, UserId: "controller", Type: headers["ce-type"].(string), DeliveryMode: amqp.Persistent, Body: m.Body})
	v.check(err)
	if ok, err := c.WaitContext(v.Context()); err != nil || !ok {
		v.Fatalf("the purge was not confirmed: %t, %v", ok, err)
	}
}

func TestRow31PurgeWhileCutOff(t *testing.T) {
	r := begin(t, 31)
	v := newVersioned(r)
	var slowest time.Duration
	n := times(10, 2)
	for range n {
		// In touch: a purge takes effect at once.
		eventually(r, "the object is stored", time.Minute, func() bool { return v.get() == v.version.Load() })
		v.version.Add(1)
		v.purge()
		eventually(r, "the purge takes effect", time.Minute, func() bool { return v.get() == v.version.Load() })
		// Cut off: what was purged meanwhile is not served as fresh once the path is back.
		v.link.blackHole()
		v.version.Add(1)
		v.purge()
		time.Sleep(times(10*time.Second, 2*time.Second))
		v.link.heal()
		took := eventually(r, "the missed purge takes effect", time.Minute, func() bool { return v.get() == v.version.Load() })
		slowest = max(slowest, took)
		throughout(r, "the old version stays away", time.Second, func() bool { return v.get() == v.version.Load() })
	}
	// Two seconds from the reconnect, which comes once the dead path is noticed.
	r.promise(fmt.Sprintf("%d purges while cut off took effect after the path was back", n), slowest, 7500*time.Millisecond+redial+2*time.Second)
}

func TestRow32LogRecreated(t *testing.T) {
	r := begin(t, 32)
	v := newVersioned(r)
	eventually(r, "the object is stored", time.Minute, func() bool { return v.get() == 1 })
	v.version.Add(1)
	v.purge()
	eventually(r, "the purge takes effect", time.Minute, func() bool { return v.get() == 2 })
	v.link.blackHole()
	v.version.Add(1)
	v.purge() // goes with the log
	v.broker.DeleteQueue(r, v.vhost, events.StreamContent)
	v.broker.Setup(r, v.vhost)
	time.Sleep(2 * time.Second)
	asked := v.asked.Load()
	v.link.heal()
	took := eventually(r, "what was stored before is validated", time.Minute, func() bool { return v.get() == 3 })
	r.show("a purge was lost with the log while the edge was cut off: the old object was validated, with %d requests to the origin", v.asked.Load()-asked)
	r.promise("that was after the path was back", took, 7500*time.Millisecond+redial+5*time.Second)
}
