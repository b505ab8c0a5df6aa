// Package testrabbit runs a private RabbitMQ for the tests of one package: a child process on loopback ports, with its data in a temporary
// directory, gone when the tests are.
//
// It uses the server of Debian's rabbitmq-server package, as root or as any other user, without touching the machine's own broker.
package testrabbit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/testport"
)

// BinEnv names the environment variable that holds the directory of rabbitmq-server and rabbitmqctl, where it is not Debian's: for example
// the one that hack/rabbitmq4/build prints, so that the same tests run on RabbitMQ 4.
const BinEnv = "SURGEWALL_RABBITMQ_BIN"

const (
	debianBin   = "/usr/lib/rabbitmq/bin"
	bootTimeout = 180 * time.Second
	ctlTimeout  = 60 * time.Second
)

// Option changes how a broker is started.
type Option func(*Broker)

// Plugins enables plugins of the package, such as "rabbitmq_management". Without it none is enabled, which makes the start faster.
func Plugins(names ...string) Option {
	return func(b *Broker) { b.plugins = append(b.plugins, names...) }
}

// TLS adds a listener that wants a client certificate from the authority, and lets who has one log in as the user that the certificate names
// (SASL EXTERNAL). The files are PEM.
func TLS(caFile, certFile, keyFile string) Option {
	return func(b *Broker) {
		b.plugins = append(b.plugins, "rabbitmq_auth_mechanism_ssl")
		b.tls = [3]string{caFile, certFile, keyFile}
	}
}

// Stopped leaves the broker down until Restart.
func Stopped() Option { return func(b *Broker) { b.stopped = true } }

// Broker is a private RabbitMQ. Its ports and its data stay the same over Kill and Restart. It is for one test at a time, but for VHost,
// User and Ctl, which any goroutine may use.
type Broker struct {
	bin, dir                 string
	amqpPort, dist, epmdPort int
	tlsPort, managementPort  int
	plugins                  []string
	tls                      [3]string // files of the authority, the certificate and its key; empty: no TLS
	stopped                  bool
	vhosts                   atomic.Int64
	run                      *process
}

// Start runs a broker for one test and stops it when the test ends. It skips the test with -short and where RabbitMQ is
// not installed; with SURGEWALL_REQUIRE_ALL=1 it never skips, and fails the test instead.
func Start(t testing.TB, options ...Option) *Broker {
	t.Helper()
	b := create(t, options...)
	t.Cleanup(b.Stop)
	return b
}

func create(t testing.TB, options ...Option) *Broker {
	t.Helper()
	if testing.Short() && os.Getenv("SURGEWALL_REQUIRE_ALL") != "1" {
		t.Skip("SKIPPED with -short: needs a RabbitMQ; make test-integration runs it")
	}
	b := &Broker{bin: installed(t)}
	for _, option := range options {
		option(b)
	}
	if err := b.prepare(); err != nil {
		t.Fatal(err)
	}
	if !b.stopped {
		if err := b.start(); err != nil {
			b.Stop()
			t.Fatal(err)
		}
	}
	return b
}

// installed returns the directory of the server, and skips or fails the test where there is none.
func installed(t testing.TB) string {
	t.Helper()
	bin := os.Getenv(BinEnv)
	if bin == "" {
		bin = debianBin
	}
	if _, err := os.Stat(filepath.Join(bin, "rabbitmq-server")); err != nil {
		advice := fmt.Sprintf("RabbitMQ is not installed in %s: apt-get install --no-install-recommends rabbitmq-server, or set %s", bin, BinEnv)
		if os.Getenv("SURGEWALL_REQUIRE_ALL") == "1" {
			t.Fatal(advice)
		}
		t.Skip("SKIPPED: " + advice)
	}
	return bin
}

