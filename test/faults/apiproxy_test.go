package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/surgewall/surgewall/controllers/kube/kubetest"
)

// apiProxy stands between one controller and the API server, breaks what a test asks it to, and notes each write of a scale.
type apiProxy struct {
	server *httptest.Server
	next   http.Handler

	mu      sync.Mutex
	fault   func(w http.ResponseWriter, r *http.Request, next http.Handler) // nil: none
	watches map[int]context.CancelFunc
	n       int
	calls   int // scale calls
	writes  []write
}

// write is one PUT of a scale.
type write struct {
	at       time.Time
	name     string
	version  string
	replicas int
	status   int
}

func newAPIProxy(t testing.TB, server *kubetest.Server) *apiProxy {
	t.Helper()
	config := server.Config(kubetest.Admin)
	// client-go sends no token without TLS; the proxy brings the controller's.
	config.BearerToken = "user-1-token"
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	reverse := httputil.NewSingleHostReverseProxy(target)
	reverse.Transport, reverse.FlushInterval = transport, -1
	reverse.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	p := &apiProxy{next: reverse, watches: map[int]context.CancelFunc{}}
	p.server = httptest.NewServer(p)
	t.Cleanup(func() {
		p.set(nil)
		p.cutWatches()
		p.server.CloseClientConnections()
		p.server.Close()
	})
	return p
}

func (p *apiProxy) set(fault func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = fault
}

// cutWatches ends every watch, as a proxy that restarts does.
func (p *apiProxy) cutWatches() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, cancel := range p.watches {
		cancel()
	}
}

func isScale(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/scale") }

func isWrite(r *http.Request) bool { return isScale(r) && r.Method == http.MethodPut }

func isWatch(r *http.Request) bool { return r.URL.Query().Get("watch") != "" }

func (p *apiProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	r = r.WithContext(ctx)
	p.mu.Lock()
	fault := p.fault
	if isScale(r) {
		p.calls++
	}
	if isWatch(r) {
		p.n++
		n := p.n
		p.watches[n] = cancel
		defer func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			delete(p.watches, n)
		}()
	}
	p.mu.Unlock()
	next := p.next
	if isWrite(r) {
		next = http.HandlerFunc(p.noting)
	}
	if fault != nil {
		fault(w, r, next)
		return
	}
	next.ServeHTTP(w, r)
}

// noting passes a write on and notes it with the answer.
func (p *apiProxy) noting(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var scale struct {
		Metadata struct{ Name, ResourceVersion string }
		Spec     struct{ Replicas int }
	}
	_ = json.Unmarshal(body, &scale) // client-go may speak another format; then only the status counts
	status := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	p.next.ServeHTTP(status, r)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writes = append(p.writes, write{time.Now(), scale.Metadata.Name, scale.Metadata.ResourceVersion, scale.Spec.Replicas, status.status})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (s *statusWriter) WriteHeader(code int) {
	s.status = code
	s.ResponseWriter.WriteHeader(code)
}

// written returns the writes since the beginning, and those that the API server took.
func (p *apiProxy) written() (all []write, accepted int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.writes {
		if w.status == http.StatusOK {
			accepted++
		}
	}
	return append(all, p.writes...), accepted
}

func (p *apiProxy) scaleCalls() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

// hang holds a request until the client gives up.
func hang(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.Copy(io.Discard, r.Body) // before that, the server does not look whether the client is still there
	<-r.Context().Done()
}

// answering returns a Kubernetes error.
func answering(w http.ResponseWriter, code int, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","code":%d,"reason":%q,"message":"made by a test"}`, code, reason)
}
