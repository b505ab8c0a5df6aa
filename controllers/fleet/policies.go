package fleet

import (
	"strings"
	"time"

	"github.com/surgewall/surgewall/controllers/policy"
)

// accepted is the policy in force, and what was wrong with a later one.
type accepted struct {
	policy.Policy
	resourceVersion string    // of the ConfigMap it came from; empty: the safe defaults
	at              time.Time // when it was taken
	problem         string    // one line; empty when the ConfigMap is the policy in force
	lines           []string  // the problem with one line for each reason
	notice          *notice   // not yet shown on the ConfigMap
}

// notice waits for the leader's next tick: only the leader shows Events, and at
// the start nobody leads.
type notice struct {
	at              time.Time
	warning         bool
	reason, message string
}

// noticeAge is how long a notice waits for a leader. What is older was shown by
// the leader of its time, and is no news of the one that takes over.
const noticeAge = time.Minute

// tellPolicy shows the notice that waits. It does so whether the target exists or
// not: the safe defaults of a policy that was bad at the start name no target
// that does.
func (f *Fleet) tellPolicy(leading bool, now time.Time) {
	f.mu.Lock()
	n := f.policy.notice
	if leading {
		f.policy.notice = nil
	}
	f.mu.Unlock()
	if leading && n != nil && now.Sub(n.at) < noticeAge {
		f.options.Recorder.OnPolicy(f.name, n.warning, n.reason, n.message)
	}
}

// maxNotice is the limit that Kubernetes puts on the message of an Event.
const maxNotice = 1024

func (f *Fleet) setPolicy(resourceVersion string, data map[string]string) {
	p, err := policy.Parse(f.name, data)
	now := f.options.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.policy
	if err != nil {
		f.policy.problem = err.Error()
		f.policy.lines = nil
		if errs, ok := err.(policy.Errors); ok { //nolint:errorlint // Parse returns no other
			f.policy.lines = errs.Lines()
		}
		f.policy.notice = &notice{now, true, "PolicyRejected", clip(refusal(before) + err.Error())}
		f.conds.set(now, condition(PolicyAccepted, false, "PolicyRejected", err.Error()))
		f.logger.Warn().Err(err).Str("resource_version", resourceVersion).Msg("policy refused, the one before it stays")
		f.Poke()
		return
	}
	f.policy = accepted{Policy: p, resourceVersion: resourceVersion, at: now}
	f.conds.set(now, condition(PolicyAccepted, true, "PolicyAccepted", "the ConfigMap is in force"))
	changes := policy.Diff(before.Policy, p)
	if before.resourceVersion == "" && before.problem == "" {
		changes = nil // the first policy replaces nothing
	}
	texts := make([]string, len(changes))
	for i, c := range changes {
		texts[i] = c.String()
	}
	if len(texts) > 0 || before.problem != "" {
		text := "in force: " + strings.Join(texts, ", ")
		if len(texts) == 0 {
			text = "in force, as before the refused edit"
		}
		f.policy.notice = &notice{now, false, "PolicyAccepted", clip(text)}
	}
	f.logger.Info().Str("resource_version", resourceVersion).Strs("changes", texts).Msg("policy accepted")
	f.Poke()
}

func refusal(before accepted) string {
	if before.resourceVersion == "" {
		return "refused, safe defaults in observe mode until it is corrected: "
	}
	return "refused, the policy before stays in force: "
}

func (f *Fleet) policyDeleted() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.policy.problem = "the ConfigMap is deleted; the policy before stays in force"
	f.policy.lines = []string{f.policy.problem}
	f.conds.set(f.options.Now(), condition(PolicyAccepted, false, "PolicyDeleted", f.policy.problem))
	f.logger.Warn().Msg("policy deleted, the one before it stays")
}

func clip(s string) string {
	if len(s) <= maxNotice {
		return s
	}
	return strings.ToValidUTF8(s[:maxNotice-3], "") + "…"
}
