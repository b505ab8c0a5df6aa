// Package rabbitmq holds what a broker has to be told before Surgewall can use it: users and what each may do, exchanges, queues, bindings
// and policies, in the form that RabbitMQ itself imports and exports.
package rabbitmq

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
)

// The names in definitions.json that an installation may want otherwise.
const (
	VHost = "surgewall"
	Fleet = "edge" // the default fleet, whose user has the fleet's name
)

//go:embed definitions.json
var file []byte

// Definitions is what RabbitMQ imports and exports, as far as Surgewall uses it.
type Definitions struct {
	VHosts           []Named           `json:"vhosts"`
	Users            []User            `json:"users"`
	Permissions      []Permission      `json:"permissions"`
	TopicPermissions []TopicPermission `json:"topic_permissions"`
	Exchanges        []Exchange        `json:"exchanges"`
	Queues           []Queue           `json:"queues"`
	Bindings         []Binding         `json:"bindings"`
	Policies         []Policy          `json:"policies"`
}

// Named is a virtual host.
type Named struct {
	Name string `json:"name"`
}

// User is a user of the broker. With an empty hash no password lets it in; a certificate may.
type User struct {
	Name      string         `json:"name"`
	Hash      string         `json:"password_hash"`
	Algorithm string         `json:"hashing_algorithm,omitempty"`
	Tags      []string       `json:"tags"`
	Limits    map[string]int `json:"limits"`
}

// Permission is what a user may do in a virtual host: regular expressions over the names of exchanges and queues.
type Permission struct {
	User      string `json:"user"`
	VHost     string `json:"vhost"`
	Configure string `json:"configure"`
	Write     string `json:"write"`
	Read      string `json:"read"`
}

// TopicPermission limits the routing keys that a user may use on one exchange.
type TopicPermission struct {
	User     string `json:"user"`
	VHost    string `json:"vhost"`
	Exchange string `json:"exchange"`
	Write    string `json:"write"`
	Read     string `json:"read"`
}

// Exchange is an exchange.
type Exchange struct {
	Name       string         `json:"name"`
	VHost      string         `json:"vhost"`
	Type       string         `json:"type"`
	Durable    bool           `json:"durable"`
	AutoDelete bool           `json:"auto_delete"`
	Internal   bool           `json:"internal"`
	Arguments  map[string]any `json:"arguments"`
}

// Queue is a queue with a name. Its arguments cannot be changed once it exists.
type Queue struct {
	Name       string         `json:"name"`
	VHost      string         `json:"vhost"`
	Durable    bool           `json:"durable"`
	AutoDelete bool           `json:"auto_delete"`
	Arguments  map[string]any `json:"arguments"`
}

// Binding routes from an exchange to a queue.
type Binding struct {
	Source          string         `json:"source"`
	VHost           string         `json:"vhost"`
	Destination     string         `json:"destination"`
	DestinationType string         `json:"destination_type"`
	RoutingKey      string         `json:"routing_key"`
	Arguments       map[string]any `json:"arguments"`
}

// Policy is a rule for queues whose names match.
type Policy struct {
	Name       string         `json:"name"`
	VHost      string         `json:"vhost"`
	Pattern    string         `json:"pattern"`
	ApplyTo    string         `json:"apply-to"`
	Priority   int            `json:"priority"`
	Definition map[string]any `json:"definition"`
}

// Default returns definitions.json. A field that it has and Definitions has not is an error: the broker would ignore a slip of the pen.
func Default() (Definitions, error) {
	var d Definitions
	decoder := json.NewDecoder(bytes.NewReader(file))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return Definitions{}, fmt.Errorf("definitions.json: %w", err)
	}
	return d, nil
}

// For returns the definitions for a virtual host and the users of these fleets, in place of VHost and Fleet.
func (d Definitions) For(vhost string, fleets ...string) Definitions {
	out := Definitions{VHosts: []Named{{vhost}}}
	for _, u := range d.Users {
		for _, name := range users(u.Name, fleets) {
			u.Name = name
			out.Users = append(out.Users, u)
		}
	}
	for _, p := range d.Permissions {
		for _, name := range users(p.User, fleets) {
			p.User, p.VHost = name, vhost
			out.Permissions = append(out.Permissions, p)
		}
	}
	for _, p := range d.TopicPermissions {
		for _, name := range users(p.User, fleets) {
			p.User, p.VHost = name, vhost
			out.TopicPermissions = append(out.TopicPermissions, p)
		}
	}
	for _, x := range d.Exchanges {
		x.VHost = vhost
		out.Exchanges = append(out.Exchanges, x)
	}
	for _, q := range d.Queues {
		q.VHost = vhost
		out.Queues = append(out.Queues, q)
	}
	for _, b := range d.Bindings {
		b.VHost = vhost
		out.Bindings = append(out.Bindings, b)
	}
	for _, p := range d.Policies {
		p.VHost = vhost
		out.Policies = append(out.Policies, p)
	}
	return out
}

// users are the names that an entry for this user is for.
func users(name string, fleets []string) []string {
	if name == Fleet {
		return fleets
	}
	return []string{name}
}
