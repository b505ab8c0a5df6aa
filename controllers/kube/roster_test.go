package kube

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var made = time.Date(2026, 6, 14, 20, 0, 0, 0, time.UTC)

// started is a pod that became Ready so long after it was made; never with 0.
func started(name string, after time.Duration) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(made)}}
	if after > 0 {
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(made.Add(after))}}
	}
	return pod
}

func TestARosterTellsWhoIsWhere(t *testing.T) {
	leaving, late := started("edge-2", 0), started("edge-1", 0)
	now := metav1.NewTime(made)
	leaving.DeletionTimestamp = &now
	pods := []*corev1.Pod{late, leaving, started("edge-3", time.Hour)} // it found its readiness again: no start
	for i := range 10 {
		pods = append(pods, started(fmt.Sprintf("edge-%d", 10+i), time.Duration(i+1)*time.Second))
	}
	r := newRoster(pods)
	if len(r.members) != len(pods) || r.members[0] != (member{"edge-1", false, false}) || r.members[1] != (member{"edge-2", false, true}) || r.members[2] != (member{"edge-3", true, false}) {
		t.Errorf("members %v", r.members)
	}
	if len(r.waiting) != 1 || r.waiting[0] != late {
		t.Errorf("waiting %v", r.waiting)
	}
	if r.start != startTime(pods) || r.start == 0 {
		t.Errorf("they start within %v, want %v", r.start, startTime(pods))
	}
	if r := newRoster(nil); r.start != 0 || len(r.members) != 0 {
		t.Errorf("of nobody: %+v", r)
	}
}

// TestARosterIsMadeAnewAfterEachChange also where the change comes while the pods are listed: the list may be that of before.
func TestARosterIsMadeAnewAfterEachChange(t *testing.T) {
	var r rosters
	lists := 0
	var meanwhile func()
	list := func(fleet string) []*corev1.Pod {
		lists++
		if meanwhile != nil {
			meanwhile()
		}
		return []*corev1.Pod{started(fmt.Sprintf("%s-%d", fleet, lists), 0)}
	}
	ask := func(fleet, want string) {
		t.Helper()
		if got := r.of(fleet, list).members[0].name; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	ask("edge", "edge-1")
	ask("edge", "edge-1")
	ask("news", "news-2")
	r.changed()
	ask("edge", "edge-3")
	ask("edge", "edge-3")
	ask("news", "news-4")
	r.changed()
	meanwhile = r.changed
	ask("edge", "edge-5")
	meanwhile = nil
	ask("edge", "edge-6")
	ask("edge", "edge-6")
	for i := range 2 * maxRosters {
		r.of(fmt.Sprintf("fleet-%d", i), list)
	}
	if len(r.fleets) > maxRosters {
		t.Errorf("%d fleets are kept", len(r.fleets))
	}
}
