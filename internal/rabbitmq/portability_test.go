package rabbitmq

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/surgewall/surgewall/events"
)

// The tests of this file hold what Surgewall relies on, on every generation of RabbitMQ: run them with SURGEWALL_RABBITMQ_BIN set to what
// hack/rabbitmq4/build prints, too.

// raw is a channel without anything of ours around it.
func raw(t *testing.T, url string) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseDeadline(time.Now().Add(time.Second)) })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func code(err error) int {
	var e *amqp.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// A piece of work that always fails is seen six times, whatever the generation's own default is, and then is a dead letter with its reason.
func TestPortableDeliveryLimit(t *testing.T) {
	b := broker.Get(t)
	t.Logf("RabbitMQ %d", b.Generation(t))
	vhost := b.VHost(t)
	b.Setup(t, vhost)
	ch := raw(t, b.GuestURL(vhost))
	if err := ch.Qos(1, 0, false); err != nil {
		t.Fatal(err)
	}
	work, err := ch.Consume(events.QueuePrefetch, "", false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	dead, err := ch.Consume(events.QueueDead, "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"poison", "good"} {
		if err := ch.PublishWithContext(t.Context(), events.ExchangeContent, "prefetch.example.com", false, false,
			amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	seen, good := 0, 0
	for deadline := time.After(time.Minute); ; {
		select {
		case d := <-work:
			if string(d.Body) == "good" {
				good++
				_ = d.Ack(false)
				continue
			}
			if n, _ := d.Headers["x-delivery-count"].(int64); int(n) != seen {
				t.Errorf("delivery count %v at the try %d", d.Headers["x-delivery-count"], seen+1)
			}
			seen++
			_ = d.Reject(true)
		case d := <-dead:
			deaths, _ := d.Headers["x-death"].([]any)
			if len(deaths) == 0 || deaths[0].(amqp.Table)["reason"] != "delivery_limit" {
				t.Errorf("x-death is %v", d.Headers["x-death"])
			}
			if seen != 6 || good != 1 || string(d.Body) != "poison" {
				t.Errorf("seen %d times, %d others worked, dead is %s", seen, good, d.Body)
			}
			return
		case <-deadline:
			t.Fatalf("no dead letter; seen %d times", seen)
		}
	}
}

// A stream asks for a prefetch count, tells the offset of each message as a whole number, and clamps an offset to what it has, without a word.
func TestPortableStream(t *testing.T) {
	b := broker.Get(t)
	vhost := b.VHost(t)
	b.Setup(t, vhost)
	url := b.GuestURL(vhost)
	ch := raw(t, url)
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c, err := ch.PublishWithDeferredConfirmWithContext(t.Context(), events.ExchangeContent, "purge.example.com", true, false, amqp.Publishing{Body: []byte("x")})
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := c.WaitContext(t.Context()); err != nil || !ok {
			t.Fatalf("confirm: %t, %v", ok, err)
		}
	}
	if _, err := raw(t, url).Consume(events.StreamContent, "", false, false, false, false, nil); code(err) != amqp.PreconditionFailed {
		t.Errorf("without a prefetch count: %v, want 406", err)
	}
	for from, first := range map[any]int64{"first": 0, int64(2): 2, int64(-0): 0} {
		ch := raw(t, url)
		if err := ch.Qos(10, 0, false); err != nil {
			t.Fatal(err)
		}
		deliveries, err := ch.Consume(events.StreamContent, "", false, false, false, false, amqp.Table{"x-stream-offset": from})
		if err != nil {
			t.Fatal(err)
		}
		select {
		case d := <-deliveries:
			if got, ok := d.Headers["x-stream-offset"].(int64); !ok || got != first {
				t.Errorf("from %v the first offset is %v, want %d", from, d.Headers["x-stream-offset"], first)
			}
		case <-time.After(time.Minute):
			t.Errorf("from %v nothing comes", from)
		}
	}
}

// A queue with a fixed name that is exclusive is locked for anybody else; one that the broker names is not.
func TestPortableExclusiveQueue(t *testing.T) {
	b := broker.Get(t)
	url := b.GuestURL(b.VHost(t))
	first, second := raw(t, url), raw(t, url)
	q := events.ControllerQueue()
	var names []string
	for _, ch := range []*amqp.Channel{first, second} {
		made, err := ch.QueueDeclare("", q.Durable, q.AutoDelete, q.Exclusive, false, amqp.Table(q.Args))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, made.Name)
	}
	for _, name := range names {
		// The permissions of the controller and the policy of setup match this.
		if !strings.HasPrefix(name, "amq.gen-") {
			t.Errorf("the broker calls a queue %s", name)
		}
	}
	if _, err := first.QueueDeclare("fixed", q.Durable, q.AutoDelete, q.Exclusive, false, amqp.Table(q.Args)); err != nil {
		t.Fatal(err)
	}
	if _, err := second.QueueDeclare("fixed", q.Durable, q.AutoDelete, q.Exclusive, false, amqp.Table(q.Args)); code(err) != amqp.ResourceLocked {
		t.Errorf("somebody else's exclusive queue: %v, want 405", err)
	}
}

// A message that names another user than its connection's is refused, whoever sends it.
func TestPortableUserID(t *testing.T) {
	b := broker.Get(t)
	vhost := b.VHost(t)
	b.Setup(t, vhost)
	ch := raw(t, b.GuestURL(vhost))
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	if err := ch.PublishWithContext(t.Context(), events.ExchangeTelemetry, "rate.edge.a", false, false, amqp.Publishing{UserId: "edge"}); err != nil {
		t.Fatal(err)
	}
	select {
	case e := <-closed:
		if e == nil || e.Code != amqp.PreconditionFailed {
			t.Errorf("closed with %v, want 406", e)
		}
	case <-time.After(time.Minute):
		t.Error("a forged user id is taken")
	}
}

// Nothing that a later generation has taken away or will is used: the newer ones keep a list.
func TestPortableNothingDeprecated(t *testing.T) {
	b := broker.Get(t)
	vhost := b.VHost(t)
	b.Setup(t, vhost)
	var in seen
	consuming(t.Context(), t, options(b, vhost), events.ControllerBindings(), in.handle)
	if b.Generation(t) < 4 {
		t.Skip("SKIPPED: this RabbitMQ keeps no list of deprecated features: SURGEWALL_RABBITMQ_BIN=$(hack/rabbitmq4/build)")
	}
	if out := strings.TrimSpace(b.Ctl(t, "list_deprecated_features", "--used", "--silent", "name")); out != "" {
		t.Errorf("in use: %s", out)
	}
}

// A prefetch count for a whole channel is deprecated: no call of Qos asks for one.
func TestPortablePrefetch(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	for _, file := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if f, ok := call.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Qos" {
				calls++
				if global, ok := call.Args[2].(*ast.Ident); !ok || global.Name != "false" {
					t.Errorf("%s asks for a global prefetch count", file)
				}
			}
			return true
		})
	}
	if calls == 0 {
		t.Error("no call of Qos: the test looks at nothing")
	}
}
