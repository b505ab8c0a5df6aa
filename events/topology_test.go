package events

import (
	"regexp"
	"strings"
	"testing"
)

func TestMatches(t *testing.T) {
	tests := []struct {
		pattern string
		yes, no []string
	}{
		{"rate.edge.a", []string{"rate.edge.a"}, []string{"rate.edge", "rate.edge.a.b", "rate.edge.b", ""}},
		{"rate.*.a", []string{"rate.edge.a", "rate..a"}, []string{"rate.a", "rate.x.y.a"}},
		{"rate.#", []string{"rate", "rate.edge", "rate.edge.a"}, []string{"rates", "miss.edge.a", ""}},
		{"#", []string{"", "a", "a.b.c"}, nil},
		{"#.a", []string{"a", "x.a", "x.y.a", "a.a"}, []string{"a.b", "ab"}},
		{"a.#.b", []string{"a.b", "a.x.b", "a.b.b", "a.b.x.b"}, []string{"a", "b", "a.b.x"}},
		{"#.#", []string{"", "a", "a.b"}, nil},
		{"*.#", []string{"", "a", "a.b"}, nil},
		{"#.*.b.#", []string{"a.b", "x.y.b.z"}, []string{"b", "b.x"}},
	}
	for _, test := range tests {
		for _, key := range test.yes {
			if !Matches(test.pattern, key) {
				t.Errorf("%q does not match %q", test.pattern, key)
			}
		}
		for _, key := range test.no {
			if Matches(test.pattern, key) {
				t.Errorf("%q matches %q", test.pattern, key)
			}
		}
	}
}

// Every binding and every dead letter leads from an exchange that is declared, and all arguments are of kinds that AMQP tables carry.
func TestTopologyIsWhole(t *testing.T) {
	exchanges := make(map[string]bool)
	for _, x := range Exchanges() {
		exchanges[x.Name] = true
		if x.Kind != "topic" && x.Kind != "fanout" {
			t.Errorf("exchange %s is of kind %q", x.Name, x.Kind)
		}
	}
	for _, q := range append(Queues(), ControllerQueue()) {
		for _, b := range q.Bindings {
			if !exchanges[b.Exchange] {
				t.Errorf("queue %q is bound to %q, which nobody declares", q.Name, b.Exchange)
			}
		}
		if dead, ok := q.Args["x-dead-letter-exchange"]; ok && !exchanges[dead.(string)] {
			t.Errorf("queue %q dead-letters into %q, which nobody declares", q.Name, dead)
		}
		// RabbitMQ 4.3 refuses queues that are neither durable nor exclusive.
		if !q.Durable && !q.Exclusive {
			t.Errorf("queue %q is neither durable nor exclusive", q.Name)
		}
		for name, value := range q.Args {
			switch value.(type) {
			case string, int64:
			default:
				t.Errorf("queue %q: argument %s is a %T", q.Name, name, value)
			}
		}
	}
}

// Each sender may publish where its events belong, and a fleet nowhere else.
func TestRolesFitTheEvents(t *testing.T) {
	roles := map[string]Role{"edge": FleetRole(), "shield": ShieldRole(), "controller": ControllerRole()}
	may := func(user string, exchange, key string) bool {
		r := roles[user]
		if !regexp.MustCompile(r.Write).MatchString(exchange) {
			return false
		}
		for _, topic := range r.Topics {
			if topic.Exchange == exchange {
				return regexp.MustCompile(strings.ReplaceAll(topic.Write, "{username}", user)).MatchString(key)
			}
		}
		return true
	}
	for name, s := range samples() {
		exchange, key := s.Body.address(s.Sender())
		for user := range roles {
			want := user == s.Sender().Fleet
			if _, applied := s.Body.(*Applied); applied {
				// One root for edges and shields: that the user is the source's fleet is for Decode to see.
				want = user != "controller"
			}
			if got := may(user, exchange, key); got != want {
				t.Errorf("%s: user %s may publish %s to %s: %t, want %t", name, user, key, exchange, got, want)
			}
		}
	}
	for _, b := range ControllerBindings() {
		for _, topic := range ControllerRole().Topics {
			if topic.Exchange == b.Exchange && !regexp.MustCompile(topic.Read).MatchString(b.Key) {
				t.Errorf("the controller may not bind %s of %s", b.Key, b.Exchange)
			}
		}
	}
	if may("edge", ExchangeTelemetry, "rate.video.a") || may("edge", ExchangeContent, "purge.a") {
		t.Error("a fleet may speak for another or purge")
	}
}
