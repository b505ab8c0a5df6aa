package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/controllers/fleet"
	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/rabbitmq"
	"github.com/surgewall/surgewall/internal/testport"
)

// asProcess makes this test binary a controller: a kill of a process is what a test inside of one cannot do.
const asProcess = "SURGEWALL_TEST_CONTROLLER"

// process is a controller that can be killed.
type process struct {
	name, api string
	cmd       *exec.Cmd
	log       *lines
	ended     chan struct{}
}

func (s *stage) process(name, user string, more ...string) *process {
	s.Helper()
	p := &process{name: name, log: new(lines), ended: make(chan struct{})}
	listen := testport.Free(s.T)
	p.api = "http://" + listen
	args := append([]string{
		"--listen", listen, "--admin-listen", testport.Free(s.T), "--kubeconfig", s.server.Kubeconfig(s.T, user, s.namespace), "--replica", name,
		"--amqp-url", s.broker.URL("controller", "secret", s.vhost),
	}, more...)
	p.cmd = exec.Command(os.Args[0], args...)
	p.cmd.Env = append(os.Environ(), asProcess+"=1")
	p.cmd.Stdout, p.cmd.Stderr = io.Discard, p.log
	s.check(p.cmd.Start())
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	s.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
		if s.Failed() {
			s.Logf("%s:\n%s", name, p.log)
		}
	})
	return p
}

// TestTheLeaderDiesInMidSpike kills and stops leaders while the load of their fleet doubles: the standby is warm and writes what the new load needs,
// and at no time are there fewer edges than before.
func TestTheLeaderDiesInMidSpike(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute: run without -short")
	}
	const edges = 4
	for _, tc := range []struct {
		name   string
		signal syscall.Signal
		within time.Duration // on a machine that is not busy with something else
	}{
		{"killed", syscall.SIGKILL, 6 * time.Second},
		{"stopped", syscall.SIGTERM, 3 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t, "edge")
			s.fleet("edge", edges, map[string]string{"max-replicas": "100", "min-replicas": "1", "stable-window": "5s", "scale-down-hold": "10m", "scale-down-max-step": "100%"})
			var speakers []*edge
			for i := range edges {
				speakers = append(speakers, s.edge("edge", i, 95))
			}
			both := map[string]*process{"c-1": s.process("c-1", "user-1")}
			leads := func(p *process) bool { st := s.status(p.api, "edge"); return st.IsLeader && st.Signal.State == "LIVE" }
			s.eventually("c-1 leads", time.Minute, func() bool { return leads(both["c-1"]) })
			both["c-2"] = s.process("c-2", "user-1")
			s.eventually("c-2 is warm", time.Minute, func() bool { return s.status(both["c-2"].api, "edge").Signal.State == "LIVE" })
			for _, p := range both {
				s.knows(p.api, "edge", 4)
			}

			for _, e := range speakers {
				e.set(300)
			}
			s.eventually("the first write of the spike", time.Minute, func() bool { return s.replicas("edge") > edges })
			ctx, cancel := context.WithCancel(t.Context())
			falls := make(chan int, 1)
			go func() { falls <- s.scaleIns(ctx) }()
			s.check(both["c-1"].cmd.Process.Signal(tc.signal))
			died := time.Now()
			for _, e := range speakers {
				e.set(900) // the spike goes on: only a leader can follow
			}
			s.eventually("the standby writes", 2*time.Minute, func() bool { return s.replicas("edge") >= 33 })
			took := time.Since(died)
			time.Sleep(3 * time.Second)
			cancel()
			fell := <-falls
			t.Logf("leader %s in mid-spike: the standby has written %d edges after %v (within %v), scale-ins meanwhile: %d", tc.name, s.replicas("edge"), took.Round(10*time.Millisecond), tc.within, fell)
			if fell > 0 {
				t.Errorf("scaled in %d times between the leaders", fell)
			}
			if st := s.status(both["c-2"].api, "edge"); st.Leader != "c-2" || st.Writes.Accepted == 0 {
				t.Errorf("leader %s, %+v", st.Leader, st.Writes)
			}
		})
	}
}

// scaleIns counts how often the replicas fall until the context ends.
func (s *stage) scaleIns(ctx context.Context) (falls int) {
	last := 0
	for ctx.Err() == nil {
		if d, err := s.admin.AppsV1().Deployments(s.namespace).Get(ctx, "edge", metav1.GetOptions{}); err == nil {
			if now := int(*d.Spec.Replicas); now < last {
				falls++
			} else {
				last = now
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	return falls
}

// TestAPlanOverHTTPAndOverTheBus: a planned event of the content user reaches the ConfigMap through the leader, the API wants the token, and another
// controller finds the plans.
func TestAPlanOverHTTPAndOverTheBus(t *testing.T) {
	s := newStage(t, "edge")
	s.fleet("edge", 2, nil)
	s.plans()
	file := t.TempDir() + "/token"
	s.check(os.WriteFile(file, []byte("secret-token\n"), 0o600))
	p := s.process("c-1", "user-1", "--api-token-file", file)
	s.eventually("the fleet is known", 2*time.Minute, func() bool { return s.status(p.api, "edge").Leader == "c-1" })
	at := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	body := fmt.Sprintf(`{"name":"derby","at":%q,"for":"2h","factor":5,"ramp":"10m"}`, at)
	if code := post(t, p.api+"/v1/fleets/edge/plans", "", body); code != 401 {
		t.Errorf("without a token: %d", code)
	}
	if code := post(t, p.api+"/v1/fleets/edge/plans", "secret-token", body); code != 201 {
		t.Errorf("with the token: %d", code)
	}
	object, err := s.admin.CoreV1().ConfigMaps(s.namespace).Get(t.Context(), "surgewall-plans", metav1.GetOptions{})
	s.check(err)
	if !strings.Contains(object.Data["edge"], `"name": "derby"`) {
		t.Errorf("kept: %v", object.Data)
	}
	s.broker.User(t, s.vhost, events.ContentRole(), "content", "secret")
	publisher, err := rabbitmq.NewPublisher(rabbitmq.Options{URL: s.broker.URL("content", "secret", s.vhost), MaxAge: time.Minute, Logger: zerolog.Nop()})
	s.check(err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = publisher.Run(ctx)
	}()
	m, err := events.Encode(events.Attributes{Source: events.Source("content", "cms"), BootID: "boot-0001", Seq: 1},
		&events.Plan{Action: events.PlanAdd, Fleet: "edge", Name: "news", At: time.Now().Add(2 * time.Hour), ForS: 3600, Floor: 9})
	s.check(err)
	publisher.Publish(m)
	var list fleet.PlanList
	s.eventually("the plan from the bus is kept", 2*time.Minute, func() bool {
		_, err := ask(p.api+"/v1/fleets/edge/plans", &list)
		return err == nil && len(list.Plans) == 2 && list.Plans[1].By == "content"
	})
	cancel()
	<-done
	if code, err := ask(p.api+"/v1/fleets/edge/plans", &list); err != nil || code != 200 || len(list.Plans) != 2 || list.Plans[0].State != "waiting" {
		t.Errorf("%d, %v, %+v", code, err, list)
	}
}

// plans makes the ConfigMap that the chart makes.
func (s *stage) plans() {
	s.Helper()
	_, err := s.admin.CoreV1().ConfigMaps(s.namespace).Create(s.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "surgewall-plans"}}, metav1.CreateOptions{})
	s.check(err)
}

func post(t *testing.T, url, token, body string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}
