package kube_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"k8s.io/klog/v2"

	"github.com/surgewall/surgewall/controllers/kube"
)

func TestConnectSaysWhatIsMissing(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	if _, err := kube.Connect("", "", "test", zerolog.Nop()); !errors.Is(err, kube.ErrNoCluster) {
		t.Errorf("outside a cluster: %v", err)
	}
	missing := filepath.Join(t.TempDir(), "none")
	if _, err := kube.Connect(missing, "", "test", zerolog.Nop()); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("a kubeconfig that does not exist: %v", err)
	}
}

const kubeconfig = `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: c, context: {cluster: c, user: u, namespace: cdn}}]
users: [{name: u, user: {token: t}}]
current-context: c
`

func TestConnectTakesTheNamespaceOfTheContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	access, err := kube.Connect(path, "", "test", zerolog.New(&log))
	config := kube.ConfigOf(access)
	if err != nil || access.Namespace != "cdn" || config.QPS != 50 || config.Burst != 100 {
		t.Errorf("namespace %q, %v queries a second, %v", access.Namespace, config, err)
	}
	if access, _ = kube.Connect(path, "other", "test", zerolog.Nop()); access.Namespace != "other" {
		t.Errorf("namespace %q, want the one that was asked for", access.Namespace)
	}
	for range 3 {
		config.WarningHandlerWithContext.HandleWarningHeaderWithContext(context.Background(), 299, "", "v1beta1 is deprecated")
	}
	if got := strings.Count(log.String(), "v1beta1 is deprecated"); got != 1 {
		t.Errorf("a warning is logged %d times:\n%s", got, log.String())
	}
}

func TestClientGoLogsThroughTheLogger(t *testing.T) {
	var log bytes.Buffer
	kube.RouteLogs(zerolog.New(&log))
	t.Cleanup(klog.ClearLogger)
	before := zerolog.GlobalLevel()
	klog.Background().Info("watch ended", "resource", "pods")
	klog.Background().V(4).Info("details")
	klog.ErrorS(errors.New("refused"), "list failed")
	for _, want := range []string{`"level":"info"`, `"message":"watch ended"`, `"resource":"pods"`, `"message":"list failed"`, "refused"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, log.String())
		}
	}
	if strings.Contains(log.String(), "details") || zerolog.GlobalLevel() != before {
		t.Errorf("verbose lines or a changed global level:\n%s", log.String())
	}
}
