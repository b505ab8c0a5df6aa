package updates

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/surgewall/surgewall/events"
)

var (
	edge1   = events.Sender{Fleet: "edge", Pod: "e-1"}
	shield0 = events.Sender{Fleet: "shield", Pod: "s-0"}
)

// followed has the controller's own replica apply an update that is in the log.
func (r *rig) followed(id string, offset int64) {
	at := events.PositionOf(id, offset)
	r.tracker.Followed(at)
	r.tracker.Logged(events.Event{Attributes: events.Attributes{ID: id}, Body: &events.Content{Action: events.ContentPurge, Scope: events.ScopeAll}}, at)
}

// heard has a replica say how far it is.
func (r *rig) heard(from events.Sender, id string, offset int64, live bool) {
	r.tracker.Heard(from, events.Applied{Role: "edge", Position: events.PositionOf(id, offset).String(), Live: live})
}

// listen passes a time in which the replicas say where they are.
func (r *rig) listen(id string, offset int64) {
	for range 4 {
		r.heard(edge1, id, offset, true)
		r.heard(shield0, id, offset, true)
		time.Sleep(5 * time.Second)
	}
}

// want is the state of the update p with that of each replica.
func (r *rig) want(t *testing.T, what string) {
	t.Helper()
	_, body := r.call("GET", "/v1/purges/p", "cms-secret", "")
	var u Update
	_ = json.Unmarshal([]byte(body), &u)
	var states []string
	for _, p := range u.Progress {
		states = append(states, p.Pod+" "+p.State)
	}
	if got := u.State + ": " + strings.Join(states, ", "); got != what {
		t.Errorf("%s, want %s", got, what)
	}
}

func TestProgressUntilComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		if code, _ := r.call("GET", "/v1/purges/p", "cms-secret", ""); code != 404 {
			t.Error(code)
		}
		r.listen("old", 3)
		r.followed("p", 4)
		r.want(t, "Published: e-1 pending, s-0 pending")
		r.heard(edge1, "old", 3, false)
		r.heard(shield0, "p", 4, true)
		r.want(t, "Applying: e-1 disconnected, s-0 applied")
		time.Sleep(20 * time.Second)
		r.heard(shield0, "q", 5, true)
		r.want(t, "Published: e-1 silent, s-0 pending") // it is ahead of the controller
		r.followed("q", 5)
		r.want(t, "Applying: e-1 silent, s-0 applied")
		// One event of another log at the same offset is not this one.
		r.heard(edge1, "other", 4, true)
		r.want(t, "Applying: e-1 pending, s-0 applied")
		for range 10 {
			time.Sleep(5 * time.Second)
			r.heard(shield0, "q", 5, true)
		}
		r.tracker.Heard(edge1, events.Applied{Role: "edge", Closing: true})
		r.want(t, "Complete: s-0 applied")
		// Who comes later has nothing that was purged.
		r.heard(edge1, "old", 3, true)
		r.want(t, "Complete: e-1 pending, s-0 applied")
		if code, body := r.call("GET", "/v1/purges?limit=2", "cms-secret", ""); code != 200 || !strings.Contains(body, `"id":"p"`) {
			t.Error(code, body)
		}
	})
}

// TestAPositionOfAnotherLogIsNoProgress: the log is made anew, and an update in it has a smaller offset than what the replicas applied of the one before.
func TestAPositionOfAnotherLogIsNoProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.followed("old", 3000)
		r.listen("old", 3000)
		r.tracker.Followed(events.Position{}) // the controller's replica has noticed
		r.followed("p", 0)
		r.want(t, "Published: e-1 pending, s-0 pending")
		// They have not noticed yet, and say so once more.
		r.heard(edge1, "old", 3000, true)
		r.heard(shield0, "p", 0, true)
		r.want(t, "Applying: e-1 pending, s-0 applied")
		r.heard(edge1, "p", 0, true)
		r.want(t, "Complete: e-1 applied, s-0 applied")
	})
}

// TestAnUpdateOfALogThatIsGoneIsNotCompletedByTheNext: what the replicas apply of the next log says nothing about it.
func TestAnUpdateOfALogThatIsGoneIsNotCompletedByTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.followed("old", 6)
		r.listen("old", 6)
		r.followed("p", 7)
		r.tracker.Followed(events.Position{})
		r.followed("next", 8)
		r.listen("next", 8)
		r.want(t, "Published: e-1 pending, s-0 pending")
	})
}

// TestWhoHasJustBegunToListenCompletesNothing: after a start, or a time without the broker, the first replica that is heard is not all of them.
func TestWhoHasJustBegunToListenCompletesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		for range 2 {
			r.followed("p", 4)
			r.heard(shield0, "p", 4, true)
			r.want(t, "Applying: s-0 applied")
			time.Sleep(4 * time.Second)
			r.heard(edge1, "old", 3, true)
			r.want(t, "Applying: e-1 pending, s-0 applied")
			for range 4 {
				time.Sleep(5 * time.Second)
				r.heard(edge1, "old", 3, true)
				r.heard(shield0, "p", 4, true)
			}
			r.want(t, "Applying: e-1 pending, s-0 applied")
			time.Sleep(5 * time.Minute) // without the broker: every replica is forgotten
		}
		r.listen("p", 4)
		r.want(t, "Complete: e-1 applied, s-0 applied")
	})
}

func TestAnIDThatCameWithSomethingElseIsUnderWayAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.followed("p", 4)
		r.listen("p", 4)
		r.want(t, "Complete: e-1 applied, s-0 applied")
		at := events.PositionOf("p", 5)
		r.tracker.Followed(at)
		r.tracker.Logged(events.Event{Attributes: events.Attributes{ID: "p"}, Body: &events.Content{Action: events.ContentPurge, Scope: events.ScopeTag, Values: []string{"a"}}}, at)
		r.want(t, "Published: e-1 pending, s-0 pending")
	})
}
