package kube_test

import (
	"errors"
	"strings"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/surgewall/surgewall/controllers/kube"
)

func (p *place) autoscaler(name, deployment string, least, most int32) {
	p.t.Helper()
	_, err := p.admin.AutoscalingV2().HorizontalPodAutoscalers(p.namespace).Create(p.t.Context(), &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: deployment},
			MinReplicas:    &least, MaxReplicas: most,
		},
	}, metav1.CreateOptions{})
	p.check(err)
}

// floorRights gives the users what the chart gives where a fleet is in mode floor.
func (p *place) floorRights() {
	p.t.Helper()
	_, err := p.admin.RbacV1().Roles(p.namespace).Create(p.t.Context(), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "floor"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"autoscaling"}, Resources: []string{"horizontalpodautoscalers"}, Verbs: []string{"get", "update"}}},
	}, metav1.CreateOptions{})
	p.check(err)
	_, err = p.admin.RbacV1().RoleBindings(p.namespace).Create(p.t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "floor"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "floor"},
		Subjects: []rbacv1.Subject{{Kind: "User", Name: "user-1"}},
	}, metav1.CreateOptions{})
	p.check(err)
}

func (p *place) least(name string) int32 {
	p.t.Helper()
	h, err := p.admin.AutoscalingV2().HorizontalPodAutoscalers(p.namespace).Get(p.t.Context(), name, metav1.GetOptions{})
	p.check(err)
	return *h.Spec.MinReplicas
}

// TestModeFloorOnARealAutoscaler: without the right it says so, with it minReplicas is written and the scale is not.
func TestModeFloorOnARealAutoscaler(t *testing.T) {
	p := newPlace(t)
	p.deployment("surgewall-edge", ptr(int32(4)))
	p.autoscaler("edge", "surgewall-edge", 2, 30)
	p.policy("edge", map[string]string{"target-deployment": "surgewall-edge", "mode": "floor", "min-replicas": "2", "max-replicas": "40"})
	c := p.controller("user-1")
	var failed string
	eventually(t, "a write without the right fails and says so", patience, func() bool {
		s, _ := c.Status("edge")
		for _, x := range s.Conditions {
			if x.Type == "ScaleWritten" && x.Reason == "WriteFailed" {
				failed = x.Message
			}
		}
		return failed != ""
	})
	if !strings.Contains(failed, "minReplicas of the HorizontalPodAutoscaler edge") || !strings.Contains(failed, "cannot get resource \"horizontalpodautoscalers\"") {
		t.Errorf("condition %q", failed)
	}
	p.floorRights()
	took := eventually(t, "minReplicas follow the load", patience, func() bool { return p.least("edge") >= 4 })
	t.Logf("minReplicas %d, %v after the right was given", p.least("edge"), took)
	if got := p.scale("surgewall-edge"); got != 4 {
		t.Errorf("the scale was written too: %d", got)
	}
}

func TestAnHPAOnTheTargetStopsModeDirect(t *testing.T) {
	p := newPlace(t)
	p.deployment("surgewall-edge", ptr(int32(2)))
	p.autoscaler("theirs", "surgewall-edge", 1, 9)
	p.policy("edge", map[string]string{"target-deployment": "surgewall-edge", "min-replicas": "2", "max-replicas": "40"})
	c := p.controller("user-1")
	eventually(t, "the condition AmbiguousScaler and its Event", patience, func() bool {
		s, _ := c.Status("edge")
		for _, x := range s.Conditions {
			if x.Type == "AmbiguousScaler" && x.Status == "True" && strings.Contains(x.Message, "HorizontalPodAutoscaler theirs") {
				return strings.Contains(strings.Join(p.described("Deployment", "surgewall-edge"), "\n"), "Warning AmbiguousScaler")
			}
		}
		return false
	})
	if got := p.scale("surgewall-edge"); got != 2 {
		t.Errorf("%d replicas were written against another autoscaler", got)
	}
	p.check(p.admin.AutoscalingV2().HorizontalPodAutoscalers(p.namespace).Delete(t.Context(), "theirs", metav1.DeleteOptions{}))
	eventually(t, "the load is followed once it is gone", patience, func() bool { return p.scale("surgewall-edge") >= 4 })
}

// TestWhoEditedTheReplicasIsNamed: the author of each change, and not ourselves.
func TestWhoEditedTheReplicasIsNamed(t *testing.T) {
	p := newPlace(t)
	p.deployment("surgewall-edge", ptr(int32(3)))
	by := make(chan string, 10)
	c := p.cluster("user-1", kube.Handlers{Edited: func(name, who string) { by <- name + " " + who }})
	ctx := t.Context()
	_, version, err := c.Scale(ctx, "surgewall-edge")
	p.check(err)
	p.check(c.SetScale(ctx, "surgewall-edge", version, 5))
	_, err = p.admin.AppsV1().Deployments(p.namespace).Patch(ctx, "surgewall-edge", types.MergePatchType, []byte(`{"spec":{"replicas":8}}`),
		metav1.PatchOptions{FieldManager: "kubectl-scale"}, "scale")
	p.check(err)
	if got := received(t, "an edit by somebody else", by); got != "surgewall-edge kubectl-scale" {
		t.Errorf("edited by %q", got)
	}
	d, err := p.admin.AppsV1().Deployments(p.namespace).Get(ctx, "surgewall-edge", metav1.GetOptions{})
	p.check(err)
	d.Annotations = map[string]string{"surgewall.io/pause": "true", "other": "x"}
	_, err = p.admin.AppsV1().Deployments(p.namespace).Update(ctx, d, metav1.UpdateOptions{})
	p.check(err)
	eventually(t, "our annotations, and no others", patience, func() bool {
		target, err := c.Deployment("surgewall-edge")
		return err == nil && len(target.Annotations) == 1 && target.Annotations["surgewall.io/pause"] == "true"
	})
	if len(by) != 0 {
		t.Errorf("more edits were told: %s", <-by)
	}
}

func TestAFloorIsWrittenWithItsVersion(t *testing.T) {
	p := newPlace(t)
	p.floorRights()
	p.autoscaler("edge", "surgewall-edge", 2, 30)
	c := p.cluster("user-1", kube.Handlers{})
	least, version, err := c.Floor(t.Context(), "edge")
	if err != nil || least != 2 {
		t.Fatalf("%d, %v", least, err)
	}
	p.check(c.SetFloor(t.Context(), "edge", version, 7))
	var answer *kube.Error
	if err := c.SetFloor(t.Context(), "edge", version, 9); !errors.As(err, &answer) || !answer.Conflict() {
		t.Errorf("a write with an old version: %v", err)
	}
	if got := p.least("edge"); got != 7 {
		t.Errorf("minReplicas %d", got)
	}
}

func TestPodsThatNoNodeTakesArePending(t *testing.T) {
	p := newPlace(t)
	p.pod("edge-1", true)
	p.pod("edge-2", false)
	pod, err := p.admin.CoreV1().Pods(p.namespace).Get(t.Context(), "edge-2", metav1.GetOptions{})
	p.check(err)
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/3 nodes are available"})
	_, err = p.admin.CoreV1().Pods(p.namespace).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{})
	p.check(err)
	c := p.cluster("user-1", kube.Handlers{})
	if n, why := c.Pending("edge"); n != 1 || why != "edge-2: Unschedulable: 0/3 nodes are available" {
		t.Errorf("%d pending: %s", n, why)
	}
}
