package charts

import (
	"strings"
	"testing"
)

// A node that is lost takes one controller at most, and no constraint keeps an edge from starting.
func TestControllersAreApartAndEdgesStartAnywhere(t *testing.T) {
	seen := 0
	for _, o := range render(t, "kind") {
		pod := podOf(o)
		constraints := at[[]any](pod, "topologySpreadConstraints")
		if pod == nil || len(constraints) == 0 {
			continue
		}
		seen++
		c := constraints[0].(map[string]any)
		when, taints := "ScheduleAnyway", ""
		if strings.HasSuffix(o.name(), "-controller") {
			when, taints = "DoNotSchedule", "Honor"
		}
		if got := at[string](c, "whenUnsatisfiable"); got != when {
			t.Errorf("%s: whenUnsatisfiable is %s, want %s", o.name(), got, when)
		}
		if got := at[string](c, "nodeTaintsPolicy"); got != taints {
			t.Errorf("%s: nodeTaintsPolicy is %q, want %q", o.name(), got, taints)
		}
	}
	if seen < 3 {
		t.Fatalf("%d workloads have a constraint, want edges, shields and controllers", seen)
	}
}
