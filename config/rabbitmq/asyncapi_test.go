package rabbitmq_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/surgewall/surgewall/events"
)

// document is docs/asyncapi.yaml as far as it is compared.
type document struct {
	Channels   map[string]channel
	Operations map[string]operation
	Components struct {
		Messages map[string]struct {
			Name    string
			Payload ref
		}
		Schemas map[string]schema
	}
}

type ref struct {
	Ref string `yaml:"$ref"`
}

// name is the last word of a reference.
func (r ref) name() string { return r.Ref[strings.LastIndex(r.Ref, "/")+1:] }

type channel struct {
	Address  string
	Messages map[string]ref
	Bindings struct {
		AMQP struct {
			Is       string
			Exchange struct {
				Name, Type string
				Durable    bool
				AutoDelete bool `yaml:"autoDelete"`
			}
			Queue struct {
				Name               string
				Durable, Exclusive bool
				AutoDelete         bool `yaml:"autoDelete"`
			}
		} `yaml:"amqp"`
	}
	Arguments map[string]any `yaml:"x-arguments"`
	Bound     []string       `yaml:"x-bindings"`
}

type operation struct {
	Action  string
	Channel ref
	User    string `yaml:"x-user"`
}

type schema struct {
	Ref        string `yaml:"$ref"`
	Type       string
	Required   []string
	Properties map[string]schema
	Items      *schema
	Enum       []string
	Minimum    *float64
	Maximum    *float64
	MinLength  *int `yaml:"minLength"`
	MaxLength  *int `yaml:"maxLength"`
	MaxItems   *int `yaml:"maxItems"`
}

