package boot_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/fx"

	"github.com/surgewall/surgewall/cmd/internal/boot"
	"github.com/surgewall/surgewall/internal/testport"
)

// TestADrainAnswersEverythingAndSaysGoodbye follows one stop: readiness goes at once, requests are served on, their connections are
// closed after the response, and a request that runs when the listener closes still ends well.
func TestADrainAnswersEverythingAndSaysGoodbye(t *testing.T) {
	admin := testport.Free(t)
	drains, release := make(chan struct{}), make(chan struct{})
	server := &boot.Server{
		Name: "content", Setting: "listen", Address: "127.0.0.1:0",
		DrainDelay: 3 * time.Second, DrainTimeout: time.Minute, // three calls have to come before it is over, on a busy machine too
		OnDrain: func() { close(drains) },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				<-release
			}
			_, _ = io.WriteString(w, "served")
		}),
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	started, ended := make(chan struct{}), make(chan string)
	go func() {
		code, _, log := run(ctx, nil, fx.Invoke(func(lc fx.Lifecycle, sh fx.Shutdowner, health *boot.Health, runners *boot.Runners) {
			server.Register(lc, sh, health, zerologNop)
			runners.Go("signal", func(ctx context.Context) error { close(started); <-ctx.Done(); return nil })
		}), "--admin-listen", admin)
		if code != boot.ExitOK {
			log = "exit is not 0\n" + log
		}
		ended <- log
	}()
	<-started
	base := "http://" + server.Addr().String()
	if code, body := get(t, "http://"+admin+"/readyz"); code != 200 {
		t.Fatalf("not ready after the start: %d %s", code, body)
	}
	slow := make(chan string)
	go func() { _, body := get(t, base+"/slow"); slow <- body }()

	stop()
	<-drains
	if code, body := get(t, "http://"+admin+"/readyz"); code != 503 || !strings.Contains(body, "draining") {
		t.Errorf("readiness while draining: %d %s", code, body)
	}
	if code, _ := get(t, "http://"+admin+"/livez"); code != 200 {
		t.Errorf("liveness while draining: %d", code)
	}
	client := http.Client{Transport: &http.Transport{}}
	response, err := client.Get(base + "/quick")
	if err != nil {
		t.Fatalf("request while draining: %v", err)
	}
	response.Body.Close()
	if response.StatusCode != 200 || !response.Close {
		t.Errorf("request while draining: status %d, connection closed: %v", response.StatusCode, response.Close)
	}
	close(release)
	if body := <-slow; body != "served" {
		t.Errorf("a request that ran through the drain got %q", body)
	}
	if log := <-ended; strings.HasPrefix(log, "exit") {
		t.Error(log)
	}
}

func TestARequestThatNeverEndsIsCutAtTheTimeout(t *testing.T) {
	running := make(chan struct{})
	server := &boot.Server{
		Name: "content", Setting: "listen", Address: "127.0.0.1:0", DrainTimeout: 50 * time.Millisecond,
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { close(running); <-r.Context().Done() }),
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	code, _, log := run(ctx, nil, fx.Invoke(func(lc fx.Lifecycle, sh fx.Shutdowner, health *boot.Health, runners *boot.Runners) {
		server.Register(lc, sh, health, zerologNop)
		runners.Go("client", func(ctx context.Context) error {
			go func() {
				client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
				if response, err := client.Get("http://" + server.Addr().String()); err == nil {
					response.Body.Close()
				}
			}()
			<-running
			stop()
			<-ctx.Done()
			return nil
		})
	}))
	if code != boot.ExitFailure || !strings.Contains(log, "requests were still running") {
		t.Errorf("exit %d\n%s", code, log)
	}
}
