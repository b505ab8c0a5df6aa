package fleet

import (
	"fmt"
	"strings"

	"github.com/surgewall/surgewall/controllers/autoscale"
	"github.com/surgewall/surgewall/controllers/policy"
	"github.com/surgewall/surgewall/events"
)

// announce tells everybody about a decision: one log line, one Kubernetes Event
// where something was written or failed, one message on the bus.
func (f *Fleet) announce(p policy.Policy, rec Record, trace string) {
	line := f.logger.Info()
	if rec.Error != "" {
		line = f.logger.Warn().Str("error", rec.Error)
	}
	line.Int("from", rec.From).Int("to", rec.To).Int("desired", rec.Desired).Str("mode", rec.Mode).Str("path", rec.Path).
		Strs("limits", rec.Limits).Str("reason", rec.Reason).Float64("offered_rps", rec.Load.OfferedRPS).
		Float64("fast_rps", rec.Load.FastRPS).Bool("written", rec.Written).Msg("decision")

	switch {
	case rec.Written:
		f.options.Recorder.OnDeployment(p.TargetDeployment, false, "SuccessfulRescale",
			fmt.Sprintf("New size: %d (was %d); reason: %s", rec.To, rec.From, rec.Reason))
	case rec.Error != "":
		f.options.Recorder.OnDeployment(p.TargetDeployment, true, "FailedRescale",
			fmt.Sprintf("New size: %d (is %d); reason: %s; error: %s", rec.To, rec.From, rec.Reason, rec.Error))
	case rec.Mode == string(policy.Observe) && rec.To != rec.From:
		f.options.Recorder.OnDeployment(p.TargetDeployment, false, "ObservedRescale",
			fmt.Sprintf("Would change size to %d (is %d; mode observe); reason: %s", rec.To, rec.From, rec.Reason))
	}
	if f.options.Publisher == nil {
		return
	}
	attributes := f.options.Sender.Next(f.options.Now())
	attributes.TraceParent = trace
	m, err := events.EncodeDecision(attributes, rec.event())
	if err != nil {
		f.logger.Error().Err(err).Msg("decision cannot be published")
		return
	}
	f.options.Publisher.Publish(m)
}

// shown remembers what was announced, so that a decision which is made every
// second is told once.
type shown struct {
	key  string
	to   int
	path autoscale.Path
}

// isNews reports whether a decision is worth telling: it was written or failed,
// it wants something new, or a freeze or a rise began or ended.
func (s *shown) isNews(rec Record) bool {
	path := autoscale.Path(rec.Path)
	special := func(p autoscale.Path) autoscale.Path {
		switch p {
		case autoscale.PathSpike, autoscale.PathShift:
			return autoscale.PathSpike // one rise may be seen as both in turn
		case autoscale.PathFreeze, autoscale.PathPin:
			return p
		}
		return ""
	}
	turned := special(path) != special(s.path)
	s.path = path
	key := ""
	if rec.To != rec.From {
		key = fmt.Sprint(rec.From, rec.To > rec.From, rec.Mode, strings.Join(rec.Limits, ","), rec.Error)
	}
	// A wish that is not carried out trembles with the load: it is told again when
	// it moved by more than a quarter.
	changed := key != s.key || 4*max(rec.To-s.to, s.to-rec.To) > s.to
	if changed {
		s.key, s.to = key, rec.To
	}
	return rec.Written || turned || (changed && key != "")
}