// prepare chooses the ports and writes the configuration.
func (b *Broker) prepare() error {
	ports, err := testport.Take(6)
	if err != nil {
		return err
	}
	b.amqpPort, b.dist, b.epmdPort, b.tlsPort, b.managementPort = ports[0], ports[1], ports[2], ports[3], ports[4]
	if b.dir, err = os.MkdirTemp("", "surgewall-rabbitmq-"); err != nil {
		return fmt.Errorf("make the broker's directory: %w", err)
	}
	conf := fmt.Sprintf("listeners.tcp.1 = 127.0.0.1:%d\nlog.file = broker.log\nlog.console = false\ndisk_free_limit.absolute = 1MB\n", b.amqpPort)
	// The keys of a plugin that is not enabled are refused.
	if slices.Contains(b.plugins, "rabbitmq_management") {
		conf += fmt.Sprintf("management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = %d\n", b.managementPort)
	}
	if slices.Contains(b.plugins, "rabbitmq_prometheus") {
		conf += fmt.Sprintf("prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = %d\n", ports[5])
	}
	if b.tls[0] != "" {
		conf += fmt.Sprintf("listeners.ssl.1 = 127.0.0.1:%d\nssl_options.cacertfile = %s\nssl_options.certfile = %s\nssl_options.keyfile = %s\n",
			b.tlsPort, b.tls[0], b.tls[1], b.tls[2]) +
			"ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\nssl_options.versions.1 = tlsv1.3\nssl_cert_login_from = common_name\n" +
			"auth_mechanisms.1 = EXTERNAL\nauth_mechanisms.2 = PLAIN\n"
	}
	files := map[string]string{
		"rabbitmq.conf":   conf,
		"advanced.config": "[{kernel, [{inet_dist_use_interface, {127,0,0,1}}]}].\n",
		"enabled_plugins": "[" + strings.Join(b.plugins, ",") + "].\n",
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(content), 0o600); err != nil {
			return fmt.Errorf("write the broker's configuration: %w", err)
		}
	}
	return nil
}

// env is all that the broker and its tools see of the environment: nothing of this machine's own broker gets in.
func (b *Broker) env() []string {
	in := func(name string) string { return filepath.Join(b.dir, name) }
	return []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:" + os.Getenv("PATH"), "LANG=C.UTF-8",
		// The Erlang cookie is made in the home directory.
		"HOME=" + b.dir,
		"ERL_EPMD_ADDRESS=127.0.0.1", "ERL_EPMD_PORT=" + strconv.Itoa(b.epmdPort),
		"RABBITMQ_NODENAME=" + b.node(), "RABBITMQ_DIST_PORT=" + strconv.Itoa(b.dist),
		"RABBITMQ_CONF_ENV_FILE=/dev/null", "RABBITMQ_CONFIG_FILE=" + in("rabbitmq.conf"),
		"RABBITMQ_ADVANCED_CONFIG_FILE=" + in("advanced.config"), "RABBITMQ_ENABLED_PLUGINS_FILE=" + in("enabled_plugins"),
		"RABBITMQ_MNESIA_BASE=" + in("data"), "RABBITMQ_LOG_BASE=" + in("log"), "RABBITMQ_PID_FILE=" + in("pid"),
		"RABBITMQ_GENERATED_CONFIG_DIR=" + in("generated"),
		// Idle Erlang schedulers spin by default, which starves the tests on a small machine.
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
	}
}

func (b *Broker) node() string { return "surgewall" + strconv.Itoa(b.amqpPort) + "@localhost" }

// start runs the server and waits until it talks AMQP.
func (b *Broker) start() error {
	run, err := launch(filepath.Join(b.bin, "rabbitmq-server"), b.epmdPort, b.dir, b.env())
	if err != nil {
		return fmt.Errorf("start RabbitMQ: %w", err)
	}
	b.run = run
	deadline := time.Now().Add(bootTimeout)
	for !b.answers() {
		select {
		case <-run.exited:
			return fmt.Errorf("RabbitMQ ended while it started:\n%s", b.logTail())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("RabbitMQ is not up after %v:\n%s", bootTimeout, b.logTail())
		}
	}
	return nil
}

