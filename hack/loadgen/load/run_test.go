package load

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/surgewall/surgewall/hack/demo/object"
)

// demoServer answers like the demo's origin behind an edge that has everything in store.
func demoServer(t *testing.T, wrap func(http.Handler) http.Handler) string {
	t.Helper()
	var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size, err := object.Size(r.URL)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Cache-Status", "edge; hit")
		http.ServeContent(w, r, "", time.Time{}, object.New(r.URL.RequestURI(), size))
	})
	if wrap != nil {
		h = wrap(h)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func options(t *testing.T, target string, rps float64, length time.Duration) Options {
	t.Helper()
	sizes := Sizes{Median: 500, Sigma: 1, Max: 5000}
	pop, err := Zipf(20, 0.7, sizes)
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Targets: []string{target}, Popularity: pop, Sizes: sizes, Verify: true,
		Profile: Profile{Name: "test", Shape: Shape{Base: rps, Factor: 1, Hold: length}},
	}
}

func TestRunSendsWhatThePlanSays(t *testing.T) {
	var seen atomic.Uint64
	target := demoServer(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen.Add(1); h.ServeHTTP(w, r) })
	})
	o := options(t, target, 200, 1200*time.Millisecond)
	var live []Second
	o.OnSecond = func(s Second) { live = append(live, s) }
	result, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if result.Planned != 240 || result.Completed != 240 || seen.Load() != 240 || result.Failed != 0 {
		t.Errorf("planned %d, completed %d, seen %d, failed %d (%v); want 240 and none", result.Planned, result.Completed, seen.Load(), result.Failed, result.Examples)
	}
	if result.Hits != 1 || result.Statuses["hit"] != 240 {
		t.Errorf("hits %v, %v", result.Hits, result.Statuses)
	}
	if len(live) == 0 || live[0].Offered < 199 || live[0].Offered > 201 || len(live) != len(result.Seconds) {
		t.Errorf("live seconds: %+v", live)
	}
	if result.Bytes == 0 || result.Connected < 2 {
		t.Errorf("%d bytes over %d connections", result.Bytes, result.Connected)
	}
}

func TestLatencyCountsFromTheIntendedTime(t *testing.T) {
	// Every answer takes 100 ms and only one request may be in flight: ten requests meant for the first 100 ms end one after another.
	target := demoServer(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { time.Sleep(100 * time.Millisecond); h.ServeHTTP(w, r) })
	})
	o := options(t, target, 100, 100*time.Millisecond)
	o.InFlight = 1
	result, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if result.Completed != 10 {
		t.Fatalf("%d completed", result.Completed)
	}
	// The last was meant for 90 ms and ends after 1 s. Measured from the sending it would be 100 ms.
	if time.Duration(result.Max) < 800*time.Millisecond || time.Duration(result.MaxLag) < 700*time.Millisecond {
		t.Errorf("slowest %v, largest lag %v: the wait before sending is missing", result.Max, result.MaxLag)
	}
}

func TestFailuresAreToldApart(t *testing.T) {
	var n atomic.Uint64
	target := demoServer(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch n.Add(1) % 4 {
			case 0:
				http.Error(w, "no", http.StatusServiceUnavailable)
			case 1:
				w.Header().Set("Content-Length", "100")
				w.Write([]byte("wrong"))
			case 2:
				w.Header().Set("Content-Length", "1000")
				http.NewResponseController(w).Flush()
			default:
				h.ServeHTTP(w, r)
			}
		})
	})
	result, err := Run(t.Context(), options(t, target, 100, 400*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	if result.Errors["status 503"] != 10 || result.Errors["wrong body"] != 10 || result.Errors["body cut"] != 10 || result.Failed != 30 {
		t.Errorf("failed %d: %v", result.Failed, result.Errors)
	}
	if len(result.Examples) == 0 || len(result.Examples) > 5 {
		t.Errorf("%d examples", len(result.Examples))
	}
}

// TestASuccessWithoutTheObjectIsAFailure: what ends cleanly, but early or without a body, is what a cache that kept a part would serve.
func TestASuccessWithoutTheObjectIsAFailure(t *testing.T) {
	var n atomic.Uint64
	target := demoServer(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch n.Add(1) % 5 {
			case 0:
				w.Header().Set("Content-Length", "0")
			case 1:
				size, _ := object.Size(r.URL)
				http.ServeContent(w, r, "", time.Time{}, object.New(r.URL.RequestURI(), size-1))
			case 2:
				w.WriteHeader(http.StatusNoContent)
			case 3:
				http.Redirect(w, r, "/", http.StatusFound)
			default:
				h.ServeHTTP(w, r)
			}
		})
	})
	result, err := Run(t.Context(), options(t, target, 100, 500*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	if result.Errors["wrong body"] != 40 || result.Failed != 40 || result.Completed != 50 {
		t.Errorf("failed %d of %d: %v %q", result.Failed, result.Completed, result.Errors, result.Examples)
	}
}

func TestRunStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	start := time.Now()
	result, err := Run(ctx, options(t, demoServer(t, nil), 50, time.Minute))
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 30*time.Second {
		t.Errorf("ended with %v after %v", err, time.Since(start))
	}
	if result.Completed == 0 || result.Completed > 1000 {
		t.Errorf("%d completed in 1 s at 50 rps, of 3000 in a minute", result.Completed)
	}
}

func TestRunRefuses(t *testing.T) {
	for name, edit := range map[string]func(*Options){
		"192.0.2.1":    func(o *Options) { o.Targets = append(o.Targets, "http://192.0.2.1") },
		"want at most": func(o *Options) { o.Profile.Shape.Base = MaxRate + 1 },
		"15m":          func(o *Options) { o.Profile.Shape.Hold = MaxLength + 1 },
		"tag":          func(o *Options) { o.Tag = "a b" },
		"viewers":      func(o *Options) { o.Viewers = 5000 },
		"popularity":   func(o *Options) { o.Popularity = Popularity{} },
		"sizes":        func(o *Options) { o.Sizes.Median = 0 },
	} {
		o := options(t, "http://127.0.0.1:1", 1, time.Second)
		edit(&o)
		if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
