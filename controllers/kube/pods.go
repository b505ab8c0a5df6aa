package kube

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const byFleet = "fleet"

func podFleets(o any) ([]string, error) {
	if pod, ok := o.(*corev1.Pod); ok {
		return []string{pod.Labels[FleetLabel]}, nil
	}
	return nil, nil
}

// Members calls each for every pod of the fleet that runs or starts, and reports
// whether the pods are known.
func (c *Cluster) Members(fleet string, each func(pod string, ready, leaving bool)) (known bool) {
	if !c.podsSeen() {
		return false
	}
	for _, m := range c.rosters.of(fleet, c.fleetPods).members {
		each(m.name, m.ready, m.leaving)
	}
	return true
}

// IsMember reports whether a pod of this name belongs to the fleet, and whether
// that is known.
func (c *Cluster) IsMember(fleet, pod string) (member, known bool) {
	if !c.podsSeen() {
		return false, false
	}
	object, ok, err := c.pods.GetStore().GetByKey(c.namespace + "/" + pod)
	if err != nil || !ok {
		return false, err == nil
	}
	p, ok := object.(*corev1.Pod)
	return ok && p.Labels[FleetLabel] == fleet && !finished(p), true
}

func (c *Cluster) fleetPods(fleet string) []*corev1.Pod {
	objects, err := c.pods.GetIndexer().ByIndex(byFleet, fleet)
	if err != nil {
		return nil // the index is ours: this is a fleet without pods
	}
	pods := make([]*corev1.Pod, 0, len(objects))
	for _, o := range objects {
		if pod, ok := o.(*corev1.Pod); ok && !finished(pod) {
			pods = append(pods, pod)
		}
	}
	return pods
}

func finished(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

func readySince(pod *corev1.Pod) time.Time {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return c.LastTransitionTime.Time
		}
	}
	return time.Time{}
}

// StartTime is the time from the creation of a pod of the fleet to its readiness
// that nine of ten pods keep which were added to others; 0 while none is Ready.
// Kubernetes counts it in whole seconds.
func (c *Cluster) StartTime(fleet string) time.Duration {
	return c.rosters.of(fleet, c.fleetPods).start
}

// slowStart is the age at which a pod that is not Ready is late.
const slowStart = 30 * time.Second

// Pending counts the pods of the fleet that no node takes, or that are late to
// become Ready, and says why of one of them.
func (c *Cluster) Pending(fleet string) (pods int, why string) {
	now := time.Now()
	for _, pod := range c.rosters.of(fleet, c.fleetPods).waiting {
		i := slices.IndexFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse
		})
		switch {
		case i >= 0:
			why = pod.Name + ": " + pod.Status.Conditions[i].Reason + ": " + pod.Status.Conditions[i].Message
		case now.Sub(pod.CreationTimestamp.Time) > slowStart:
			if why == "" {
				why = pod.Name + " is not Ready after " + now.Sub(pod.CreationTimestamp.Time).Round(time.Second).String()
			}
		default:
			continue
		}
		pods++
	}
	return pods, why
}