func asyncAPI(t *testing.T) document {
	t.Helper()
	text, err := os.ReadFile("../../docs/asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var d document
	if err := yaml.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// golden is one message of each type as it goes over the wire.
type golden struct {
	events.Message
	body map[string]any
}

func goldens(t *testing.T) map[string]golden {
	t.Helper()
	files, err := filepath.Glob("../../events/testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden messages: %v", err)
	}
	out := map[string]golden{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var wire struct {
			Exchange, ContentType, MessageID, UserID string
			Key                                      string `json:"routing_key"`
			CT                                       string `json:"content_type"`
			ID                                       string `json:"message_id"`
			User                                     string `json:"user_id"`
			Headers                                  map[string]string
			Body                                     map[string]any
		}
		if err := json.Unmarshal(text, &wire); err != nil {
			t.Fatal(err)
		}
		g := golden{events.Message{Exchange: wire.Exchange, Key: wire.Key, ContentType: wire.CT, MessageID: wire.ID, UserID: wire.User, Headers: wire.Headers}, wire.Body}
		out[filepath.Base(file)] = g
	}
	return out
}

// decode decodes the message with another body.
func (g golden) decode(t *testing.T, body map[string]any) (events.Event, error) {
	t.Helper()
	m := g.Message
	var err error
	if m.Body, err = json.Marshal(body); err != nil {
		t.Fatal(err)
	}
	return events.Decode(m)
}

// pattern is the expression that a channel's address stands for.
func pattern(address string) *regexp.Regexp {
	return regexp.MustCompile("^" + regexp.MustCompile(`\\\{\w+\\\}`).ReplaceAllString(regexp.QuoteMeta(address), `[a-z0-9.-]+`) + "$")
}

// TestAsyncAPIHasTheTopology compares exchanges, queues, arguments and bindings with the code.
func TestAsyncAPIHasTheTopology(t *testing.T) {
	d := asyncAPI(t)
	exchanges := map[string]bool{}
	queues := map[string]channel{}
	for name, c := range d.Channels {
		switch amqp := c.Bindings.AMQP; amqp.Is {
		case "routingKey":
			exchanges[amqp.Exchange.Name] = true
			x := events.Exchange{Name: amqp.Exchange.Name, Kind: amqp.Exchange.Type}
			if !slices.Contains(events.Exchanges(), x) || !amqp.Exchange.Durable || amqp.Exchange.AutoDelete {
				t.Errorf("channel %s: the code has no exchange %+v", name, amqp.Exchange)
			}
		case "queue":
			queues[amqp.Queue.Name] = c
			if c.Address != amqp.Queue.Name {
				t.Errorf("channel %s: address %q is not the queue's name", name, c.Address)
			}
		default:
			t.Errorf("channel %s is %q", name, amqp.Is)
		}
	}
	for _, x := range events.Exchanges() {
		if x.Kind == "topic" && !exchanges[x.Name] {
			t.Errorf("no channel has exchange %s", x.Name)
		}
	}
	all := append(events.Queues(), events.ControllerQueue())
	for _, want := range all {
		c, ok := queues[want.Name]
		if !ok {
			t.Errorf("queue %q is missing", want.Name)
			continue
		}
		q := c.Bindings.AMQP.Queue
		if q.Durable != want.Durable || q.Exclusive != want.Exclusive || q.AutoDelete != want.AutoDelete {
			t.Errorf("queue %q is %+v, the code has %+v", want.Name, q, want)
		}
		if got := fmt.Sprint(c.Arguments); got != fmt.Sprint(want.Args) {
			t.Errorf("queue %q has arguments %s, the code %v", want.Name, got, want.Args)
		}
		var bound []string
		for _, b := range want.Bindings {
			bound = append(bound, b.Exchange+" "+b.Key)
		}
		if !slices.Equal(c.Bound, bound) {
			t.Errorf("queue %q is bound to %v, in the code to %v", want.Name, c.Bound, bound)
		}
	}
	if len(queues) != len(all) {
		t.Errorf("%d queues, the code has %d", len(queues), len(all))
	}
}

// TestAsyncAPIHasTheMessages: every golden message belongs to exactly one channel, its schema has exactly the fields of the Go type, and the
// limits of the schema are those that the decoder keeps.
func TestAsyncAPIHasTheMessages(t *testing.T) {
	d := asyncAPI(t)
	used := map[string]bool{}
	for name, g := range goldens(t) {
		t.Run(name, func(t *testing.T) {
			var found []string
			for id, c := range d.Channels {
				if c.Bindings.AMQP.Exchange.Name == g.Exchange && pattern(c.Address).MatchString(g.Key) {
					found = append(found, id)
				}
			}
			if len(found) != 1 || len(d.Channels[found[0]].Messages) != 1 {
				t.Fatalf("%s of %s belongs to the channels %v, want one with one message", g.Key, g.Exchange, found)
			}
			used[found[0]] = true
			var message string
			for _, r := range d.Channels[found[0]].Messages {
				message = r.name()
			}
			m := d.Components.Messages[message]
			if m.Name != g.Headers["ce-type"] {
				t.Errorf("message %s is of type %q, the golden one of %q", message, m.Name, g.Headers["ce-type"])
			}
			event, err := g.decode(t, g.body)
			if err != nil {
				t.Fatal(err)
			}
			d.compare(t, message, reflect.TypeOf(event.Body).Elem(), d.Components.Schemas[m.Payload.name()])
			d.limits(t, g, nil, d.Components.Schemas[m.Payload.name()])
		})
	}
	for id, c := range d.Channels {
		if c.Bindings.AMQP.Is == "routingKey" && len(c.Messages) > 0 && !used[id] {
			t.Errorf("no golden message belongs to channel %s", id)
		}
	}
}

// compare checks that a schema has the fields of a Go type, and their JSON types.
func (d document) compare(t *testing.T, path string, typ reflect.Type, s schema) {
	t.Helper()
	if s.Ref != "" {
		s = d.Components.Schemas[ref{s.Ref}.name()]
	}
	want := "object"
	switch {
	case typ == reflect.TypeFor[time.Time](), typ == reflect.TypeFor[[]byte](), typ.Kind() == reflect.String:
		want = "string"
	case typ.Kind() == reflect.Slice:
		want = "array"
		if s.Items == nil {
			t.Errorf("%s: no items", path)
			return
		}
		d.compare(t, path+"[]", typ.Elem(), *s.Items)
	case typ.Kind() == reflect.Bool:
		want = "boolean"
	case typ.Kind() == reflect.Float64:
		want = "number"
	case typ.Kind() != reflect.Struct:
		want = "integer"
	default:
		fields := map[string]bool{}
		for field := range typ.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			fields[name] = true
			property, ok := s.Properties[name]
			if !ok {
				t.Errorf("%s: field %s is missing", path, name)
				continue
			}
			d.compare(t, path+"."+name, field.Type, property)
		}
		for name := range s.Properties {
			if !fields[name] {
				t.Errorf("%s: the code has no field %s", path, name)
			}
		}
	}
	if s.Type != want {
		t.Errorf("%s is of type %q, in the code %q", path, s.Type, want)
	}
}

