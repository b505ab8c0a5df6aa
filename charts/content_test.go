package charts

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestReplicasKnowEachOther: who cannot reach the broker knows whom to ask instead, and each prefetch is done where edges will look for it.
func TestReplicasKnowEachOther(t *testing.T) {
	for _, ci := range ci {
		for _, o := range workloads(render(t, ci)) {
			container := at[[]any](podOf(o), "containers")[0].(map[string]any)
			args, name := at[[]any](container, "args"), at[string](container, "name")
			asks := slices.Contains(args, any("--content-source=http://surgewall-controller.demo.svc.cluster.local:8082"))
			if want := name == "edge" || name == "shield"; asks != want {
				t.Errorf("%s: %s asks the controllers: %v, want %v", ci, o.name(), asks, want)
			}
			peers := slices.Contains(args, any("--peer-dns=surgewall-shield.demo.svc.cluster.local:8081"))
			if want := name == "shield"; peers != want {
				t.Errorf("%s: %s knows the shields: %v, want %v", ci, o.name(), peers, want)
			}
		}
	}
	// The way to them is open where policies close all others.
	objects := render(t, "external")
	for from, to := range map[string][]string{"surgewall-edge": {"shield", "controller"}, "surgewall-shield": {"shield", "controller"}} {
		egress := fmt.Sprint(at[[]any](find(t, objects, "NetworkPolicy", from), "spec", "egress"))
		for _, component := range to {
			if !strings.Contains(egress, "app.kubernetes.io/component:"+component+" ") {
				t.Errorf("%s may not connect to the component %s: %s", from, component, egress)
			}
		}
	}
	if ingress := fmt.Sprint(at[[]any](find(t, objects, "NetworkPolicy", "surgewall-shield"), "spec", "ingress")); !strings.Contains(ingress, "app.kubernetes.io/component:shield ") {
		t.Errorf("shields may not ask each other: %s", ingress)
	}
}

// TestACertificateIsInPlaceOfAPassword: a user of the broker has the one or the other, and its processes are told of no other.
func TestACertificateIsInPlaceOfAPassword(t *testing.T) {
	certificate := 0
	for _, o := range workloads(render(t, "external")) {
		container := at[[]any](podOf(o), "containers")[0].(map[string]any)
		args, env := at[[]any](container, "args"), fmt.Sprint(at[[]any](container, "env"))
		volumes := fmt.Sprint(at[[]any](podOf(o), "volumes"))
		has := slices.Contains(args, any("--amqp-cert-file=/etc/surgewall/amqp/tls.crt")) && slices.Contains(args, any("--amqp-key-file=/etc/surgewall/amqp/tls.key")) &&
			slices.Contains(args, any("--amqp-username=live")) && strings.Contains(volumes, "secretName:live-tls")
		password := slices.Contains(args, any("--amqp-password-file=/etc/surgewall/amqp/password")) && strings.Contains(env, "SURGEWALL_AMQP_USERNAME")
		if want := o.name() == "surgewall-live"; has != want || password == want {
			t.Errorf("%s has a certificate: %v, a password: %v", o.name(), has, password)
		}
		if has {
			certificate++
		}
	}
	if certificate != 1 {
		t.Errorf("%d workloads have a certificate", certificate)
	}
	for name, set := range map[string]string{
		"both":        "broker.external.users.live.existingSecret=x",
		"without TLS": "broker.external.caSecret=",
	} {
		if _, err := helm(t, "template", "surgewall", "surgewall", "--values", values("external"), "--set", set); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
