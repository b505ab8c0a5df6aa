package fleet

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/controllers/autoscale"
)

func told(r *room) string { return strings.Join(r.diary.take(), "\n") }

// TestModeFloorRaisesAnAutoscaler works with an HPA: its minReplicas follow the load up and down, its maxReplicas bound them, and the scale itself is
// never written.
func TestModeFloorRaisesAnAutoscaler(t *testing.T) {
	r := newRoom()
	r.cluster.hpa = &autoscale.Autoscaler{Kind: autoscale.HorizontalPodAutoscaler, Name: "edge", Min: 4, Max: 12}
	r.SetPolicy("edge", "7", map[string]string{"mode": "floor", "max-replicas": "40", "scale-down-hold": "30s", "stable-window": "30s"})
	r.ticks(20)
	r.load.set(autoscale.Live, 1000)
	r.ticks(1)
	if !slices.Equal(r.cluster.floors, []int{10}) || len(r.cluster.writes) != 0 {
		t.Fatalf("wrote the floors %v and the scales %v", r.cluster.floors, r.cluster.writes)
	}
	r.cluster.edit(11) // the autoscaler's own metrics ask for one more: its business
	r.Edited("edge", "kube-controller-manager")
	r.load.set(autoscale.Live, 3000)
	r.ticks(2)
	if got := r.cluster.hpa.Min; got != 12 {
		t.Errorf("minReplicas %d, want the 12 of maxReplicas", got)
	}
	if c := find(t, r, ScalingLimited); c.Status != "True" || c.Reason != "TooManyReplicas" {
		t.Errorf("condition %+v", c)
	}
	r.load.set(autoscale.Live, 390)
	r.ticks(300)
	if got := r.cluster.hpa.Min; got != 4 {
		t.Errorf("minReplicas %d after the rush, want 4", got)
	}
	if len(r.cluster.writes) != 0 || find(t, r, Contended).Status != "False" || find(t, r, ScaleWritten).Status != "True" {
		t.Errorf("scales %v, conditions %+v", r.cluster.writes, r.fleet("edge").conds)
	}

	r.cluster.replicas = 0 // switched off by hand
	r.load.set(autoscale.Live, 3000)
	before := len(r.cluster.floors)
	r.ticks(5)
	if len(r.cluster.floors) != before {
		t.Errorf("wrote %v to an autoscaler that is switched off", r.cluster.floors)
	}
}

func TestModeFloorNeedsOneAutoscaler(t *testing.T) {
	hpa := autoscale.Autoscaler{Kind: autoscale.HorizontalPodAutoscaler, Name: "edge", Min: 4, Max: 12}
	for want, others := range map[string][]autoscale.Autoscaler{
		"and there is none": nil,
		"found: HorizontalPodAutoscaler edge, HorizontalPodAutoscaler old": {hpa, {Kind: autoscale.HorizontalPodAutoscaler, Name: "old", Min: 1, Max: 9}},
		"found: HorizontalPodAutoscaler edge, ScaledObject edge":           {hpa, {Kind: "ScaledObject", Name: "edge"}},
	} {
		r := newRoom()
		r.cluster.others = others
		r.SetPolicy("edge", "7", map[string]string{"mode": "floor"})
		r.ticks(20)
		r.load.set(autoscale.Live, 1000)
		r.ticks(2)
		if c := find(t, r, AmbiguousScaler); c.Status != "True" || c.Reason != "NoOneAutoscaler" || !strings.Contains(c.Message, want) {
			t.Errorf("condition %+v, want %q", c, want)
		}
		if len(r.cluster.writes)+len(r.cluster.floors) != 0 {
			t.Errorf("%s: wrote %v %v", want, r.cluster.writes, r.cluster.floors)
		}
	}
}

func TestAnotherAutoscalerStopsModeDirect(t *testing.T) {
	r := newRoom()
	r.cluster.others = []autoscale.Autoscaler{{Kind: "ScaledObject", Name: "edge-keda"}}
	r.SetPolicy("edge", "7", nil)
	r.ticks(20)
	r.load.set(autoscale.Live, 1000)
	r.ticks(2)
	if c := find(t, r, AmbiguousScaler); c.Status != "True" || !strings.Contains(c.Message, "ScaledObject edge-keda") || len(r.cluster.writes) != 0 {
		t.Errorf("condition %+v, wrote %v", c, r.cluster.writes)
	}
	if lines := told(r); !strings.Contains(lines, "Deployment/edge true AmbiguousScaler nothing is written in mode direct") {
		t.Errorf("events %s", lines)
	}
	r.cluster.others = nil
	r.ticks(1)
	if lines := told(r); !strings.Contains(lines, "Deployment/edge false NotAmbiguousScaler") || !slices.Equal(r.cluster.writes, []int{10}) {
		t.Errorf("events %s, wrote %v", lines, r.cluster.writes)
	}
}

