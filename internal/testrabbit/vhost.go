package testrabbit

import (
	"fmt"
	"strings"
	"testing"

	"github.com/surgewall/surgewall/events"
)

// VHost makes a virtual host of its own for a test, in which the user guest may do everything. It is empty: no exchange of ours is there.
func (b *Broker) VHost(t testing.TB) string {
	t.Helper()
	name, calls := b.vhost()
	b.Eval(t, strings.Join(calls, ", ")+".")
	return name
}

// Prepared makes a virtual host of its own with every exchange, and users by their names, all with one password. It is one call: each takes
// the better part of a second.
func (b *Broker) Prepared(t testing.TB, password string, users map[string]events.Role) string {
	t.Helper()
	name, calls := b.vhost()
	calls = append(calls, exchanges(name)...)
	for who, role := range users {
		calls = append(calls, user(name, role, who, password)...)
	}
	b.Eval(t, strings.Join(calls, ", ")+".")
	return name
}

func (b *Broker) vhost() (name string, calls []string) {
	name = fmt.Sprintf("test-%d", b.vhosts.Add(1))
	return name, []string{
		fmt.Sprintf(`rabbit_vhost:add(<<%q>>, <<"test">>)`, name),
		fmt.Sprintf(`rabbit_auth_backend_internal:set_permissions(<<"guest">>, <<%q>>, <<".*">>, <<".*">>, <<".*">>, <<"test">>)`, name),
	}
}

// Declare makes every exchange in a virtual host and no queue, which is quicker than Setup where nobody follows content updates.
func (b *Broker) Declare(t testing.TB, vhost string) {
	t.Helper()
	b.Eval(t, strings.Join(exchanges(vhost), ", ")+".")
}

func exchanges(vhost string) (calls []string) {
	for _, x := range events.Exchanges() {
		calls = append(calls, fmt.Sprintf(`rabbit_exchange:declare(rabbit_misc:r(<<%q>>, exchange, <<%q>>), %s, true, false, false, [], <<"test">>)`, vhost, x.Name, x.Kind))
	}
	return calls
}

// User makes a user with the permissions of a role. The role's name is the user's, unless it has none.
func (b *Broker) User(t testing.TB, vhost string, role events.Role, name, password string) {
	t.Helper()
	if role.Name != "" {
		name = role.Name
	}
	b.Users(t, vhost, role, password, name)
}

// Users makes users with the permissions of a role and one password, all in one call.
func (b *Broker) Users(t testing.TB, vhost string, role events.Role, password string, names ...string) {
	t.Helper()
	var calls []string
	for _, name := range names {
		calls = append(calls, user(vhost, role, name, password)...)
	}
	b.Eval(t, strings.Join(calls, ", ")+".")
}

func user(vhost string, role events.Role, name, password string) []string {
	calls := []string{
		fmt.Sprintf(`rabbit_auth_backend_internal:put_user(#{name => <<%q>>, password => <<%q>>, tags => []}, <<"test">>)`, name, password),
		fmt.Sprintf(`rabbit_auth_backend_internal:set_permissions(<<%q>>, <<%q>>, <<%s>>, <<%s>>, <<%s>>, <<"test">>)`,
			name, vhost, erlang(role.Configure), erlang(role.Write), erlang(role.Read)),
	}
	for _, topic := range role.Topics {
		calls = append(calls, fmt.Sprintf(`rabbit_auth_backend_internal:set_topic_permissions(<<%q>>, <<%q>>, <<%q>>, <<%s>>, <<%s>>, <<"test">>)`,
			name, vhost, topic.Exchange, erlang(topic.Write), erlang(topic.Read)))
	}
	return calls
}

// SetPassword changes a user's password.
func (b *Broker) SetPassword(t testing.TB, name, password string) {
	t.Helper()
	b.Ctl(t, "change_password", name, password)
}

// MemoryAlarm raises the broker's memory alarm, or clears it. Under it the broker stops reading from connections that publish.
func (b *Broker) MemoryAlarm(t testing.TB, on bool) {
	t.Helper()
	if on {
		b.Ctl(t, "set_vm_memory_high_watermark", "absolute", "1MB")
		return
	}
	b.Ctl(t, "set_vm_memory_high_watermark", "0.4")
}

// Connections counts the open connections of a virtual host.
func (b *Broker) Connections(t testing.TB, vhost string) int {
	t.Helper()
	return strings.Count(b.Ctl(t, "list_connections", "--silent", "vhost"), vhost+"\n")
}

// Eval runs an Erlang expression in the broker and returns what it prints.
func (b *Broker) Eval(t testing.TB, expression string) string {
	t.Helper()
	return b.Ctl(t, "eval", expression)
}

// erlang quotes a text that holds backslashes.
func erlang(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
