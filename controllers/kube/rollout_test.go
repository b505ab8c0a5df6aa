package kube

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

func TestWhatARolloutIs(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status appsv1.DeploymentStatus
		paused bool
		want   bool
	}{
		{"at rest", appsv1.DeploymentStatus{Replicas: 10, UpdatedReplicas: 10, ReadyReplicas: 10}, false, false},
		{"scaled out", appsv1.DeploymentStatus{Replicas: 25, UpdatedReplicas: 25, ReadyReplicas: 10}, false, false},
		{"pods of two templates", appsv1.DeploymentStatus{Replicas: 12, UpdatedReplicas: 3, ReadyReplicas: 9}, false, true},
		{"the last old one goes", appsv1.DeploymentStatus{Replicas: 11, UpdatedReplicas: 10, ReadyReplicas: 10}, false, true},
		{"paused half way", appsv1.DeploymentStatus{Replicas: 12, UpdatedReplicas: 3, ReadyReplicas: 12}, true, false},
		{"stuck", appsv1.DeploymentStatus{Replicas: 12, UpdatedReplicas: 3, ReadyReplicas: 9, Conditions: []appsv1.DeploymentCondition{
			{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded"},
		}}, false, false},
	} {
		if got := rollsOut(&appsv1.Deployment{Spec: appsv1.DeploymentSpec{Paused: tc.paused}, Status: tc.status}); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}
