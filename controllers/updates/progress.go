package updates

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/surgewall/surgewall/events"
)

const (
	// silentAfter is how long a replica may say nothing; it speaks every five seconds.
	silentAfter = 15 * time.Second
	// forgetAfter is when a silent replica is taken for gone: by then it does not serve what it has as fresh, unless it is told to.
	forgetAfter = time.Minute
	// maxReplicas, maxUpdates and maxMarks bound what is remembered.
	maxReplicas = 20_000
	maxUpdates  = 10_000
	maxMarks    = 10_000
)

// Progress is how far one replica is with one update.
type Progress struct {
	Role  string `json:"role"`
	Fleet string `json:"fleet"`
	Pod   string `json:"pod"`
	// State is applied, pending, disconnected (it has not applied the update and has lost touch with the log) or silent (nothing was heard of it lately).
	State string `json:"state"`
	// HeardSeconds is the time since it was heard last.
	HeardSeconds float64 `json:"heard_seconds"`
}

// Update is a content update and what became of it.
type Update struct {
	ID        string               `json:"id"`
	Action    events.ContentAction `json:"action"`
	Scope     events.ContentScope  `json:"scope"`
	Values    []string             `json:"values,omitempty"`
	Host      string               `json:"host,omitempty"`
	Principal string               `json:"principal"`
	Reason    string               `json:"reason,omitempty"`
	At        time.Time            `json:"at"`
	// State is Published (in the log), Applying, or Complete: applied by every replica that is known, after replicas were listened to for as long
	// as one may be silent.
	State  string `json:"state"`
	Offset int64  `json:"offset"`
	// Applied of Replicas have applied it.
	Applied  int        `json:"applied"`
	Replicas int        `json:"replicas"`
	Progress []Progress `json:"progress,omitempty"`
	// DryRun and Repeated say that nothing was published: because that was asked for, or because the id is known.
	DryRun   bool `json:"dry_run,omitempty"`
	Repeated bool `json:"repeated,omitempty"`
}

// Tracker knows the latest updates of the log, and how far each replica is. It is safe for concurrent use.
type Tracker struct {
	now func() time.Time

	mu       sync.Mutex
	replicas map[events.Sender]*replica
	updates  map[string]*update
	order    []string // ids, the oldest first
	// marks are those of the latest events of the log by their offsets: offsets of two logs do not compare. Each life of the log has a number.
	marks map[int64]string
	life  int
	// last is when any replica was heard, since when that began after a silence: who knows few replicas knows nothing of all.
	last, since time.Time
}

type replica struct {
	role     string
	position events.Position
	live     bool
	heard    time.Time
}

type update struct {
	content  events.Content
	position events.Position
	life     int // of the log that holds it
	at       time.Time
	complete bool
}

// NewTracker returns a tracker that knows nothing; a nil clock is time.Now.
func NewTracker(now func() time.Time) *Tracker {
	if now == nil {
		now = time.Now
	}
	return &Tracker{now: now, replicas: map[events.Sender]*replica{}, updates: map[string]*update{}, marks: map[int64]string{}}
}

// Followed notes how far this controller has followed the log, event by event. The zero position says that what comes next is not known to follow what
// came before: the log may have been made anew.
func (t *Tracker) Followed(p events.Position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !p.Known() {
		clear(t.marks)
		t.life++
		return
	}
	t.marks[p.Offset] = p.Mark
	delete(t.marks, p.Offset-maxMarks)
}

// Logged notes an update that is in the log.
func (t *Tracker) Logged(e events.Event, at events.Position) {
	body, ok := e.Body.(*events.Content)
	if !ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if u, known := t.updates[e.ID]; known {
		if !same(u.content, *body) {
			// Published by who did not know the first one: replicas apply it too, and it is the one that is still under way.
			*u = update{content: *body, position: at, life: t.life, at: t.now()}
		}
		return
	}
	if len(t.order) >= maxUpdates {
		delete(t.updates, t.order[0])
		t.order = t.order[1:]
	}
	t.updates[e.ID] = &update{content: *body, position: at, life: t.life, at: t.now()}
	t.order = append(t.order, e.ID)
}

// Heard notes how far a replica is.
func (t *Tracker) Heard(from events.Sender, a events.Applied) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if now.Sub(t.last) > silentAfter {
		t.since = now
	}
	t.last = now
	if a.Closing {
		delete(t.replicas, from)
		return
	}
	r := t.replicas[from]
	if r == nil {
		t.forget()
		if len(t.replicas) >= maxReplicas {
			return
		}
		r = new(replica)
		t.replicas[from] = r
	}
	r.role, r.live, r.heard = a.Role, a.Live, now
	r.position = events.Position{}
	if a.Position != "" {
		r.position, _ = events.ParsePosition(a.Position) // decoded: it is one
	}
}

func (t *Tracker) forget() {
	now := t.now()
	for from, r := range t.replicas {
		if now.Sub(r.heard) > forgetAfter {
			delete(t.replicas, from)
		}
	}
}

// Content returns what an id was published for.
func (t *Tracker) Content(id string) (events.Content, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if u, ok := t.updates[id]; ok {
		return u.content, true
	}
	return events.Content{}, false
}

// Update returns the state of an update with the progress of each replica.
func (t *Tracker) Update(id string) (Update, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget()
	u, ok := t.updates[id]
	if !ok {
		return Update{}, false
	}
	return t.describe(id, u, true), true
}

// Updates returns the latest updates, the newest first, without the progress of each replica.
func (t *Tracker) Updates(limit int) []Update {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget()
	list := []Update{}
	for _, id := range slices.Backward(t.order) {
		if len(list) == limit {
			break
		}
		list = append(list, t.describe(id, t.updates[id], false))
	}
	return list
}

func (t *Tracker) describe(id string, u *update, each bool) Update {
	d := Update{
		ID: id, Action: u.content.Action, Scope: u.content.Scope, Values: u.content.Values, Host: u.content.Host, Principal: u.content.Principal,
		Reason: u.content.Reason, At: u.at, Offset: u.position.Offset, State: "Published",
	}
	now := t.now()
	for from, r := range t.replicas {
		d.Replicas++
		p := Progress{Role: r.role, Fleet: from.Fleet, Pod: from.Pod, HeardSeconds: now.Sub(r.heard).Seconds(), State: "pending"}
		switch {
		case u.life == t.life && r.position.Offset >= u.position.Offset && r.position.Known() && t.marks[r.position.Offset] == r.position.Mark:
			p.State = "applied"
			d.Applied++
		case now.Sub(r.heard) > silentAfter:
			p.State = "silent"
		case !r.live:
			p.State = "disconnected"
		}
		if each {
			d.Progress = append(d.Progress, p)
		}
	}
	slices.SortFunc(d.Progress, func(a, b Progress) int { return strings.Compare(a.Fleet+"/"+a.Pod, b.Fleet+"/"+b.Pod) })
	u.complete = u.complete || d.Replicas > 0 && d.Applied == d.Replicas && now.Sub(t.since) >= silentAfter
	switch {
	case u.complete:
		// A replica that came later had nothing that the update was about.
		d.State = "Complete"
	case d.Applied > 0:
		d.State = "Applying"
	}
	return d
}
