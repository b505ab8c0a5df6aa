package autoscale

// Target is what the watches have shown last of a Deployment and of who scales
// it.
type Target struct {
	Spec, Ready int // replicas asked for, and Ready
	Annotations map[string]string
	Rollout     bool         // pods of an older template are being replaced
	Autoscalers []Autoscaler // whose target it is too
}

// Autoscaler is another one that scales a Deployment.
type Autoscaler struct {
	Kind, Name string
	Min, Max   int // of a HorizontalPodAutoscaler
}

// HorizontalPodAutoscaler is the kind of Autoscaler that mode floor works with.
const HorizontalPodAutoscaler = "HorizontalPodAutoscaler"
