package rabbitmq_test

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/surgewall/surgewall/config/rabbitmq"
	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/testrabbit"
)

const vhost = rabbitmq.VHost

func load(t *testing.T) rabbitmq.Definitions {
	t.Helper()
	d, err := rabbitmq.Default()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDefinitionsAreTheContract compares the file with what the code declares and with the roles that it was written for.
func TestDefinitionsAreTheContract(t *testing.T) {
	d := load(t)
	if len(d.VHosts) != 1 || d.VHosts[0].Name != vhost {
		t.Errorf("virtual hosts are %v, want one, %q", d.VHosts, vhost)
	}
	var exchanges []events.Exchange
	for _, e := range d.Exchanges {
		if e.VHost != vhost || !e.Durable || e.AutoDelete || e.Internal || len(e.Arguments) != 0 {
			t.Errorf("exchange %s is not plain and durable: %+v", e.Name, e)
		}
		exchanges = append(exchanges, events.Exchange{Name: e.Name, Kind: e.Type})
	}
	if !slices.Equal(exchanges, events.Exchanges()) {
		t.Errorf("exchanges are %v, the code has %v", exchanges, events.Exchanges())
	}
	if len(d.Queues) != len(events.Queues()) {
		t.Errorf("%d queues, the code has %d", len(d.Queues), len(events.Queues()))
	}
	count := 0
	for _, want := range events.Queues() {
		i := slices.IndexFunc(d.Queues, func(q rabbitmq.Queue) bool { return q.Name == want.Name })
		if i < 0 {
			t.Errorf("queue %s is missing", want.Name)
			continue
		}
		if q := d.Queues[i]; q.VHost != vhost || q.Durable != want.Durable || q.AutoDelete != want.AutoDelete || !maps.Equal(q.Arguments, asJSON(want.Args)) {
			t.Errorf("queue %s is %+v, the code has %+v", q.Name, q, want)
		}
		for _, b := range want.Bindings {
			count++
			if !slices.ContainsFunc(d.Bindings, func(have rabbitmq.Binding) bool {
				return have.Source == b.Exchange && have.VHost == vhost && have.Destination == want.Name && have.DestinationType == "queue" &&
					have.RoutingKey == b.Key && len(have.Arguments) == 0
			}) {
				t.Errorf("queue %s is not bound to %s of %s", want.Name, b.Key, b.Exchange)
			}
		}
	}
	if len(d.Bindings) != count {
		t.Errorf("%d bindings, the code has %d", len(d.Bindings), count)
	}
	var policies []rabbitmq.Policy
	for _, p := range events.Policies() {
		policies = append(policies, rabbitmq.Policy{Name: p.Name, VHost: vhost, Pattern: p.Pattern, ApplyTo: "queues", Definition: asJSON(p.Definition)})
	}
	if !reflect.DeepEqual(d.Policies, policies) {
		t.Errorf("policies are %v, the code has %v", d.Policies, policies)
	}
}

// asJSON has the numbers as a JSON decoder reads them.
func asJSON(args map[string]any) map[string]any {
	out := map[string]any{}
	for key, value := range args {
		if n, ok := value.(int64); ok {
			value = float64(n)
		}
		out[key] = value
	}
	return out
}

func TestUsersAreTheRoles(t *testing.T) {
	d := load(t)
	edge := events.FleetRole()
	edge.Name = "edge" // the default fleet; the chart gives its permissions to the user of each fleet
	roles := []events.Role{edge, events.ShieldRole(), events.ControllerRole(), events.ContentRole()}
	for _, role := range roles {
		var got []rabbitmq.Permission
		for _, p := range d.Permissions {
			if p.User == role.Name {
				got = append(got, p)
			}
		}
		if want := []rabbitmq.Permission{{role.Name, vhost, role.Configure, role.Write, role.Read}}; !slices.Equal(got, want) {
			t.Errorf("permissions of %s are %v, the code has %v", role.Name, got, want)
		}
		var topics []events.TopicPermission
		for _, p := range d.TopicPermissions {
			if p.User == role.Name && p.VHost == vhost {
				topics = append(topics, events.TopicPermission{Exchange: p.Exchange, Write: p.Write, Read: p.Read})
			}
		}
		if !slices.Equal(topics, role.Topics) {
			t.Errorf("topic permissions of %s are %v, the code has %v", role.Name, topics, role.Topics)
		}
	}
	for i, u := range d.Users {
		// An empty hash lets nobody in until the operator sets a password.
		if u.Hash != "" || len(u.Tags) != 0 {
			t.Errorf("user %s comes with a password or a tag", u.Name)
		}
		if i >= len(roles) || u.Name != roles[i].Name {
			t.Errorf("user %s has no role", u.Name)
		} else if want := map[string]int{"max-connections": roles[i].Connections, "max-channels": roles[i].Channels}; !maps.Equal(u.Limits, want) {
			t.Errorf("limits of %s are %v, the code has %v", u.Name, u.Limits, want)
		}
	}
	if len(d.Users) != len(roles) {
		t.Errorf("%d users, the code has %d roles", len(d.Users), len(roles))
	}
}

// publication is one attempt to publish, and the AMQP error that it must meet; 0 is success.
type publication struct {
	user, exchange, key, as string
	code                    int
}

// TestBrokerHoldsEachUserToItsRole imports the file into a real RabbitMQ, as it does at its start, and tries what each user may and may not.
func TestBrokerHoldsEachUserToItsRole(t *testing.T) {
	if testing.Short() {
		t.Skip("starts RabbitMQ")
	}
	broker := testrabbit.Start(t)
	d := load(t).For(vhost, "edge", "video")
	// In plain, as the chart's Secret has it: the import hashes it.
	var users []map[string]any
	for _, u := range d.Users {
		users = append(users, map[string]any{"name": u.Name, "password": "secret-" + u.Name, "tags": u.Tags, "limits": u.Limits})
	}
	body, err := json.Marshal(struct {
		rabbitmq.Definitions
		Users []map[string]any `json:"users"`
	}{d, users})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "definitions.json")
	if err := os.WriteFile(file, body, 0o644); err != nil {
		t.Fatal(err)
	}
	broker.Ctl(t, "import_definitions", file)

	dial := func(t *testing.T, user string) *amqp.Channel {
		t.Helper()
		connection, err := amqp.Dial(broker.URL(user, "secret-"+user, vhost))
		if err != nil {
			t.Fatalf("%s cannot connect: %v", user, err)
		}
		t.Cleanup(func() { connection.Close() })
		channel, err := connection.Channel()
		if err != nil {
			t.Fatal(err)
		}
		return channel
	}

	for _, p := range []publication{
		{"edge", events.ExchangeTelemetry, "rate.edge.pod-1", "edge", 0},
		{"edge", events.ExchangeTelemetry, "miss.edge.pod-1", "edge", 0},
		{"edge", events.ExchangeTelemetry, "life.edge.pod-1", "edge", 0},
		{"edge", events.ExchangeTelemetry, "applied.pod-1", "edge", 0},
		{"edge", events.ExchangeTelemetry, "rate.other.pod-1", "edge", amqp.AccessRefused},
		{"edge", events.ExchangeTelemetry, "canary.pod-1", "edge", amqp.AccessRefused},
		{"edge", events.ExchangeTelemetry, "rate.edge.pod-1", "controller", amqp.PreconditionFailed},
		{"edge", events.ExchangeTelemetry, "rate.video.pod-1", "video", amqp.AccessRefused},
		{"edge", events.ExchangeTelemetry, "rate.edge.pod-1", "video", amqp.PreconditionFailed},
		{"edge", events.ExchangeTelemetry, "origin.example.com", "edge", amqp.AccessRefused},
		{"video", events.ExchangeTelemetry, "rate.video.pod-1", "video", 0},
		{"video", events.ExchangeTelemetry, "rate.edge.pod-1", "video", amqp.AccessRefused},
		{"video", events.ExchangeTelemetry, "miss.edge.pod-1", "video", amqp.AccessRefused},
		{"video", events.ExchangeTelemetry, "life.edge.pod-1", "video", amqp.AccessRefused},
		{"edge", events.ExchangePlan, "plan.edge", "edge", amqp.AccessRefused},
		{"edge", events.ExchangeContent, "prefetch.example.com", "edge", amqp.AccessRefused},
		{"edge", events.ExchangeDead, "", "edge", amqp.AccessRefused},
		{"edge", "", events.QueuePrefetch, "edge", amqp.AccessRefused},
		{"shield", "", events.QueuePrefetch, "shield", amqp.AccessRefused},
		{"shield", events.ExchangeDecision, "decision.edge", "shield", amqp.AccessRefused},
		{"edge", events.ExchangeContent, "purge.example.com", "edge", amqp.AccessRefused},
		{"edge", events.ExchangeDecision, "decision.edge", "edge", amqp.AccessRefused},
		{"shield", events.ExchangeTelemetry, "origin.example.com", "shield", 0},
		{"shield", events.ExchangeTelemetry, "rate.edge.pod-1", "shield", amqp.AccessRefused},
		{"shield", events.ExchangeContent, "purge.example.com", "shield", amqp.AccessRefused},
		{"controller", events.ExchangeTelemetry, "canary.controller-0", "controller", 0},
		{"controller", events.ExchangeDecision, "decision.edge", "controller", 0},
		{"controller", events.ExchangeContent, "purge.example.com", "controller", 0},
		{"controller", events.ExchangeTelemetry, "rate.edge.pod-1", "controller", amqp.AccessRefused},
		{"controller", events.ExchangePlan, "plan.edge", "controller", amqp.AccessRefused},
		{"content", events.ExchangeContent, "soft.example.com", "content", 0},
		{"content", events.ExchangePlan, "plan.edge", "content", 0},
		{"content", events.ExchangeContent, "rate.edge.pod-1", "content", amqp.AccessRefused},
		{"content", events.ExchangeTelemetry, "rate.edge.pod-1", "content", amqp.AccessRefused},
	} {
		t.Run(p.user+" publishes "+p.key+" as "+p.as+" to "+p.exchange, func(t *testing.T) {
			channel := dial(t, p.user)
			// Confirmed: a refusal comes as the close of the channel, and must not be missed for being late.
			if err := channel.Confirm(false); err != nil {
				t.Fatal(err)
			}
			closed := channel.NotifyClose(make(chan *amqp.Error, 1))
			confirmed := channel.NotifyPublish(make(chan amqp.Confirmation, 1))
			if err := channel.PublishWithContext(t.Context(), p.exchange, p.key, false, false, amqp.Publishing{UserId: p.as}); err != nil {
				t.Fatal(err)
			}
			code := 0
			select {
			case c, ok := <-confirmed:
				if !ok {
					if err := <-closed; err != nil {
						code = err.Code
					}
				} else if !c.Ack {
					t.Error("the broker said no")
				}
			case err := <-closed:
				if err != nil {
					code = err.Code
				}
			case <-time.After(time.Minute):
				t.Fatal("no answer in a minute")
			}
			if code != p.code {
				t.Errorf("the broker answered %d, want %d", code, p.code)
			}
		})
	}

	t.Run("a controller makes its queue and binds it", func(t *testing.T) {
		channel := dial(t, "controller")
		q := events.ControllerQueue()
		made, err := channel.QueueDeclare("", q.Durable, q.AutoDelete, q.Exclusive, false, amqp.Table(q.Args))
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range q.Bindings {
			if err := channel.QueueBind(made.Name, b.Key, b.Exchange, false, nil); err != nil {
				t.Fatalf("bind %s of %s: %v", b.Key, b.Exchange, err)
			}
		}
		if _, err := channel.Consume(made.Name, "", false, true, false, false, nil); err != nil {
			t.Fatal(err)
		}
	})

	// A queue with telemetry of everybody, which an edge would like to read.
	made, err := dial(t, "controller").QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	consume := func(queue string) func(*amqp.Channel) error {
		return func(ch *amqp.Channel) error {
			_, err := ch.Consume(queue, "", false, false, false, false, nil)
			return err
		}
	}
	for _, attempt := range []struct {
		user, what string
		do         func(*amqp.Channel) error
		code       int
	}{
		{"edge", "makes a queue", func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare("mine", false, true, true, false, nil)
			return err
		}, amqp.AccessRefused},
		{"edge", "makes a queue that the broker names", func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare("", false, true, true, false, nil)
			return err
		}, amqp.AccessRefused},
		{"edge", "makes an exchange", func(ch *amqp.Channel) error {
			return ch.ExchangeDeclare("surgewall.mine", "topic", true, false, false, false, nil)
		}, amqp.AccessRefused},
		{"edge", "deletes an exchange", func(ch *amqp.Channel) error { return ch.ExchangeDelete(events.ExchangeTelemetry, false, false) }, amqp.AccessRefused},
		{"edge", "deletes the content log", func(ch *amqp.Channel) error {
			_, err := ch.QueueDelete(events.StreamContent, false, false, false)
			return err
		}, amqp.AccessRefused},
		{"edge", "binds the content log to telemetry", func(ch *amqp.Channel) error {
			return ch.QueueBind(events.StreamContent, "rate.#", events.ExchangeTelemetry, false, nil)
		}, amqp.AccessRefused},
		{"edge", "unbinds the content log", func(ch *amqp.Channel) error {
			return ch.QueueUnbind(events.StreamContent, "purge.#", events.ExchangeContent, nil)
		}, amqp.AccessRefused},
		{"edge", "empties the work queue", func(ch *amqp.Channel) error { _, err := ch.QueuePurge(events.QueuePrefetch, false); return err }, amqp.AccessRefused},
		{"edge", "empties the content log", func(ch *amqp.Channel) error { _, err := ch.QueuePurge(events.StreamContent, false); return err }, amqp.NotImplemented},
		{"edge", "takes prefetch work", consume(events.QueuePrefetch), amqp.AccessRefused},
		{"edge", "reads dead letters", consume(events.QueueDead), amqp.AccessRefused},
		{"edge", "reads everybody's telemetry", consume(made.Name), amqp.AccessRefused},
		{"shield", "makes a queue", func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare("", false, true, true, false, nil)
			return err
		}, amqp.AccessRefused},
		{"shield", "reads dead letters", consume(events.QueueDead), amqp.AccessRefused},
		{"shield", "reads everybody's telemetry", consume(made.Name), amqp.AccessRefused},
		{"controller", "makes an exchange", func(ch *amqp.Channel) error {
			return ch.ExchangeDeclare("surgewall.mine", "topic", true, false, false, false, nil)
		}, amqp.AccessRefused},
		{"controller", "makes a queue of its own name", func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare("surgewall.mine", true, false, false, false, nil)
			return err
		}, amqp.AccessRefused},
		{"controller", "deletes the content log", func(ch *amqp.Channel) error {
			_, err := ch.QueueDelete(events.StreamContent, false, false, false)
			return err
		}, amqp.AccessRefused},
		{"controller", "listens to all of telemetry with one key", func(ch *amqp.Channel) error {
			q, err := ch.QueueDeclare("", false, true, true, false, nil)
			if err != nil {
				return err
			}
			return ch.QueueBind(q.Name, "#", events.ExchangeTelemetry, false, nil)
		}, amqp.AccessRefused},
		{"controller", "takes prefetch work", consume(events.QueuePrefetch), amqp.AccessRefused},
		{"content", "makes a queue", func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare("", false, true, true, false, nil)
			return err
		}, amqp.AccessRefused},
		{"content", "follows the content log", consume(events.StreamContent), amqp.AccessRefused},
		{"content", "reads everybody's telemetry", consume(made.Name), amqp.AccessRefused},
	} {
		t.Run(attempt.user+" "+attempt.what, func(t *testing.T) {
			err := attempt.do(dial(t, attempt.user))
			if e, ok := errors.AsType[*amqp.Error](err); !ok || e.Code != attempt.code {
				t.Errorf("the broker answered %v, want code %d", err, attempt.code)
			}
		})
	}
	t.Run("a controller's queue is bounded whatever it asks for", func(t *testing.T) {
		got := broker.Ctl(t, "list_queues", "-p", vhost, "--silent", "name", "policy")
		if !strings.Contains(got, made.Name+"\tsurgewall.controllers") {
			t.Errorf("queues and their policies are\n%s", got)
		}
	})
	t.Run("a user has as many connections as its limit", func(t *testing.T) {
		broker.Ctl(t, "set_user_limits", "content", `{"max-connections": 0}`)
		if _, err := amqp.Dial(broker.URL("content", "secret-content", vhost)); err == nil {
			t.Error("one more than the limit is let in")
		}
	})
	for _, reader := range []string{"edge", "shield"} {
		t.Run(reader+" follows the content log", func(t *testing.T) {
			channel := dial(t, reader)
			if err := channel.Qos(10, 0, false); err != nil { // a stream wants a prefetch count
				t.Fatal(err)
			}
			if _, err := channel.Consume(events.StreamContent, "", false, false, false, false, amqp.Table{"x-stream-offset": "next"}); err != nil {
				t.Fatal(err)
			}
		})
	}
}
