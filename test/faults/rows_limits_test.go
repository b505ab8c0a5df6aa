package faults

import (
	"fmt"
	"strings"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestRow26CannotGrow(t *testing.T) {
	r := begin(t, 26)
	w := newWorld(r, "edge")
	const most = 5
	w.fleet("edge", 3, quickly(map[string]string{"max-replicas": fmt.Sprint(most)}))
	var speakers []*speaker
	for i := range 3 {
		speakers = append(speakers, w.speakTo(w.broker.Host(), w.broker.Port(), "edge", i, 95, 0))
	}
	c := w.controller("c-1")
	c.leads("edge")
	c.knows("edge", calmRPS)
	setAll(speakers, 1000)
	eventually(r, "the maximum", time.Minute, func() bool { return w.replicas("edge") == most })
	eventually(r, "ScalingLimited", time.Minute, func() bool {
		holds, reason := condition(c.status("edge"), "ScalingLimited")
		return holds && reason == "TooManyReplicas"
	})
	// No node takes the two that were added.
	for i := 3; i < most; i++ {
		w.pod("edge", i, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/3 nodes are available"})
	}
	var why string
	eventually(r, "PodsPending", time.Minute, func() bool {
		for _, x := range c.status("edge").Conditions {
			if x.Type == "PodsPending" && x.Status == "True" {
				why = x.Message
			}
		}
		return why != ""
	})
	if !strings.Contains(why, "Unschedulable") {
		r.Errorf("PodsPending says %q", why)
	}
	_, before := c.api.written()
	throughout(r, "nothing more is written", 3*time.Second, func() bool {
		_, n := c.api.written()
		return n == before && w.replicas("edge") == most
	})
	r.show("%d edges at a load for 30: ScalingLimited and PodsPending are shown (%s), nothing more is written", most, why)
}

func TestRow28AnotherAutoscaler(t *testing.T) {
	r := begin(t, 28)
	w, speakers, c := led(r)
	least := int32(1)
	autoscalers := w.admin.AutoscalingV2().HorizontalPodAutoscalers(w.namespace)
	_, err := autoscalers.Create(r.Context(), &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "theirs"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "edge"}, MinReplicas: &least, MaxReplicas: 9,
		},
	}, metav1.CreateOptions{})
	w.check(err)
	eventually(r, "AmbiguousScaler", time.Minute, func() bool {
		holds, reason := condition(c.status("edge"), "AmbiguousScaler")
		return holds && reason == "OtherAutoscaler"
	})
	_, before := c.api.written()
	setAll(speakers, 500)
	c.knows("edge", 1500)
	throughout(r, "nothing is written beside another autoscaler", 3*time.Second, func() bool {
		_, n := c.api.written()
		return n == before && w.replicas("edge") == 3
	})
	w.check(autoscalers.Delete(r.Context(), "theirs", metav1.DeleteOptions{}))
	took := eventually(r, "the load is followed once it is gone", time.Minute, func() bool { return w.replicas("edge") >= 12 })
	r.show("AmbiguousScaler is shown and nothing written at a fivefold load; once the HorizontalPodAutoscaler was gone, the write came after %v", took.Round(10*time.Millisecond))
}
