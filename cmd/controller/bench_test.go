package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/surgewall/surgewall/controllers/fleet"
	"github.com/surgewall/surgewall/controllers/kube/kubetest"
	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/rabbitmq"
	"github.com/surgewall/surgewall/internal/testport"
	"github.com/surgewall/surgewall/internal/testrabbit"
)

// testBench is a real API server and a real broker for the stories of this
// package.
type testBench struct {
	api    kubetest.Shared
	broker testrabbit.Shared
}

var bench testBench

func (b *testBench) Main(m *testing.M) int {
	code := b.broker.Main(m)
	b.api.Stop()
	return code
}

// stage is one namespace and one virtual host, with users that may do what
// those of an installation may.
type stage struct {
	*testing.T
	server    *kubetest.Server
	broker    *testrabbit.Broker
	vhost     string
	namespace string
	admin     kubernetes.Interface
	said      *lines // by the controller in this process
}

func newStage(t *testing.T, fleets ...string) *stage {
	t.Helper()
	s := &stage{T: t, server: bench.api.Get(t), broker: bench.broker.Get(t)}
	users := map[string]events.Role{"controller": events.ControllerRole()}
	for _, name := range fleets {
		users[name] = events.FleetRole()
	}
	s.vhost = s.broker.Prepared(t, "secret", users)
	s.namespace, s.admin = s.server.Namespace(t, fleets...)
	return s
}

func (s *stage) check(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// fleet makes the Deployment, the pods and the policy of a fleet.
func (s *stage) fleet(name string, pods int, data map[string]string) {
	s.Helper()
	replicas := int32(pods)
	labels := map[string]string{"surgewall.io/fleet": name}
	containers := []corev1.Container{{Name: "edge", Image: "edge"}}
	_, err := s.admin.AppsV1().Deployments(s.namespace).Create(s.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: containers}},
		},
	}, metav1.CreateOptions{})
	s.check(err)
	for i := range pods {
		pod, err := s.admin.CoreV1().Pods(s.namespace).Create(s.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", name, i), Labels: labels}, Spec: corev1.PodSpec{Containers: containers},
		}, metav1.CreateOptions{})
		s.check(err)
		pod.Status.Phase = corev1.PodRunning
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(pod.CreationTimestamp.Add(4 * time.Second))}}
		_, err = s.admin.CoreV1().Pods(s.namespace).UpdateStatus(s.Context(), pod, metav1.UpdateOptions{})
		s.check(err)
	}
	_, err = s.admin.CoreV1().ConfigMaps(s.namespace).Create(s.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"surgewall.io/policy": "true"}}, Data: data,
	}, metav1.CreateOptions{})
	s.check(err)
}

func (s *stage) replicas(name string) int {
	s.Helper()
	scale, err := s.admin.AppsV1().Deployments(s.namespace).GetScale(s.Context(), name, metav1.GetOptions{})
	s.check(err)
	return int(scale.Spec.Replicas)
}

// controller runs the binary's program, as its main does, and returns the URLs
// of its API and its admin listener.
func (s *stage) controller() (api, admin string, stop func()) {
	s.Helper()
	listener, adminListener := testport.Free(s.T), testport.Free(s.T)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int, 1)
	args := []string{
		"--listen", listener, "--admin-listen", adminListener, "--kubeconfig", s.server.Kubeconfig(s.T, "user-1", s.namespace), "--replica", "c-1",
		"--amqp-url", s.broker.URL("controller", "secret", s.vhost),
	}
	log := new(lines)
	s.said = log
	go func() {
		done <- program().Run(ctx, args, func(string) (string, bool) { return "", false }, log, log)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if code := <-done; code != 0 {
			s.Errorf("exit %d:\n%s", code, log.String())
		}
	})
	s.Cleanup(func() {
		stop()
		if s.Failed() {
			s.Log(log.String())
		}
	})
	return "http://" + listener, "http://" + adminListener, stop
}

type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.b.Write(p) }
func (l *lines) String() string              { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

// ask reads JSON, or only the status code where there is no value to fill.
func ask(url string, into any) (int, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if into == nil {
		return response.StatusCode, nil
	}
	return response.StatusCode, json.NewDecoder(response.Body).Decode(into)
}

func (s *stage) status(api, name string) (status fleet.Status) {
	s.Helper()
	if _, err := ask(api+"/v1/fleets/"+name, &status); err != nil && !errors.Is(err, context.Canceled) {
		return fleet.Status{}
	}
	return status
}

func (s *stage) eventually(what string, limit time.Duration, done func() bool) time.Duration {
	s.Helper()
	start := time.Now()
	for !done() {
		if time.Since(start) > limit {
			s.Fatalf("after %v still not: %s", limit, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(start)
}

// knows waits until a controller has a line through so many seconds of the load of a fleet, and tells a rise from its noise.
func (s *stage) knows(api, name string, seconds float64) {
	s.Helper()
	s.eventually("the level of "+name+" is known", 2*time.Minute, func() bool {
		d := s.status(api, name).Decision
		return d != nil && d.Inputs != nil && d.Inputs.Signal == "LIVE" && d.Inputs.SpanSeconds >= seconds
	})
}

// edge speaks for one edge over a connection of its own: once a second, and at
// once when the requests of 250 ms jump, like the real one.
type edge struct {
	rps   atomic.Uint64 // as math.Float64bits
	muted atomic.Bool
}

func (e *edge) set(rps float64) { e.rps.Store(math.Float64bits(rps)) }

func (s *stage) edge(fleetName string, index int, rps float64) *edge {
	s.Helper()
	e := new(edge)
	e.set(rps)
	publisher, err := rabbitmq.NewPublisher(rabbitmq.Options{URL: s.broker.URL(fleetName, "secret", s.vhost), Logger: zerolog.Nop()})
	s.check(err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = publisher.Run(ctx) })
	running.Go(func() { e.report(ctx, fleetName, fmt.Sprintf("%s-%d", fleetName, index), publisher) })
	s.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return e
}

func (e *edge) report(ctx context.Context, fleetName, pod string, to *rabbitmq.Publisher) {
	const slice = 50 * time.Millisecond
	random := rand.New(rand.NewPCG(uint64(len(pod)), uint64(time.Now().UnixNano())))
	next := time.Now().Add(time.Duration(random.Int64N(int64(time.Second))))
	windowStart, last, level := time.Now(), time.Now(), math.Float64frombits(e.rps.Load())
	var count, remainder float64
	ticker := time.NewTicker(slice)
	defer ticker.Stop()
	for seq := uint64(0); ; {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			mean := math.Float64frombits(e.rps.Load()) * now.Sub(last).Seconds()
			last = now
			arrived := max(0, mean+math.Sqrt(mean)*random.NormFloat64()+remainder)
			remainder = arrived - math.Floor(arrived)
			count += math.Floor(arrived)
			window := now.Sub(windowStart)
			want := level * window.Seconds()
			early := window >= 250*time.Millisecond && count > 1.5*want+4*math.Sqrt(max(want, 1))
			if !early && now.Before(next) {
				continue
			}
			if !now.Before(next) {
				next = next.Add(time.Second)
			}
			seq++
			m, err := events.EncodeRate(events.Attributes{Source: events.Source(fleetName, pod), BootID: "boot-0001", Seq: seq},
				events.Rate{WindowMS: max(1, window.Milliseconds()), Offered: uint64(count), Status: events.StatusCounts{Hit: uint64(count)}, Early: early})
			if err == nil && !e.muted.Load() {
				to.Publish(m)
			}
			level += 0.5 * (count/window.Seconds() - level)
			count, windowStart = 0, now
		}
	}
}
