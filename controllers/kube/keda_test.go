package kube

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/rs/zerolog"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// TestAScaledObjectThatWentWithKEDAIsForgotten: where KEDA is uninstalled its kind goes too, and a fleet is not refused for ever; an API server that
// is in trouble says nothing about it.
func TestAScaledObjectThatWentWithKEDAIsForgotten(t *testing.T) {
	const one = `{"apiVersion":"keda.sh/v1alpha1","kind":"ScaledObjectList","metadata":{},"items":[
		{"apiVersion":"keda.sh/v1alpha1","kind":"ScaledObject","metadata":{"name":"theirs"},"spec":{"scaleTargetRef":{"name":"edge"}}}]}`
	const noKind = `{"apiVersion":"v1","kind":"Status","status":"Failure","reason":"NotFound","code":404}`
	code, body := http.StatusOK, one
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/apis/keda.sh/v1alpha1/namespaces/cdn/scaledobjects" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprint(w, body)
	}))
	defer server.Close()
	client, err := dynamic.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{namespace: "cdn", dynamic: client, logger: zerolog.Nop(),
		autoscalers: cache.NewSharedIndexInformer(&cache.ListWatch{}, nil, 0, cache.Indexers{byTarget: autoscalerTargets})}
	for _, step := range []struct {
		code int
		body string
		want int
	}{
		{http.StatusOK, one, 1},
		{http.StatusForbidden, `{"apiVersion":"v1","kind":"Status","status":"Failure","reason":"Forbidden","code":403}`, 1},
		{http.StatusNotFound, noKind, 0},
		{http.StatusOK, one, 1},
	} {
		code, body = step.code, step.body
		c.listScaledObjects(t.Context())
		if got := c.autoscalersOf("edge"); len(got) != step.want {
			t.Errorf("after %d: %v, want %d", step.code, got, step.want)
		}
	}
}
