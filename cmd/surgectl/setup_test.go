package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/surgewall/surgewall/config/rabbitmq"
	"github.com/surgewall/surgewall/internal/testrabbit"
)

// TestSetupMakesABrokerWhatItShouldBe follows an operator: dry run, setup, check, a colleague who changes things, check, setup, check.
func TestSetupMakesABrokerWhatItShouldBe(t *testing.T) {
	broker := testrabbit.Start(t, testrabbit.Plugins("rabbitmq_management"))
	dir := t.TempDir()
	write := func(name, content string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	admin := write("admin.txt", "guest\n")
	for _, user := range []string{"edge", "video", "shield", "controller"} {
		write(user, "secret-"+user)
	}
	setup := func(args ...string) (code int, out string) {
		t.Helper()
		var b strings.Builder
		args = append([]string{"setup", "--management", broker.Management(), "--password-file", admin, "--fleet", "edge", "--fleet", "video", "--passwords", dir}, args...)
		code = run(t.Context(), args, noEnv, strings.NewReader(""), &b, &b)
		return code, b.String()
	}
	list := func(args ...string) (list []rabbitmq.Difference) {
		t.Helper()
		_, out := setup(append(args, "--output", "json")...)
		if err := json.NewDecoder(strings.NewReader(out)).Decode(&list); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return list
	}

	code, out := setup("--dry-run")
	if code != 0 || !strings.Contains(out, "+ virtual host surgewall\n") || !strings.Contains(out, "+ user video\n") {
		t.Fatalf("the dry run ends with %d:\n%s", code, out)
	}
	if code, out = setup("--check"); code != exitFailure {
		t.Fatalf("a check of an empty broker ends with %d:\n%s", code, out)
	}
	if code, out = setup(); code != 0 {
		t.Fatalf("setup ends with %d:\n%s", code, out)
	}
	if code, out = setup("--check"); code != 0 || !strings.Contains(out, "as it should be") {
		t.Fatalf("the check after setup ends with %d:\n%s", code, out)
	}
	// Somebody helps. One call of the broker's tool, which is slow to start.
	users := broker.Eval(t, `{ok, _} = rabbit_access_control:check_user_pass_login(<<"video">>, <<"secret-video">>),
		rabbit_auth_backend_internal:set_permissions(<<"edge">>, <<"surgewall">>, <<".*">>, <<".*">>, <<".*">>, <<"test">>),
		rabbit_auth_backend_internal:set_permissions(<<"shield">>, <<"/">>, <<".*">>, <<".*">>, <<".*">>, <<"test">>),
		rabbit_auth_backend_internal:set_tags(<<"content">>, [monitoring], <<"test">>),
		rabbit_auth_backend_internal:set_user_limits(<<"video">>, #{<<"max-connections">> => 1}, <<"test">>),
		rabbit_auth_backend_internal:clear_topic_permissions(<<"video">>, <<"surgewall">>, <<"surgewall.telemetry">>, <<"test">>),
		rabbit_policy:delete(<<"surgewall">>, <<"surgewall.controllers">>, <<"test">>),
		rabbit_auth_backend_internal:change_password(<<"controller">>, <<"other">>, <<"test">>),
		{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"surgewall">>, queue, <<"surgewall.dead">>)),
		rabbit_amqqueue:delete(Q, false, false, <<"test">>),
		[proplists:get_value(user, U) || U <- rabbit_auth_backend_internal:list_users(), lists:member(administrator, proplists:get_value(tags, U))].`)
	if !strings.Contains(users, `[<<"guest">>]`) {
		t.Errorf("administrators are %s, want guest alone", users)
	}
	want := []rabbitmq.Difference{
		{Action: rabbitmq.Change, Kind: "user", Name: "video", Detail: "limits map[max-channels:40000 max-connections:1] -> map[max-channels:40000 max-connections:10000]"},
		{Action: rabbitmq.Change, Kind: "user", Name: "content", Detail: "tags [monitoring] -> []"},
		{Action: rabbitmq.Change, Kind: "permission", Name: "edge in surgewall", Detail: `configure .* -> ^$, write .* -> ^surgewall\.telemetry$, read .* -> ^surgewall\.content\.log$`},
		{Action: rabbitmq.Extra, Kind: "permission", Name: "shield in /", Detail: "remove it: rabbitmqctl clear_permissions -p / shield"},
		{Action: rabbitmq.Add, Kind: "topic permission", Name: "video on surgewall.telemetry"},
		{Action: rabbitmq.Add, Kind: "queue", Name: "surgewall.dead"},
		{Action: rabbitmq.Add, Kind: "binding", Name: "surgewall.dead to # of surgewall.dlx"},
		{Action: rabbitmq.Add, Kind: "policy", Name: "surgewall.controllers"},
		{Action: rabbitmq.Change, Kind: "user", Name: "controller", Detail: "password"},
	}
	if got := list("--check"); !slices.Equal(got, want) {
		t.Errorf("differences are\n%v, want\n%v", got, want)
	}
	if code, out = setup(); code != exitFailure || !strings.Contains(out, "clear_permissions -p / shield") {
		t.Errorf("a right too many is left: setup ends with %d:\n%s", code, out)
	}
	broker.Ctl(t, "clear_permissions", "-p", "/", "shield")
	if code, out = setup("--check"); code != 0 {
		t.Errorf("the check ends with %d:\n%s", code, out)
	}
	// A queue with other arguments is named with each of them, and the rest is done all the same.
	broker.Eval(t, `{ok, _} = rabbit_access_control:check_user_pass_login(<<"controller">>, <<"secret-controller">>),
		[begin {ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"surgewall">>, queue, N)), rabbit_amqqueue:delete(Q, false, false, <<"test">>) end
			|| N <- [<<"surgewall.dead">>, <<"surgewall.work.prefetch">>]],
		rabbit_amqqueue:declare(rabbit_misc:r(<<"surgewall">>, queue, <<"surgewall.dead">>), true, false, [{<<"x-max-length">>, long, 5}], none, <<"test">>).`)
	if code, out = setup(); code != exitFailure {
		t.Errorf("setup ends with %d:\n%s", code, out)
	}
	if code, out = setup("--check"); code != exitFailure || strings.Contains(out, "work.prefetch") ||
		!strings.Contains(out, "! queue surgewall.dead: x-delivery-limit unset -> 1000000, x-max-length 5 -> 10000, x-message-ttl unset -> 604800000, x-overflow unset -> drop-head") {
		t.Errorf("the check ends with %d:\n%s", code, out)
	}

	// Who may not is told what is missing, and no output of any command holds a password.
	code, out = func() (int, string) {
		var b strings.Builder
		args := []string{"setup", "--management", broker.Management(), "--username", "edge", "--password-file", filepath.Join(dir, "edge")}
		return run(t.Context(), args, noEnv, strings.NewReader(""), &b, &b), b.String()
	}()
	if code != exitFailure || !strings.Contains(out, "administrator") || strings.Contains(out, "secret") {
		t.Errorf("as an edge, setup ends with %d:\n%s", code, out)
	}
}

func TestSetupRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		says string
	}{
		"no password file":    {nil, "--password-file: want a file"},
		"password in the URL": {[]string{"--management", "http://guest:secret@127.0.0.1"}, "without user and password"},
		"no URL":              {[]string{"--management", "127.0.0.1:15672"}, "--management: want http"},
		"other role":          {[]string{"--fleet", "shield"}, "user of another role"},
		"no label":            {[]string{"--fleet", "a.b"}, "--fleet"},
		"both":                {[]string{"--check", "--dry-run"}, "none of the others can be"},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			code := run(t.Context(), append([]string{"setup"}, test.args...), noEnv, strings.NewReader(""), &b, &b)
			if code != exitUsage || !strings.Contains(b.String(), test.says) || strings.Contains(b.String(), "secret@") {
				t.Errorf("ends with %d: %s", code, b.String())
			}
		})
	}
}

func noEnv(string) (string, bool) { return "", false }
