package boot_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/fx"

	"github.com/surgewall/surgewall/cmd/internal/boot"
	"github.com/surgewall/surgewall/config"
	"github.com/surgewall/surgewall/internal/testleak"
)

func TestMain(m *testing.M) {
	os.Exit(testleak.Main(m))
}

// settings are those of a small binary of this test.
type settings struct {
	config.Process
	config.AMQP
	Size  config.Bytes
	Names []string
	Wait  time.Duration
}

func newSettings() *settings {
	s := &settings{Process: config.NewProcess(), AMQP: config.NewAMQP(), Size: 1 << 20, Wait: time.Second}
	s.AdminListen = "127.0.0.1:0"
	return s
}

func (s *settings) Bind(fs *pflag.FlagSet) {
	s.Process.Bind(fs)
	s.AMQP.Bind(fs)
	fs.Var(&s.Size, "size", "a size")
	fs.StringSliceVar(&s.Names, "name", nil, "a `name`")
	fs.DurationVar(&s.Wait, "wait", s.Wait, "a `time`")
}

func (s *settings) Validate() error {
	err := errors.Join(s.Process.Validate(), s.AMQP.Validate())
	if s.Wait > time.Minute {
		err = errors.Join(err, &config.Error{Key: "wait", Value: s.Wait.String(), Want: "a duration from 0s to 1m0s"})
	}
	return err
}

func (s *settings) StopTimeout() time.Duration { return 5 * time.Second }

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) { b.mu.Lock(); defer b.mu.Unlock(); return b.b.Write(p) }
func (b *buffer) String() string              { b.mu.Lock(); defer b.mu.Unlock(); return b.b.String() }

func run(ctx context.Context, env map[string]string, module fx.Option, args ...string) (code int, stdout, stderr string) {
	var out, log buffer
	s := newSettings()
	program := boot.Program{
		Name: "tester", Short: "Tests.", Example: "  tester --wait 1s", Settings: s, Process: &s.Process,
		Module: func() fx.Option { return module },
	}
	lookup := func(name string) (string, bool) { value, ok := env[name]; return value, ok }
	code = program.Run(ctx, args, lookup, &out, &log)
	return code, out.String(), log.String()
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFlagBeatsEnvironmentBeatsFileBeatsDefault(t *testing.T) {
	file := write(t, "t.yaml", "wait: 2s\nsize: 2MiB\nname: [a, b]\nlog-level: warn\n")
	env := map[string]string{"SURGEWALL_SIZE": "3MiB", "SURGEWALL_WAIT": "3s", "SURGEWALL_OTHER_PORT": "tcp://10.0.0.1:1", "SURGEWALL_LOG_LEVEL": ""}
	code, out, log := run(t.Context(), env, nil, "--check", "--config", file, "--wait", "4s")
	if code != boot.ExitOK {
		t.Fatalf("exit %d: %s", code, log)
	}
	for _, want := range []string{
		"wait: 4s # flag\n", "size: 3MiB # SURGEWALL_SIZE\n", "name: [a, b] # " + file + ":3\n", "log-level: warn # " + file + ":4\n", "log-format: json\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the effective settings lack %q:\n%s", want, out)
		}
	}
}

func TestWhatCheckPrintsIsAFileWithTheSameSettings(t *testing.T) {
	_, first, _ := run(t.Context(), nil, nil, "--check", "--name", "a,b", "--size", "3KiB")
	file := write(t, "again.yaml", first)
	code, second, log := run(t.Context(), nil, nil, "--check", "--config", file)
	if code != 0 || stripComments(first) != stripComments(second) {
		t.Errorf("exit %d %s\nfirst:\n%s\nsecond:\n%s", code, log, first, second)
	}
}

func stripComments(yaml string) string {
	var b strings.Builder
	for line := range strings.Lines(yaml) {
		text, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " # ")
		b.WriteString(text + "\n")
	}
	return b.String()
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	for _, url := range []string{"amqp://guest:s3cret@broker/", "amqp://guest:s3cret@bro ker/", "http://guest:s3cret@broker/", "s3cret"} {
		_, out, log := run(t.Context(), map[string]string{"SURGEWALL_AMQP_URL": url}, nil, "--check")
		if strings.Contains(out+log, "s3cret") {
			t.Errorf("%s shows the password:\n%s%s", url, out, log)
		}
	}
}

