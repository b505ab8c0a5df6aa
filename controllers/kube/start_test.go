package kube

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestTheStartOfAPodIsThatOfOnesThatWereAdded(t *testing.T) {
	began := time.Date(2026, 6, 14, 20, 0, 0, 0, time.UTC)
	pod := func(created, took int) *corev1.Pod {
		p := &corev1.Pod{}
		p.CreationTimestamp = metav1.NewTime(began.Add(time.Duration(created) * time.Second))
		if took >= 0 {
			p.Status.Conditions = []corev1.PodCondition{{
				Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(p.CreationTimestamp.Add(time.Duration(took) * time.Second)),
			}}
		}
		return p
	}
	for name, c := range map[string]struct {
		pods []*corev1.Pod
		want time.Duration
	}{
		"nobody":                             {nil, 0},
		"nobody is Ready":                    {[]*corev1.Pod{pod(0, -1)}, 0},
		"the installation alone":             {[]*corev1.Pod{pod(0, 26), pod(0, 24), pod(1, 27)}, 24 * time.Second},
		"one was added":                      {[]*corev1.Pod{pod(0, 26), pod(0, 24), pod(300, 4)}, 4 * time.Second},
		"some were added, one of them slow":  {[]*corev1.Pod{pod(0, 26), pod(300, 4), pod(300, 5), pod(900, 9)}, 9 * time.Second},
		"readiness was lost and found again": {[]*corev1.Pod{pod(0, 26), pod(60, 4), pod(60, 700)}, 4 * time.Second},
		"at once":                            {[]*corev1.Pod{pod(0, 0)}, time.Second},
	} {
		if got := startTime(c.pods); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
