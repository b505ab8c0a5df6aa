package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// crowd is viewers who each ask one edge, on one connection, until the edge closes
// it: a load that moves all the time and stays the same.
type crowd struct {
	name    string
	edges   int
	first   int     // of them serve from the start; the others are Ready some time after the first minute
	rps     float64 // of all, evenly spaced
	target  float64 // of the policy
	viewers int
	age     time.Duration // mean of a connection's, drawn as edges do
	every   time.Duration // so often an edge leaves and another takes its place; 0: never
	lasts   time.Duration // after the first minute

	from   float64       // requests per second in the first minute; 0: rps
	ramp   time.Duration // after it, to rps
	settle time.Duration // after the ramp, of which nothing counts
	starts time.Duration // after the first minute, until the other edges are Ready

	runs int
}

// quiet is the time from which the controller knows the load. Nothing counts of it.
const quiet = time.Minute

func (c *crowd) rate(t time.Duration) float64 {
	switch {
	case c.from == 0 || t >= quiet+c.ramp:
		return c.rps
	case t < quiet:
		return c.from
	}
	return c.from + (c.rps-c.from)*float64(t-quiet)/float64(c.ramp)
}

type server struct {
	name   string
	ask    http.Handler
	leaves bool
}

type viewer struct {
	on    *server
	until time.Time
}

// ask lets the requests of the crowd arrive. An edge that leaves closes each
// connection with its next response, and is gone when the next one leaves.
func (c *crowd) ask(began time.Time, seed uint64, pods *roster, start func(n int) http.Handler) {
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // the same seed shall be the same crowd
	var serves []*server
	started := 0
	join := func() {
		s := &server{name: fmt.Sprintf("edge-%d", started)}
		pods.set(s.name, false)
		s.ask = start(started)
		started++
		serves = append(serves, s)
	}
	connect := func(v *viewer, now time.Time) {
		v.on = serves[random.IntN(len(serves))]
		v.until = now.Add(time.Duration((0.5 + random.Float64()) * float64(c.age)))
	}
	for range c.first {
		join()
	}
	viewers := make([]viewer, c.viewers)
	for i := range viewers {
		connect(&viewers[i], began.Add(-time.Duration(random.Float64()*float64(c.age)/2)))
	}
	end, next, gone := began.Add(quiet+c.ramp+c.lasts), began.Add(quiet), ""
	for at := began; at.Before(end); {
		at = at.Add(time.Duration(float64(time.Second) / c.rate(at.Sub(began))))
		time.Sleep(time.Until(at))
		for at.Sub(began) >= quiet+c.starts && started < c.edges {
			join()
		}
		if c.every > 0 && !at.Before(next) {
			next = next.Add(c.every)
			pods.remove(gone)
			leaver := serves[0]
			serves, leaver.leaves, gone = serves[1:], true, leaver.name
			pods.set(gone, true)
			join()
		}
		v := &viewers[random.IntN(len(viewers))]
		v.on.ask.ServeHTTP(nil, nil)
		if v.on.leaves || at.After(v.until) {
			connect(v, at)
		}
	}
}

// roster is a cluster whose pods come and go. They take as long to start as was
// seen where pods had to wait for all else.
type roster struct {
	cluster
	mu      sync.Mutex
	names   []string        // in the order in which they came; guarded by mu
	leaving map[string]bool // guarded by mu
}

func (r *roster) StartTime(string) time.Duration { return 26 * time.Second }

func (r *roster) set(pod string, leaving bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.leaving[pod]; !known {
		r.names = append(r.names, pod)
	}
	r.leaving[pod] = leaving
}

func (r *roster) remove(pod string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.leaving, pod)
}

func (r *roster) IsMember(_, pod string) (member, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, member = r.leaving[pod]
	return member, true
}

func (r *roster) Members(_ string, each func(pod string, ready, leaving bool)) (known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, pod := range r.names {
		if leaving, here := r.leaving[pod]; here {
			each(pod, true, leaving)
		}
	}
	return true
}