// TestAFightOverTheReplicas: after three edits by others within five minutes nothing is removed and raises are rare, until it is quiet.
func TestAFightOverTheReplicas(t *testing.T) {
	r := newRoom()
	r.SetPolicy("edge", "7", map[string]string{"scale-down-hold": "0s", "stable-window": "5s"})
	r.ticks(60)
	for range 3 {
		r.cluster.edit(9)
		r.Edited("edge", "kubectl-scale")
		r.ticks(2)
	}
	r.ticks(1)
	if c := find(t, r, Contended); c.Status != "True" || !strings.Contains(c.Message, "3 times within 5m0s by kubectl-scale") {
		t.Errorf("condition %+v", c)
	}
	if lines := told(r); !strings.Contains(lines, "Deployment/edge true Contended the replicas were changed 3 times") {
		t.Errorf("events %s", lines)
	}
	before := len(r.cluster.writes)
	r.ticks(60)
	if len(r.cluster.writes) != before || r.cluster.replicas != 9 {
		t.Errorf("wrote %v in a fight", r.cluster.writes[before:])
	}
	r.load.set(autoscale.Live, 1800)
	r.ticks(5)
	if got := r.cluster.written(); len(got) != before+1 || r.cluster.replicas < 15 {
		t.Errorf("wrote %v for a spike in a fight, want one raise", got[before:])
	}
	r.load.set(autoscale.Live, 390)
	r.ticks(400)
	if r.cluster.replicas > 5 || find(t, r, Contended).Status != "False" {
		t.Errorf("%d edges after the fight, %+v", r.cluster.replicas, find(t, r, Contended))
	}
}

func TestConditionsAreToldOnceTheyLast(t *testing.T) {
	r := newRoom()
	r.SetPolicy("edge", "7", nil)
	r.ticks(20)
	told(r)
	r.load.set(autoscale.Blind, 0)
	r.cluster.pending = 2
	r.ticks(3)
	if lines := told(r); strings.Contains(lines, "Blind") || strings.Contains(lines, "PodsPending") {
		t.Errorf("told too soon: %s", lines)
	}
	r.ticks(10)
	lines := told(r)
	if !strings.Contains(lines, "Deployment/edge true Blind") || !strings.Contains(lines, "Deployment/edge true PodsPending 2 of the pods") || strings.Count(lines, "true Blind") != 1 {
		t.Errorf("events %s", lines)
	}
	r.load.set(autoscale.Live, 390)
	r.cluster.pending = 0
	r.ticks(1)
	if lines := told(r); !strings.Contains(lines, "false NotBlind") || !strings.Contains(lines, "false NotPodsPending") {
		t.Errorf("events %s", lines)
	}
}

func TestAnnotationsOfTheDeploymentCount(t *testing.T) {
	r := newRoom()
	r.SetPolicy("edge", "7", nil)
	r.ticks(20)
	r.cluster.annotations = map[string]string{"surgewall.io/hold": "7;until=" + r.now.Add(time.Minute).Format(time.RFC3339), "surgewall.io/paused": "true"}
	r.ticks(1)
	if r.cluster.replicas != 7 {
		t.Errorf("%d edges, want the 7 of the annotation", r.cluster.replicas)
	}
	if c := find(t, r, AnnotationsRefused); c.Status != "True" || !strings.Contains(c.Message, `surgewall.io/paused: "true" is no known annotation`) {
		t.Errorf("condition %+v", c)
	}
	r.cluster.annotations = map[string]string{"surgewall.io/pause": "true"}
	r.load.set(autoscale.Live, 1900)
	r.ticks(5)
	if s, _ := r.Status("edge"); r.cluster.replicas != 7 || s.Decision.Path != "freeze" {
		t.Errorf("%d edges while it is paused: %s", r.cluster.replicas, s.Decision.Reason)
	}
	r.cluster.annotations = nil
	r.ticks(1)
	if r.cluster.replicas < 15 {
		t.Errorf("%d edges after the pause", r.cluster.replicas)
	}
}

func TestNoEdgeIsRemovedDuringARollout(t *testing.T) {
	r := newRoom()
	r.SetPolicy("edge", "7", map[string]string{"scale-down-hold": "0s", "stable-window": "5s", "min-replicas": "1"})
	r.cluster.rollout = true
	r.load.set(autoscale.Live, 90)
	r.ticks(60)
	if s, _ := r.Status("edge"); r.cluster.replicas != 4 || !slices.Contains(s.Decision.Limits, "rollout") {
		t.Errorf("%d edges, %v", r.cluster.replicas, s.Decision.Limits)
	}
	r.cluster.rollout = false
	r.ticks(60)
	if r.cluster.replicas != 1 {
		t.Errorf("%d edges after the rollout", r.cluster.replicas)
	}
}
