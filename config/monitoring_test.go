package config_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/surgewall/surgewall/controllers/fleet"
)

// metric is a row of docs/metrics.md, which the programs' own tests hold to what they register.
type metric struct {
	histogram bool
	labels    []string
}

func metrics(t *testing.T) map[string]metric {
	t.Helper()
	row := regexp.MustCompile("(?m)^\\| `(surgewall_[a-z_]+)` \\| (counter|gauge|histogram) \\| ([^|]*) \\|")
	all := map[string]metric{}
	for _, m := range row.FindAllStringSubmatch(read(t, "../docs/metrics.md"), -1) {
		labels := slices.Clone(all[m[1]].labels)
		for name := range strings.SplitSeq(strings.ReplaceAll(m[3], "`", ""), ", ") {
			labels = append(labels, name)
		}
		all[m[1]] = metric{m[2] == "histogram", labels}
	}
	if len(all) < 50 {
		t.Fatalf("only %d metrics in docs/metrics.md: the search is broken", len(all))
	}
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	name    = regexp.MustCompile(`\bsurgewall_[a-z_]*[a-z]\b`)
	matches = regexp.MustCompile(`(surgewall_[a-z_]+)\{([^}]*)\}`)
	label   = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)`)
	// scraped are the labels that Prometheus adds.
	scraped = []string{"namespace", "instance", "le"}
)

// expression finds what of an expression no program exports.
func expression(all map[string]metric, text string) (wrong []string) {
	find := func(n string) (metric, bool) {
		if m, ok := all[n]; ok {
			return m, true
		}
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, ok := strings.CutSuffix(n, suffix); ok && all[base].histogram {
				return all[base], true
			}
		}
		return metric{}, false
	}
	found := name.FindAllString(text, -1)
	if len(found) == 0 {
		return []string{"no metric of ours in it"}
	}
	for _, n := range found {
		if _, ok := find(n); !ok {
			wrong = append(wrong, "no program exports "+n)
		}
	}
	for _, m := range matches.FindAllStringSubmatch(text, -1) {
		metric, _ := find(m[1])
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(metric.labels, l[1]) && !slices.Contains(scraped, l[1]) {
				wrong = append(wrong, fmt.Sprintf("%s has no label %s", m[1], l[1]))
			}
		}
	}
	for _, pair := range []string{"()", "{}", "[]"} {
		if strings.Count(text, pair[:1]) != strings.Count(text, pair[1:]) {
			wrong = append(wrong, "its "+pair+" do not match")
		}
	}
	return wrong
}

func TestAnExpressionOfWhatNobodyExportsIsSeen(t *testing.T) {
	all := map[string]metric{"surgewall_a_total": {labels: []string{"site"}}, "surgewall_b_seconds": {histogram: true}}
	for text, want := range map[string]string{
		`rate(surgewall_a_total{site="x", namespace="n"}[5m]) > 0`:          "",
		`histogram_quantile(0.9, rate(surgewall_b_seconds_bucket[5m])) > 0`: "",
		`rate(surgewall_a_totals[5m])`:                                      "no program exports surgewall_a_totals",
		`surgewall_a_total_bucket`:                                          "no program exports surgewall_a_total_bucket",
		`surgewall_a_total{sites="x"}`:                                      "surgewall_a_total has no label sites",
		`rate(surgewall_a_total[5m]`:                                        "its () do not match",
		`up == 0`:                                                           "no metric of ours in it",
	} {
		if got := strings.Join(expression(all, text), "; "); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// TestAlertsUseWhatIsExported: and each has a part in the runbook, which has no part without an alert.
func TestAlertsUseWhatIsExported(t *testing.T) {
	all := metrics(t)
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(read(t, "prometheus/rules.yaml")))
	decoder.KnownFields(true)
	if err := decoder.Decode(&rules); err != nil {
		t.Fatal(err)
	}
	runbook := read(t, "../docs/runbook.md")
	parts := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^### (Surgewall\w+)$`).FindAllStringSubmatch(runbook, -1) {
		parts[m[1]] = true
	}
	seen := map[string]bool{}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			for _, wrong := range expression(all, r.Expr) {
				t.Errorf("%s: %s", r.Alert, wrong)
			}
			if seen[r.Alert] || !parts[r.Alert] {
				t.Errorf("%s: seen before: %v, in the runbook: %v", r.Alert, seen[r.Alert], parts[r.Alert])
			}
			seen[r.Alert] = true
			if s := r.Labels["severity"]; s != "critical" && s != "warning" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s: labels %v, annotations %v", r.Alert, r.Labels, r.Annotations)
			}
		}
	}
	if !maps.Equal(seen, parts) || len(seen) < 20 {
		t.Errorf("alerts %v, parts of the runbook %v", slices.Sorted(maps.Keys(seen)), slices.Sorted(maps.Keys(parts)))
	}
	for _, condition := range []string{
		fleet.PolicyAccepted, fleet.ScaleWritten, fleet.TargetMissing, fleet.Blind, fleet.ScalingLimited, fleet.Contended, fleet.AmbiguousScaler, fleet.PodsPending, fleet.AnnotationsRefused,
	} {
		if !strings.Contains(runbook, "condition `"+condition+"`") {
			t.Errorf("the runbook has nothing on the condition %s", condition)
		}
	}
}

func TestTheDashboardShowsWhatIsExported(t *testing.T) {
	all := metrics(t)
	var dashboard struct {
		Panels []struct {
			ID      int
			Type    string
			Title   string
			GridPos struct{ H, W, X, Y int }
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "grafana/surgewall.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	ids, places := map[int]bool{}, map[[2]int]string{}
	for _, p := range dashboard.Panels {
		place := [2]int{p.GridPos.X, p.GridPos.Y}
		if ids[p.ID] || places[place] != "" || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("%s: its number or its place is that of another, or it does not fit", p.Title)
		}
		ids[p.ID], places[place] = true, p.Title
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 {
			t.Errorf("%s shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			for _, wrong := range expression(all, target.Expr) {
				t.Errorf("%s: %s", p.Title, wrong)
			}
		}
	}
	if len(ids) < 15 {
		t.Errorf("only %d panels were found", len(ids))
	}
}

// TestDocumentsNameOnlyMetricsThatExist: a metric in a document outlives its name in the program.
func TestDocumentsNameOnlyMetricsThatExist(t *testing.T) {
	all := metrics(t)
	documents, err := filepath.Glob("../docs/*.md")
	if err != nil || len(documents) < 5 {
		t.Fatalf("documents: %v, %v", documents, err)
	}
	for _, path := range append(documents, "../README.md", "../CHANGELOG.md", "../charts/surgewall/README.md", "../charts/surgewall/values.yaml") {
		for _, m := range regexp.MustCompile(`surgewall_[a-z_]+…?`).FindAllString(read(t, path), -1) {
			if _, ok := all[m]; !ok && !strings.HasSuffix(m, "…") {
				t.Errorf("%s: no program exports %s", path, m)
			}
		}
	}
}
