package kube_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/surgewall/surgewall/controllers/kube"
	"github.com/surgewall/surgewall/controllers/plan"
)

func (p *place) plans() {
	p.t.Helper()
	_, err := p.admin.CoreV1().ConfigMaps(p.namespace).Create(p.t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "surgewall-plans", Labels: map[string]string{"app": "surgewall"}},
	}, metav1.CreateOptions{})
	p.check(err)
}

func TestPlansAreKeptInOneConfigMap(t *testing.T) {
	p := newPlace(t)
	seen := make(chan map[string]string, 10)
	c := p.cluster("user-1", kube.Handlers{Plans: func(texts map[string]string) { seen <- texts }})
	ctx := t.Context()
	var answer *kube.Error
	if _, _, err := c.Plans(ctx); !errors.As(err, &answer) || !strings.Contains(err.Error(), "surgewall-plans has to exist") {
		t.Errorf("without the ConfigMap: %v", err)
	}
	p.plans()
	received(t, "the empty ConfigMap", seen)
	texts, version, err := c.Plans(ctx)
	if err != nil || len(texts) != 0 {
		t.Fatalf("%v, %v", texts, err)
	}
	p.check(c.SetPlans(ctx, version, map[string]string{"edge": "{}"}))
	if texts = received(t, "the plans", seen); texts["edge"] != "{}" {
		t.Errorf("the watch shows %v", texts)
	}
	if err := c.SetPlans(ctx, version, map[string]string{"edge": "x"}); !errors.As(err, &answer) || !answer.Conflict() {
		t.Errorf("a write with an old version: %v", err)
	}
	object, err := p.admin.CoreV1().ConfigMaps(p.namespace).Get(ctx, "surgewall-plans", metav1.GetOptions{})
	p.check(err)
	if object.Labels["app"] != "surgewall" || object.Data["edge"] != "{}" {
		t.Errorf("the ConfigMap is %+v", object)
	}
}

// TestAPlanSurvivesARestart adds a plan through one controller and scales by it with another, under the Role of the chart. The first one writes no
// scale, however long it lives: its policy says observe.
func TestAPlanSurvivesARestart(t *testing.T) {
	p := newPlace(t)
	p.plans()
	p.deployment("surgewall-edge", ptr(int32(4)))
	data := map[string]string{"target-deployment": "surgewall-edge", "min-replicas": "1", "max-replicas": "40", "mode": "observe"}
	p.policy("edge", data)
	first := p.controller("user-1")
	eventually(t, "user-1 leads with a policy", patience, func() bool { s, ok := first.Status("edge"); return ok && s.IsLeader && s.Decision != nil })
	p.check(first.AddPlan(t.Context(), "edge", plan.Plan{Name: "derby", At: time.Now().Add(-time.Minute), For: plan.Duration(time.Hour), Floor: 17}, false))
	// Events are sent in the background, by who lives.
	eventually(t, "the Event of the plan", patience, func() bool {
		return strings.Contains(strings.Join(p.described("ConfigMap", "edge"), "\n"), "Normal PlanAdded derby: at ")
	})
	first.stop()
	if got := p.scale("surgewall-edge"); got != 4 {
		t.Errorf("%d replicas before the restart", got)
	}

	data["mode"] = "direct"
	p.edit("edge", data)
	second := p.controller("user-2")
	took := eventually(t, "user-2 scales by the plan", patience, func() bool { return p.scale("surgewall-edge") == 17 })
	reason := ""
	eventually(t, "user-2 says so", patience, func() bool {
		s, _ := second.Status("edge")
		if s.LastChange != nil {
			reason = s.LastChange.Reason
		}
		return reason != ""
	})
	t.Logf("%v after the start: %s", took, reason)
	if !strings.HasPrefix(reason, "plan: derby asks for 17 edges") {
		t.Errorf("reason %q", reason)
	}
}
