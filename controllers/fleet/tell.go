package fleet

import "time"

// settle is how long a bad condition has to last before it is told: the first
// seconds of a controller, and a report that was late, are no news. What nobody
// but a person changes is told at once.
func settle(kind string) time.Duration {
	switch kind {
	case TargetMissing, AmbiguousScaler, Contended, AnnotationsRefused:
		return 0
	}
	return 5 * time.Second
}

// tellConditions shows each condition that is bad for long enough as one
// Kubernetes Event, and its end as another: on the Deployment, or on the
// ConfigMap where there is no Deployment. PolicyAccepted and ScaleWritten have
// Events of their own.
func (f *Fleet) tellConditions(deployment string, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conds {
		if c.Type == PolicyAccepted || c.Type == ScaleWritten {
			continue
		}
		told := f.told[c.Type]
		bad := !c.Good()
		switch {
		case bad && told != c.Reason && now.Sub(c.Since) >= settle(c.Type):
			f.told[c.Type] = c.Reason
		case !bad && told != "":
			delete(f.told, c.Type)
		default:
			continue
		}
		if c.Type == TargetMissing || !f.view.found {
			f.options.Recorder.OnPolicy(f.name, bad, c.event(), clip(c.Message))
		} else {
			f.options.Recorder.OnDeployment(deployment, bad, c.event(), clip(c.Message))
		}
	}
}

// event is the reason of the Event of a condition.
func (c Condition) event() string {
	if c.Good() {
		return "Not" + c.Type
	}
	return c.Type
}
