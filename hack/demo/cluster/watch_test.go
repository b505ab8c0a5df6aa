package cluster

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/surgewall/surgewall/hack/demo/api"
)

func deployment(version string, replicas int32) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: Deployment, Namespace: Namespace, ResourceVersion: version},
		Spec:       appsv1.DeploymentSpec{Replicas: &replicas},
	}
}

// TestWatchGoesOnAfterItsVersionHasExpired has an API server that answers 410 to every watch from a version, as one does after a while, and
// the state to a watch from none.
func TestWatchGoesOnAfterItsVersionHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var versions []string
		kube := fake.NewClientset(deployment("7", 2))
		kube.PrependWatchReactor("deployments", func(action clienttesting.Action) (bool, watch.Interface, error) {
			version := action.(clienttesting.WatchActionImpl).ListOptions.ResourceVersion
			mu.Lock()
			defer mu.Unlock()
			versions = append(versions, version)
			w := watch.NewFakeWithChanSize(1, false)
			// A loop without a pause would stop the clock of this test.
			if version == "" || len(versions) > 100 {
				context.AfterFunc(t.Context(), w.Stop) // as the real one ends with its request
				w.Add(deployment("9", 6))
				return true, w, nil
			}
			w.Error(&metav1.Status{Code: http.StatusGone, Reason: metav1.StatusReasonExpired})
			w.Stop()
			return true, w, nil
		})
		c := &Cluster{Kube: kube}
		line, err := c.Watch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(versions, []string{"7", ""}) {
			t.Errorf("watches from the versions %q", versions[:min(len(versions), 10)])
		}
		if line.Now().Spec != 6 {
			t.Errorf("the timeline stands still: %+v", line.All())
		}
	})
}

// TestAWatchThatEndsAtOnceIsNoBusyLoop: the version is still good, the connection is not.
func TestAWatchThatEndsAtOnceIsNoBusyLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		watches := 0
		kube := fake.NewClientset(deployment("7", 2))
		kube.PrependWatchReactor("deployments", func(clienttesting.Action) (bool, watch.Interface, error) {
			mu.Lock()
			defer mu.Unlock()
			// A loop without a pause would stop the clock of this test.
			w := watch.NewFake()
			if watches++; watches > 100 {
				context.AfterFunc(t.Context(), w.Stop)
				return true, w, nil
			}
			w.Stop()
			return true, w, nil
		})
		c := &Cluster{Kube: kube}
		if _, err := c.Watch(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		mu.Lock()
		defer mu.Unlock()
		if watches < 2 || watches > 6 {
			t.Errorf("%d watches within a second", watches)
		}
	})
}

// TestLeaderIsAskedForUntilItAnswers has a Service that leads to a standby twice before it leads to the leader.
func TestLeaderIsAskedForUntilItAnswers(t *testing.T) {
	answers := []string{`{"leader": "b", "is_leader": false, "signal": {"lost_events": 90}}`, `{"leader": "b", "is_leader": false}`, `{"leader": "b", "is_leader": true, "signal": {"lost_events": 3}}`}
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/"+Fleet) {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.Write([]byte(answers[min(asked, len(answers)-1)]))
		asked++
	}))
	defer s.Close()
	c := &Cluster{Controller: api.Controller(s.URL)}
	f, err := c.Leader(t.Context())
	if err != nil || !f.IsLeader || f.Leader != "b" || f.Signal.Lost != 3 || asked != 3 {
		t.Errorf("after %d questions %+v, %v", asked, f, err)
	}
}