// answers is true once the broker greets: an open port alone may be a listener that is about to serve.
func (b *Broker) answers() bool {
	conn, err := net.DialTimeout("tcp", b.Addr(), time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	if conn.SetDeadline(time.Now().Add(2*time.Second)) != nil {
		return false
	}
	if _, err := conn.Write([]byte("AMQP\x00\x00\x09\x01")); err != nil {
		return false
	}
	var greeting [1]byte
	n, err := conn.Read(greeting[:])
	return err == nil && n == 1 && greeting[0] == 1
}

func (b *Broker) logTail() string {
	var tail []byte
	for _, name := range []string{"log/broker.log", "output"} {
		content, err := os.ReadFile(filepath.Join(b.dir, name))
		if err == nil {
			tail = append(tail, content[max(0, len(content)-4000):]...)
		}
	}
	return string(tail)
}

// Addr is the broker's host and port.
func (b *Broker) Addr() string { return net.JoinHostPort(b.Host(), strconv.Itoa(b.amqpPort)) }

// TLSPort is the port of the listener that TLS adds.
func (b *Broker) TLSPort() int { return b.tlsPort }

// Management is the URL of the management API, where the plugin rabbitmq_management is enabled.
func (b *Broker) Management() string { return fmt.Sprintf("http://127.0.0.1:%d", b.managementPort) }

// Generation is the major version of RabbitMQ, such as 3 or 4.
func (b *Broker) Generation(t testing.TB) int {
	t.Helper()
	text := strings.Trim(b.Eval(t, "rabbit_misc:version()."), " \n\"")
	major, err := strconv.Atoi(strings.Split(text, ".")[0])
	if err != nil {
		t.Fatalf("RabbitMQ's version is %q", text)
	}
	return major
}

// Host is always the loopback address.
func (b *Broker) Host() string { return "127.0.0.1" }

// Port is the AMQP port.
func (b *Broker) Port() int { return b.amqpPort }

// URL is the AMQP URL of a user in a virtual host. The user guest has the password guest.
func (b *Broker) URL(user, password, vhost string) string {
	// Not url.URL.String: it leaves alone what AMQP wants escaped in a virtual host's name.
	return "amqp://" + url.UserPassword(user, password).String() + "@" + b.Addr() + "/" + url.PathEscape(vhost)
}

// GuestURL is the AMQP URL of the user guest, who may do everything in the virtual hosts that VHost makes.
func (b *Broker) GuestURL(vhost string) string { return b.URL("guest", "guest", vhost) }

// Kill ends the broker with SIGKILL, as a crash would. It returns once the port is closed.
func (b *Broker) Kill() {
	if b.run == nil {
		return
	}
	b.run.kill()
	b.run = nil
	for range 200 {
		conn, err := net.DialTimeout("tcp", b.Addr(), time.Second)
		if err != nil {
			return
		}
		conn.Close()
		time.Sleep(10 * time.Millisecond)
	}
}

// Restart runs the broker again on the data that it left, and returns when it answers.
func (b *Broker) Restart(t testing.TB) {
	t.Helper()
	b.Kill()
	if err := b.start(); err != nil {
		t.Fatal(err)
	}
}

// Freeze stops the broker's processes without closing anything, until Thaw.
func (b *Broker) Freeze() { b.run.freeze() }

// Thaw lets a frozen broker go on.
func (b *Broker) Thaw() { b.run.thaw() }

// Stop ends the broker and removes its data.
func (b *Broker) Stop() {
	b.Kill()
	if b.dir != "" {
		// The broker may still write for a moment after it was killed; what is left is in the temporary directory.
		for range 20 {
			if os.RemoveAll(b.dir) == nil {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// Ctl runs rabbitmqctl and returns what it prints; half a second each.
func (b *Broker) Ctl(t testing.TB, args ...string) string {
	t.Helper()
	out, err := b.ctl(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (b *Broker) ctl(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), ctlTimeout)
	defer cancel()
	cmd := command(ctx, filepath.Join(b.bin, "rabbitmqctl"), append([]string{"-q", "-n", b.node()}, args...), b.dir, b.env())
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("rabbitmqctl %s: %w", strings.Join(args, " "), errors.Join(err, errors.New(stdout.String()+stderr.String())))
	}
	return stdout.String(), nil
}
