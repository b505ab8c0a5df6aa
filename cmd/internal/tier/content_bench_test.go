package tier

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/httpcache"
)

// stamped tells when a purge has taken effect.
type stamped struct {
	*httpcache.Cache
	done chan<- time.Time
}

func (s stamped) Purge(q httpcache.PurgeRequest) (httpcache.Purged, error) {
	purged, err := s.Cache.Purge(q)
	if q.Mode == httpcache.PurgeHard {
		s.done <- time.Now()
	}
	return purged, err
}

// BenchmarkPurgeOnFiftyReplicas publishes one purge after the other through a real broker to fifty replicas, each with a cache and a connection of its own.
// Wanted: at most 100 ms from accepted, which is confirmed by the broker, to applied, for 99 of 100.
func BenchmarkPurgeOnFiftyReplicas(b *testing.B) {
	const replicas = 50
	server := broker.Get(b)
	vhost := server.VHost(b)
	server.Setup(b, vhost)
	publish := newConfirmer(b, server, vhost)
	done := make(chan time.Time, replicas)
	all := make([]*replica, replicas)
	for i := range all {
		all[i] = new(replica)
		all[i].join(b, vhost, server.Port(), "edge", fmt.Sprint("edge-", i), new(origin), func(cache *httpcache.Cache) Purger { return stamped{cache, done} })
		for n := range 100 {
			all[i].get(fmt.Sprint("/", n))
		}
	}
	for _, r := range all {
		until(b, "every replica follows", time.Minute, r.Live)
	}
	var accepted, published, last []time.Duration
	for n := 0; b.Loop(); n++ {
		began := time.Now()
		if err := publish(fmt.Sprint("p-", n), events.ScopeTag, "all-of-them"); err != nil {
			b.Fatal(err)
		}
		confirmed := time.Now()
		var latest time.Time
		for range replicas {
			at := <-done
			// One that was quicker than the confirm is no time less than nothing.
			accepted, published = append(accepted, max(0, at.Sub(confirmed))), append(published, at.Sub(began))
			if at.After(latest) {
				latest = at
			}
		}
		last = append(last, latest.Sub(began))
	}
	for _, figure := range []struct {
		name  string
		times []time.Duration
	}{{"accepted", accepted}, {"published", published}, {"published-to-the-last", last}} {
		slices.Sort(figure.times)
		for _, p := range []int{50, 99} {
			b.ReportMetric(float64(figure.times[len(figure.times)*p/100].Microseconds())/1000, fmt.Sprintf("%s-p%d-ms", figure.name, p))
		}
	}
}
