package charts

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestMonitoringIsThatOfConfig: the chart carries copies of the alerts and of the dashboard, and installs them only where that is asked for.
func TestMonitoringIsThatOfConfig(t *testing.T) {
	text := map[string][]byte{}
	for copied, source := range map[string]string{"rules.yaml": "prometheus/rules.yaml", "dashboard.json": "grafana/surgewall.json"} {
		want, err := os.ReadFile("../config/" + source)
		if err != nil {
			t.Fatal(err)
		}
		if text[copied], err = os.ReadFile("surgewall/files/" + copied); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(text[copied], want) {
			t.Errorf("the chart's copy is out of step: cp config/%s charts/surgewall/files/%s", source, copied)
		}
	}
	for _, o := range render(t, "kind") {
		if o.kind() == "PrometheusRule" || o.name() == "surgewall-dashboard" {
			t.Errorf("%s %s is installed where nobody asked for it", o.kind(), o.name())
		}
	}
	objects := render(t, "external")
	i := slices.IndexFunc(objects, func(o object) bool { return o.kind() == "PrometheusRule" })
	if i < 0 {
		t.Fatal("no PrometheusRule")
	}
	var rules map[string]any
	if err := yaml.Unmarshal(text["rules.yaml"], &rules); err != nil {
		t.Fatal(err)
	}
	if got := at[map[string]any](objects[i], "spec"); !reflect.DeepEqual(got, rules) {
		t.Errorf("the rule holds %v", got)
	}
	if got := at[string](objects[i], "metadata", "labels", "release"); got != "prometheus" {
		t.Errorf("label release is %q", got)
	}
	dashboard := find(t, objects, "ConfigMap", "surgewall-dashboard")
	var got, want any
	if err := json.Unmarshal([]byte(at[string](dashboard, "data", "surgewall.json")), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text["dashboard.json"], &want); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("another dashboard (%v)", err)
	}
	if got := at[string](dashboard, "metadata", "labels", "grafana_dashboard"); got != "1" {
		t.Errorf("label grafana_dashboard is %q", got)
	}
}