// limits puts values at and beyond each limit of the schema into the golden message. A field that the message has not is not tried: its
// limits hold with others that have it.
func (d document) limits(t *testing.T, g golden, path []string, s schema) {
	t.Helper()
	if s.Ref != "" {
		s = d.Components.Schemas[ref{s.Ref}.name()]
	}
	try := func(value any, ok bool) {
		t.Helper()
		body := replaced(g.body, path, value)
		if body == nil {
			return
		}
		if _, err := g.decode(t, body); (err == nil) != ok {
			t.Errorf("%s = %.60v: the decoder says %v, the schema allows it: %t", strings.Join(path, "."), value, err, ok)
		}
	}
	if s.Maximum != nil {
		try(*s.Maximum, true)
		try(*s.Maximum+1, false)
	}
	if s.Minimum != nil {
		try(*s.Minimum, true)
		try(*s.Minimum-1, false)
	}
	if s.MaxLength != nil {
		try(strings.Repeat("a", *s.MaxLength+1), false)
	}
	if s.MinLength != nil && *s.MinLength > 0 {
		try("", false)
	}
	if len(s.Enum) > 0 {
		try("something else", false)
	}
	if s.MaxItems != nil && s.Items.Type == "string" {
		try(slices.Repeat([]string{"a"}, *s.MaxItems+1), false)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		d.limits(t, g, append(slices.Clone(path), name), s.Properties[name])
	}
	if len(path) == 0 {
		for _, name := range s.Required {
			body := maps.Clone(g.body)
			delete(body, name)
			if _, err := g.decode(t, body); err == nil {
				t.Errorf("%s is required, but the decoder takes a message without it", name)
			}
		}
	}
}

// replaced returns the body with another value at a path, nil where the body has nothing there.
func replaced(body map[string]any, path []string, value any) map[string]any {
	if len(path) == 0 {
		return nil
	}
	old, ok := body[path[0]]
	if !ok {
		return nil
	}
	body = maps.Clone(body)
	if len(path) > 1 {
		inner, isObject := old.(map[string]any)
		if !isObject {
			return nil
		}
		if value = replaced(inner, path[1:], value); value.(map[string]any) == nil {
			return nil
		}
	}
	body[path[0]] = value
	return body
}

// TestAsyncAPIHasTheRights: an operation is listed for exactly those users whom definitions.json lets do it.
func TestAsyncAPIHasTheRights(t *testing.T) {
	d, definitions := asyncAPI(t), load(t)
	examples := strings.NewReplacer("{fleet}", "edge", "{pod}", "pod-1", "{replica}", "pod-1", "{site}", "www.example.com")
	for id, c := range d.Channels {
		amqp := c.Bindings.AMQP
		if amqp.Is == "queue" && amqp.Queue.Name == "" {
			continue // named by the broker for whoever made it
		}
		for _, p := range definitions.Permissions {
			var listed, may bool
			for _, o := range d.Operations {
				listed = listed || o.User == p.User && o.Channel.name() == id
			}
			if amqp.Is == "queue" {
				may = regexp.MustCompile(p.Read).MatchString(amqp.Queue.Name)
			} else {
				may = regexp.MustCompile(p.Write).MatchString(amqp.Exchange.Name)
				for _, topic := range definitions.TopicPermissions {
					if topic.User == p.User && topic.Exchange == amqp.Exchange.Name {
						may = may && regexp.MustCompile(strings.ReplaceAll(topic.Write, "{username}", p.User)).MatchString(examples.Replace(c.Address))
					}
				}
			}
			if listed != may {
				t.Errorf("user %s on channel %s: asyncapi.yaml says %t, definitions.json %t", p.User, id, listed, may)
			}
		}
	}
}
