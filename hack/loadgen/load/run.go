// Package load drives an open-loop crowd of HTTP clients against a server on this machine: requests leave when the profile says, however
// slow the answers are, and every latency counts from that moment.
package load

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

const (
	// MaxRate bounds the peak of a run, in requests per second.
	MaxRate = 20_000
	// MaxLength bounds how long a run lasts.
	MaxLength = 15 * time.Minute
)

// Options is one run.
type Options struct {
	Targets    []string // http://<loopback>[:port], at least one; each request goes to a random one of them
	Host       string   // Host header; empty: the target's
	Profile    Profile
	Popularity Popularity
	Sizes      Sizes         // of viral and scanned objects, and of the catalogue's objects without a size of their own
	Tag        string        // part of every object's name: another tag means cold caches; empty: "demo"
	Viewers    int           // clients with connections of their own; 0 means 64, at most 4096
	Timeout    time.Duration // of one request; 0 means 10 s
	InFlight   int           // most requests at the same time; 0 means 2000. Beyond it requests leave late, which their latency shows
	Verify     bool          // check each body against what the demo origin makes
	Seed       uint64        // of the choice of objects
	// OnSecond is called after each second from one goroutine; a slow one delays the next call, never a request. It may be nil.
	OnSecond func(Second)
}

func (o *Options) defaults() error {
	if o.Viewers == 0 {
		o.Viewers = 64
	}
	if o.Viewers < 0 || o.Viewers > 4096 {
		return fmt.Errorf("viewers %d: want 1 to 4096", o.Viewers)
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.InFlight == 0 {
		o.InFlight = 2000
	}
	if o.Timeout < 0 || o.InFlight < 0 {
		return fmt.Errorf("timeout %v, in flight %d: want 0 or more", o.Timeout, o.InFlight)
	}
	if o.Tag == "" {
		o.Tag = "demo"
	}
	if strings.Trim(o.Tag, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
		return fmt.Errorf("tag %q: want letters, digits, - and _", o.Tag)
	}
	if o.Popularity.Objects() == 0 {
		return errors.New("popularity: want at least one object")
	}
	return o.Sizes.Validate()
}

// Run sends the whole profile and returns what came of it. When ctx ends it stops early: the result so far, with the context's error.
func Run(ctx context.Context, o Options) (Result, error) {
	if err := o.defaults(); err != nil {
		return Result{}, err
	}
	if len(o.Targets) == 0 {
		return Result{}, errors.New("target: want at least one")
	}
	for _, target := range o.Targets {
		if err := CheckLoopback(ctx, target); err != nil {
			return Result{}, err
		}
	}
	curve, err := o.Profile.Curve()
	if err != nil {
		return Result{}, err
	}
	if curve.Peak() > MaxRate || curve.Length() > MaxLength || curve.Total() == 0 {
		return Result{}, fmt.Errorf("profile %s: %.0f rps at the peak, %v long, %d requests: want at most %d rps and %v, and at least one request",
			o.Profile.Name, curve.Peak(), curve.Length(), curve.Total(), MaxRate, MaxLength)
	}
	r := &run{Options: o, curve: curve, crowd: newViewers(o.Viewers, o.Verify), total: newTally(), now: newTally()}
	defer r.crowd.close()
	return r.run(ctx)
}

type run struct {
	Options
	curve   Curve
	crowd   *viewers
	began   time.Time
	total   tally
	now     tally // of the current second
	seconds []Second
	maxLag  time.Duration
	texts   []string
}

func (r *run) run(ctx context.Context) (Result, error) {
	attacker := vegeta.NewAttacker(
		vegeta.Client(&http.Client{
			Transport: r.crowd,
			Timeout:   r.Timeout,
			// A redirect could lead away from the target.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}),
		vegeta.MaxBody(0), // bodies are counted and checked by the crowd, not kept
		vegeta.Workers(16),
		vegeta.MaxWorkers(uint64(r.InFlight)),
	)
	mix := newMix(r.Profile, r.Popularity, r.Sizes, r.Tag, r.Seed)
	r.began = time.Now()
	header := http.Header{}
	if r.Host != "" {
		header.Set("Host", r.Host)
	}
	targeter := func(t *vegeta.Target) error {
		*t = vegeta.Target{Method: http.MethodGet, URL: strings.TrimSuffix(r.Targets[rand.IntN(len(r.Targets))], "/") + mix.path(time.Since(r.began)), Header: header}
		return nil
	}
	// vegeta starts its own clock a few microseconds after this one; its Timestamp is the real sending time on either.
	results := attacker.Attack(targeter, Pacer{r.curve}, 0, "")
	r.collect(ctx, results, attacker)
	return r.result(), ctx.Err()
}

// collect adds results up until the attack has ended; a cancelled ctx ends it.
func (r *run) collect(ctx context.Context, results <-chan *vegeta.Result, attacker *vegeta.Attacker) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	cancelled := ctx.Done()
	for {
		select {
		case <-cancelled:
			attacker.Stop()
			cancelled = nil
		case <-ticker.C:
			r.endSecond()
		case result, ok := <-results:
			if !ok {
				if r.now.completed > 0 {
					r.endSecond()
				}
				return
			}
			r.add(result)
		}
	}
}

func (r *run) add(result *vegeta.Result) {
	intended := r.began.Add(r.curve.At(result.Seq))
	// vegeta measures from when a worker got round to sending. Counting from the intended time keeps a stall from hiding the requests
	// that it held back (coordinated omission).
	lag := max(result.Timestamp.Sub(intended), 0)
	r.maxLag = max(r.maxLag, lag)
	kind := errorKind(result.Code, result.Error)
	if kind != "" && len(r.texts) < 5 {
		r.texts = append(r.texts, fmt.Sprintf("+%v %s: %s", result.Timestamp.Sub(r.began).Round(time.Millisecond), result.URL, result.Error))
	}
	status := ""
	if kind == "" {
		status = cacheStatus(result.Headers.Values("Cache-Status"))
	}
	r.now.add(status, kind, lag+result.Latency)
	r.total.add(status, kind, lag+result.Latency)
}

func (r *run) endSecond() {
	n := len(r.seconds) + 1
	to := time.Duration(n) * time.Second
	second := r.now.second(n, r.curve.Count(to)-r.curve.Count(to-time.Second))
	r.seconds = append(r.seconds, second)
	r.now = newTally()
	if r.OnSecond != nil {
		r.OnSecond(second)
	}
}

func (r *run) result() Result {
	peak := 0.0
	for _, s := range r.seconds {
		peak = max(peak, float64(s.Completed))
	}
	return Result{
		Profile: r.Profile.Name, Targets: r.Targets, Started: r.began, Length: Duration(time.Since(r.began)), Planned: r.curve.Total(),
		Completed: r.total.completed, Failed: r.total.failed, PeakRPS: peak, Hits: r.total.hits(), Statuses: maps.Clone(r.total.statuses),
		Errors: maps.Clone(r.total.errors), Examples: r.texts, Bytes: r.crowd.bytes.Load(), Connected: r.crowd.connected.Load(), Resent: r.crowd.resent.Load(),
		MaxLag: Duration(r.maxLag), P50: r.total.quantile(0.5), P90: r.total.quantile(0.9), P99: r.total.quantile(0.99), P999: r.total.quantile(0.999),
		Max: r.total.quantile(1), Seconds: r.seconds,
	}
}
