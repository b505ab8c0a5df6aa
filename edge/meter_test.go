package edge

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/httpcache"
)

func TestMeterCountsEveryRequestOnce(t *testing.T) {
	m := NewMeter()
	handler := m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		for _, status := range statuses {
			m.Observe(httpcache.Outcome{Status: status, Key: "http://a/" + string(status), BytesOut: 10})
		}
		m.received(3)
	}))
	const clients, requests = 8, 500
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for range requests {
				handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
			}
		})
	}
	group.Wait()
	const n = clients * requests
	want := Totals{
		Offered: n, BytesOut: n * 10 * uint64(len(statuses)), BytesIn: n * 3,
		Status: events.StatusCounts{Hit: n, Miss: n, Stale: n, Revalidated: n, Collapsed: n, Error: n, Shed: n, Bypass: n},
	}
	if got := m.Totals(); got != want {
		t.Errorf("totals %+v, want %+v", got, want)
	}
	if got := want.Sub(want); got != (Totals{}) {
		t.Errorf("totals less themselves: %+v", got)
	}
	if m.Offered() != n || m.InFlight() != 0 {
		t.Errorf("offered %d, in flight %d", m.Offered(), m.InFlight())
	}
}

func TestMeterCountsWhatWaitsAsOfferedAndKeepsThePeak(t *testing.T) {
	m := NewMeter()
	arrived, leave := make(chan struct{}), make(chan struct{})
	handler := m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived <- struct{}{}; <-leave }))
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() { handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)) })
		<-arrived
	}
	if m.Offered() != 5 || m.InFlight() != 5 {
		t.Errorf("offered %d, in flight %d, want 5 and 5", m.Offered(), m.InFlight())
	}
	close(leave)
	group.Wait()
	if first, second := m.takePeak(), m.takePeak(); first != 5 || second != 0 {
		t.Errorf("peak %d, then %d; want 5, then 0", first, second)
	}
}

func TestKeysOfAWindow(t *testing.T) {
	m := NewMeter()
	if got := m.keys.take(); got != nil {
		t.Fatalf("a window without a miss: %+v", got)
	}
	for i := range 1000 {
		m.Observe(httpcache.Outcome{Status: httpcache.StatusMiss, Key: fmt.Sprintf("http://a/scan-%d", i)})
	}
	for range 300 {
		m.Observe(httpcache.Outcome{Status: httpcache.StatusHit, Key: "http://a/hot"})
		m.Observe(httpcache.Outcome{Status: httpcache.StatusCollapsed, Key: "http://a/cold\n"})
	}
	m.Observe(httpcache.Outcome{Status: httpcache.StatusShed})
	got := m.keys.take()
	if got == nil || got.Misses != 1300 {
		t.Fatalf("misses: %+v", got)
	}
	if got.Distinct < 950 || got.Distinct > 1050 {
		t.Errorf("%d different keys, there were 1001", got.Distinct)
	}
	if len(got.TopMissing) != events.MaxTop || got.TopMissing[0].Key != "http://a/cold?" || got.TopMissing[0].Count < 300 || got.TopMissing[0].Count > 307 {
		t.Errorf("most missing of %d: %+v, want 300 of http://a/cold?", len(got.TopMissing), got.TopMissing[0])
	}
	if len(got.TopHot) == 0 || got.TopHot[0].Count < 300 {
		t.Errorf("hottest: %+v", got.TopHot)
	}
	got.WindowMS = 1000
	if _, err := events.EncodeMiss(events.Attributes{Source: events.Source("edge", "a"), BootID: "abcdefgh", Seq: 1}, *got); err != nil {
		t.Errorf("the window cannot be published: %v", err)
	}
	if again := m.keys.take(); again != nil {
		t.Errorf("the next window is not empty: %+v", again)
	}
}

func BenchmarkMeter(b *testing.B) {
	for _, c := range []struct {
		name   string
		status httpcache.Status
		keys   int
	}{{"hits of one key", httpcache.StatusHit, 1}, {"hits of 1000 keys", httpcache.StatusHit, 1000}, {"misses of 1000 keys", httpcache.StatusMiss, 1000}} {
		b.Run(c.name, func(b *testing.B) {
			m := NewMeter()
			keys := make([]string, c.keys)
			for i := range keys {
				keys[i] = fmt.Sprintf("http://video.example/live/segment-%d.m4s", i)
			}
			i := 0
			handler := m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				n := i
				for pb.Next() {
					n++
					handler.ServeHTTP(nil, nil)
					m.Observe(httpcache.Outcome{Status: c.status, Key: keys[n%len(keys)], BytesOut: 1000})
				}
			})
		})
	}
}