func TestAWrongSettingIsNamedWithItsValueAndWhatIsAllowed(t *testing.T) {
	file := write(t, "bad.yaml", "# wrong\nwiat: 2s\nsize: 12M\nwait: 2s\nwait: 3s\n")
	for _, c := range []struct {
		args []string
		env  map[string]string
		want []string
	}{
		{args: []string{"--wait", "2m"}, want: []string{`--wait: "2m0s" is not allowed: want a duration from 0s to 1m0s`}},
		{env: map[string]string{"SURGEWALL_WAIT": "2m"}, want: []string{`SURGEWALL_WAIT: wait: "2m0s" is not allowed`}},
		{env: map[string]string{"SURGEWALL_SIZE": "many"}, want: []string{`SURGEWALL_SIZE: size: "many" is not allowed`, "KiB"}},
		{args: []string{"--log-level", "loud", "--admin-listen", "here"}, want: []string{`--log-level: "loud"`, "debug, info, warn, error", `--admin-listen: "here"`}},
		{args: []string{"--config", file}, want: []string{
			`bad.yaml:2: unknown key "wiat"; did you mean "wait"?`, `bad.yaml:3: size: "12M" is not allowed`, `bad.yaml:5: key "wait" is there twice, first in line 4`,
		}},
		{args: []string{"--config", "/nowhere.yaml"}, want: []string{"/nowhere.yaml: no such file"}},
		{args: []string{"--amqp-url", "http://x"}, want: []string{"--amqp-url", "want amqp[s]://"}},
		{args: []string{"--amqp-host", "x", "--amqp-port", "70000"}, want: []string{`--amqp-port: "70000" is not allowed: want a number from 0 to 65535`}},
		{args: []string{"serve"}, want: []string{`unknown command "serve"`}},
	} {
		code, _, log := run(t.Context(), c.env, nil, c.args...)
		if code != boot.ExitUsage {
			t.Errorf("%v %v: exit %d, want %d", c.args, c.env, code, boot.ExitUsage)
		}
		for _, want := range c.want {
			if !strings.Contains(log, want) {
				t.Errorf("%v %v: %q not in:\n%s", c.args, c.env, want, log)
			}
		}
	}
}

func TestHelpVersionAndCompletion(t *testing.T) {
	for _, c := range []struct{ arg, want string }{{"--help", "tester --wait 1s"}, {"--version", "tester version"}} {
		if code, out, _ := run(t.Context(), nil, nil, c.arg); code != 0 || !strings.Contains(out, c.want) {
			t.Errorf("%s: exit %d, %q not in:\n%s", c.arg, code, c.want, out)
		}
	}
	if code, out, _ := run(t.Context(), nil, nil, "completion", "bash"); code != 0 || !strings.Contains(out, "__start_tester") {
		t.Errorf("completion: exit %d", code)
	}
}

func TestRunnersEndInReverseOrderBeforeTheProcess(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var order []string
	runner := func(name string) func(context.Context) error {
		return func(ctx context.Context) error {
			if name == "second" {
				stop() // both have started
			}
			<-ctx.Done()
			order = append(order, name) // no lock: one ends before the next is told to
			return ctx.Err()
		}
	}
	code, _, log := run(ctx, nil, fx.Invoke(func(runners *boot.Runners) {
		runners.Go("first", runner("first"))
		runners.Go("second", runner("second"))
	}))
	if code != boot.ExitOK || strings.Join(order, " ") != "second first" {
		t.Errorf("exit %d, order %v\n%s", code, order, log)
	}
}

func TestARunnerThatFailsStopsTheProcess(t *testing.T) {
	code, _, log := run(t.Context(), nil, fx.Invoke(func(runners *boot.Runners) {
		runners.Go("doomed", func(context.Context) error { return errors.New("no way") })
	}))
	if code != boot.ExitFailure || !strings.Contains(log, "no way") {
		t.Errorf("exit %d\n%s", code, log)
	}
}

func TestAListenerThatCannotOpenNamesItsFlag(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	code, _, log := run(t.Context(), nil, fx.Options(), "--admin-listen", taken.Addr().String())
	if code != boot.ExitFailure || !strings.Contains(log, "--admin-listen: listen tcp") {
		t.Errorf("exit %d\n%s", code, log)
	}
}

// TestADefaultAdminAddressThatIsTakenIsNoReasonToFail is two binaries tried out on one machine.
func TestADefaultAdminAddressThatIsTakenIsNoReasonToFail(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	ctx, stop := context.WithCancel(t.Context())
	s := newSettings()
	s.AdminListen = taken.Addr().String()
	var log buffer
	code := boot.Program{Name: "tester", Settings: s, Process: &s.Process, Module: func() fx.Option {
		return fx.Invoke(func(runners *boot.Runners) {
			runners.Go("stopper", func(ctx context.Context) error { stop(); <-ctx.Done(); return nil })
		})
	}}.Run(ctx, nil, func(string) (string, bool) { return "", false }, io.Discard, &log)
	if code != boot.ExitOK || !strings.Contains(log.String(), "using a free port") {
		t.Errorf("exit %d\n%s", code, &log)
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}
