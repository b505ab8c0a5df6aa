package kube

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// longestStart is the longest time that counts as a start: more of it is a pod
// that lost its readiness and found it again, or waited for a node.
const longestStart = 2 * time.Minute

// startTime is the time from the creation to the readiness that nine of ten of the
// pods keep that were added to others; 0 while none is Ready. Those that came first
// started together with all that they wait for (images, shields, the broker): they
// say too much, so while there are no others the quickest of them counts.
func startTime(pods []*corev1.Pod) time.Duration {
	var first time.Time // when the first of them was Ready
	for _, pod := range pods {
		if ready := readySince(pod); !ready.IsZero() && (first.IsZero() || ready.Before(first)) {
			first = ready
		}
	}
	var together, added []time.Duration
	for _, pod := range pods {
		ready, created := readySince(pod), pod.CreationTimestamp.Time
		start := ready.Sub(created)
		switch {
		case ready.IsZero() || start < 0 || start > longestStart:
		case created.Before(first):
			together = append(together, max(start, time.Second))
		default:
			added = append(added, max(start, time.Second))
		}
	}
	switch {
	case len(added) > 0:
		slices.Sort(added)
		return added[len(added)*9/10]
	case len(together) > 0:
		return slices.Min(together)
	}
	return 0
}
