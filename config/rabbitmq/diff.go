package rabbitmq

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Action is what has to happen to one object of the broker.
type Action string

// The actions. What is Fixed or Extra is not changed by an import: somebody has to look at it.
const (
	Add    Action = "add"
	Change Action = "change"
	// Fixed: it differs in what cannot be changed; it must be deleted first, with whatever it holds.
	Fixed Action = "fixed"
	// Extra: it is there and should not be.
	Extra Action = "extra"
)

// A Difference is one object in which a broker is not as it should be.
type Difference struct {
	Action Action `json:"action"`
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Detail string `json:"detail,omitempty"`
}

// Diff compares what a broker has with what it should have. Of other people's objects it sees only what the users of want may do elsewhere,
// and what is bound to the queues of want. Passwords are not compared.
func Diff(want, have Definitions) []Difference {
	var out []Difference
	note := func(a Action, kind, name, detail string) { out = append(out, Difference{a, kind, name, detail}) }

	for _, v := range want.VHosts {
		if !slices.Contains(have.VHosts, v) {
			note(Add, "virtual host", v.Name, "")
		}
	}
	ours := map[string]bool{}
	for _, w := range want.Users {
		ours[w.Name] = true
		h, ok := find(have.Users, func(h User) bool { return h.Name == w.Name })
		if !ok {
			note(Add, "user", w.Name, "")
			continue
		}
		if !slices.Equal(sorted(h.Tags), sorted(w.Tags)) {
			note(Change, "user", w.Name, fmt.Sprintf("tags %v -> %v", h.Tags, w.Tags))
		}
		if !maps.Equal(h.Limits, w.Limits) {
			note(Change, "user", w.Name, fmt.Sprintf("limits %v -> %v", h.Limits, w.Limits))
		}
	}
	for _, w := range want.Permissions {
		name := w.User + " in " + w.VHost
		h, ok := find(have.Permissions, func(h Permission) bool { return h.User == w.User && h.VHost == w.VHost })
		if !ok {
			note(Add, "permission", name, "")
			continue
		}
		if d := details("configure", h.Configure, w.Configure, "write", h.Write, w.Write, "read", h.Read, w.Read); d != "" {
			note(Change, "permission", name, d)
		}
	}
	for _, h := range have.Permissions {
		if _, ok := find(want.Permissions, func(w Permission) bool { return h.User == w.User && h.VHost == w.VHost }); ours[h.User] && !ok {
			note(Extra, "permission", h.User+" in "+h.VHost, fmt.Sprintf("remove it: rabbitmqctl clear_permissions -p %s %s", h.VHost, h.User))
		}
	}
	for _, w := range want.TopicPermissions {
		name := w.User + " on " + w.Exchange
		h, ok := find(have.TopicPermissions, func(h TopicPermission) bool {
			return h.User == w.User && h.VHost == w.VHost && h.Exchange == w.Exchange
		})
		if !ok {
			note(Add, "topic permission", name, "")
			continue
		}
		if d := details("write", h.Write, w.Write, "read", h.Read, w.Read); d != "" {
			note(Change, "topic permission", name, d)
		}
	}
	out = append(out, diffTopology(want, have)...)
	for _, w := range want.Policies {
		h, ok := find(have.Policies, func(h Policy) bool { return h.Name == w.Name && h.VHost == w.VHost })
		switch {
		case !ok:
			note(Add, "policy", w.Name, "")
		case h.Pattern != w.Pattern || h.ApplyTo != w.ApplyTo || h.Priority != w.Priority || !reflect.DeepEqual(h.Definition, w.Definition):
			note(Change, "policy", w.Name, fmt.Sprintf("%v -> %v", h, w))
		}
	}
	return out
}

// diffTopology compares exchanges, queues and bindings.
func diffTopology(want, have Definitions) []Difference {
	var out []Difference
	note := func(a Action, kind, name, detail string) { out = append(out, Difference{a, kind, name, detail}) }
	for _, w := range want.Exchanges {
		h, ok := find(have.Exchanges, func(h Exchange) bool { return h.Name == w.Name && h.VHost == w.VHost })
		if !ok {
			note(Add, "exchange", w.Name, "")
			continue
		}
		if d := details("type", h.Type, w.Type, "durable", h.Durable, w.Durable, "auto-delete", h.AutoDelete, w.AutoDelete, "internal", h.Internal, w.Internal,
			"arguments", fmt.Sprint(h.Arguments), fmt.Sprint(w.Arguments)); d != "" {
			note(Fixed, "exchange", w.Name, d)
		}
	}
	for _, w := range want.Queues {
		h, ok := find(have.Queues, func(h Queue) bool { return h.Name == w.Name && h.VHost == w.VHost })
		if !ok {
			note(Add, "queue", w.Name, "")
			continue
		}
		d := details("durable", h.Durable, w.Durable, "auto-delete", h.AutoDelete, w.AutoDelete)
		for _, key := range slices.Sorted(maps.Keys(union(h.Arguments, w.Arguments))) {
			d = join(d, details(key, show(h.Arguments[key]), show(w.Arguments[key])))
		}
		if d != "" {
			note(Fixed, "queue", w.Name, d)
		}
	}
	for _, w := range want.Bindings {
		if _, ok := find(have.Bindings, func(h Binding) bool { return same(h, w) }); !ok {
			note(Add, "binding", bindingName(w), "")
		}
	}
	for _, h := range have.Bindings {
		_, queue := find(want.Queues, func(q Queue) bool {
			return q.Name == h.Destination && q.VHost == h.VHost && h.DestinationType == "queue"
		})
		if _, ok := find(want.Bindings, func(w Binding) bool { return same(h, w) }); queue && !ok {
			note(Extra, "binding", bindingName(h), "")
		}
	}
	return out
}

func same(a, b Binding) bool {
	return a.Source == b.Source && a.VHost == b.VHost && a.Destination == b.Destination && a.DestinationType == b.DestinationType &&
		a.RoutingKey == b.RoutingKey && len(a.Arguments) == len(b.Arguments)
}

func bindingName(b Binding) string { return b.Destination + " to " + b.RoutingKey + " of " + b.Source }

func find[T any](list []T, is func(T) bool) (found T, ok bool) {
	if i := slices.IndexFunc(list, is); i >= 0 {
		return list[i], true
	}
	return found, false
}

// details lists what differs among (name, have, want) triples.
func details(triples ...any) string {
	var d string
	for t := range slices.Chunk(triples, 3) {
		if t[1] != t[2] {
			d = join(d, fmt.Sprintf("%s %v -> %v", t[0], t[1], t[2]))
		}
	}
	return d
}

func join(a, b string) string {
	return strings.Trim(a+", "+b, ", ")
}

// show is an argument as people read it: JSON numbers are floats, which would print with an exponent.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "unset"
	case float64:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprint(v)
}

func union(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	if out == nil {
		out = map[string]any{}
	}
	maps.Copy(out, b)
	return out
}

func sorted(list []string) []string {
	return slices.Sorted(slices.Values(list))
}
