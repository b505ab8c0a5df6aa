package httpcache

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/testorigin"
)

// A range is asked for, its URL purged, and then the origin answers with the
// whole, whatever it says: who waited gets that, who comes after the purge asks
// again, although the old answer is still on its way.
func TestPurgeDuringAFlightForARangeThatBecomesTheWhole(t *testing.T) {
	body := testorigin.Content(10 << 10)
	for name, first := range map[string]testorigin.Response{
		"the origin takes no ranges":  {Body: body},
		"it is not there":             {Status: http.StatusNotFound, Body: body},
		"the range was all that is":   {Body: body, Ranges: true},
		"no length, and takes no one": {Body: body, Chunked: true},
	} {
		for how, purge := range map[string]func(*rig){
			"hard purge":    func(r *rig) { r.purge(PurgeURL, r.server.URL+"/far") },
			"unsafe method": func(r *rig) { r.do("POST", "/far") },
			"purge of all":  func(r *rig) { r.purge(PurgeEverything, "") },
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				r := newRig(t)
				hold, gate := make(chan struct{}), make(chan struct{})
				r.origin.Handle("/far", func(_ *http.Request, n int) testorigin.Response {
					if n == 1 {
						old := first
						old.Header, old.Hold, old.Gate, old.Piece = fresh, hold, gate, 1<<10
						return old
					}
					return testorigin.Response{Body: []byte("new"), Header: fresh}
				})
				early := r.start(1, func(int) answer { return r.get("/far", "Range", "bytes=-16000") })
				r.awaitReaders("/far", 1)
				r.origin.Await(t, "/far", 1)
				purge(r)
				before := r.origin.Count("/far")
				close(hold)
				r.await("the old header", func() bool { return written(r, "/far") > 0 })
				late := r.start(1, func(int) answer { return r.get("/far") })
				r.await("another fetch", func() bool { readers, _ := r.waiting("/far"); return readers > 1 || r.origin.Count("/far") > before })
				close(gate)
				wantAll(t, late(), 200, []byte("new"))
				if a := early()[0]; a.err != nil {
					t.Errorf("who waited before the purge: %v", a.err)
				}
				r.awaitQuiet()
				wantAll(t, []answer{r.get("/far")}, 200, []byte("new"))
			})
		}
	}
}

// Which purges are forgotten first is no matter: what a forgotten one may have
// reached is never again taken for untouched.
func TestForgottenPurgesStayForgotten(t *testing.T) {
	e := newEpochs(4)
	now := time.Now()
	e.purgeLabels(PurgeHard, now, 1)
	e.purgeLabels(PurgeHard, now, 2)
	e.purgeLabels(PurgeHard, now, 3) // the halves change places for the first time
	born := e.last.Load()
	e.purgePrefix(PurgeHard, now, "a.example/old/")
	for i := range maxPrefixes { // push the first out
		e.purgePrefix(PurgeHard, now, fmt.Sprint("b.example/", i, "/"))
	}
	s := subject{key: "http://a.example/old/1"}
	if level, _ := e.judge(s, born); level == levelClean {
		t.Fatal("a purge was forgotten without a trace")
	}
	for l := range uint64(8) {
		e.purgeLabels(PurgeHard, now, 10+l)
		if level, _ := e.judge(s, born); level == levelClean {
			t.Fatalf("after %d further purges it counts as untouched", l+1)
		}
	}
}
