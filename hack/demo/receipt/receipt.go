// Package receipt judges a run: what was promised, what came, and what that breaks.
package receipt

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/surgewall/surgewall/hack/loadgen/load"
)

// Receipt is the outcome of one run of the demo. Its JSON is what --json writes.
type Receipt struct {
	Where   string      `json:"where"`   // kind or local
	Seconds float64     `json:"seconds"` // the whole run, set-up included
	Phases  []Phase     `json:"phases"`
	Load    load.Result `json:"load"`
	Origin  Origin      `json:"origin"`
	Scaling *Scaling    `json:"scaling,omitempty"` // nil without a cluster
	PerPod  []Pod       `json:"requests_per_pod,omitempty"`
	Policy  *PolicyEdit `json:"policy_edit,omitempty"`
	Events  *Events     `json:"events,omitempty"`
	Purge   *Purge      `json:"purge,omitempty"`
	Broken  []string    `json:"broken"`           // promises that the run broke; empty: all kept
	Missed  []string    `json:"missed,omitempty"` // wanted times that a busy machine alone can miss: told, and no failure
	Notes   []string    `json:"notes,omitempty"`  // promises that the run could not tell anything of
}

// Phase is one step of the run and how long it took.
type Phase struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// Origin is what reached the origin.
type Origin struct {
	Fetches        uint64 `json:"fetches"`
	MaxPerLifetime uint64 `json:"max_per_lifetime"`
	WorstObject    string `json:"worst_object,omitempty"`
	ViralFetches   uint64 `json:"viral_fetches"` // of the object that half of the rush asked for
}

// Scaling is what happened to the fleet. Times count from the onset of the spike; a negative one did not happen.
type Scaling struct {
	Before       int           `json:"before"`
	Peak         int           `json:"peak"`
	After        int           `json:"after"`
	OnsetToWrite load.Duration `json:"onset_to_write"` // to the first higher spec.replicas that a watch saw
	OnsetToReady load.Duration `json:"onset_to_ready"` // to as many Ready edges as the offered rate of that moment needs
	Short        load.Duration `json:"short"`          // time in which the offered rate needed more edges than were Ready
	PeakReady    int           `json:"peak_ready"`
	Needed       int           `json:"needed"`   // edges that the peak rate needs
	ScaleIn      load.Duration `json:"scale_in"` // from the end of the rush to the replicas of before
	Rush         load.Duration `json:"rush"`     // from the onset to the end of the rush
}

// Pod is how many requests one edge answered.
type Pod struct {
	Name     string `json:"name"`
	Requests uint64 `json:"requests"`
	New      bool   `json:"new"` // was not there before the spike
	// Served is for how long it was Ready while the crowd came.
	Served load.Duration `json:"served"`
}

// fairTime is how long an edge has to be Ready before it must have got a share: clients keep a connection for some seconds.
const fairTime = load.Duration(10 * time.Second)

// startTime is how long an edge may take from the write of the scale to Ready before its lateness, and not the length of the spike, is the
// reason that nobody saw it serve.
const startTime = load.Duration(5 * time.Second)

// PolicyEdit is the change of the policy in mid-run.
type PolicyEdit struct {
	Key             string        `json:"key"`
	From            string        `json:"from"`
	To              string        `json:"to"`
	ResourceVersion string        `json:"resource_version"`
	Took            load.Duration `json:"took"` // from the accepted edit to the controller's answer with it in force; negative: never
}

// Events is what became of the telemetry.
type Events struct {
	Unknown string            `json:"unknown,omitempty"` // why the numbers are not known; empty: they are
	Lost    uint64            `json:"lost"`
	Dropped map[string]uint64 `json:"dropped,omitempty"`
}

// Purge is a purge of one object that every edge had, and what it cost the origin.
type Purge struct {
	URL      string        `json:"url"`
	Replicas int           `json:"replicas"` // edges and shields that have applied it
	Took     load.Duration `json:"took"`     // from the command to its end with all of them; negative: never
	Before   uint64        `json:"before"`   // origin fetches of the object until then
	After    uint64        `json:"after"`    // and after it
}

// WriteBound is the promise for the time from the onset of a spike to the write of the scale.
const WriteBound = 1500 * time.Millisecond

// Judge fills Broken, Missed and Notes.
func (r *Receipt) Judge() {
	r.Broken, r.Missed, r.Notes = []string{}, nil, nil
	broken := func(format string, args ...any) { r.Broken = append(r.Broken, fmt.Sprintf(format, args...)) }
	if r.Load.Completed == 0 {
		broken("no request was answered")
	}
	if r.Load.Failed > 0 {
		broken("%d of %d requests failed: %s", r.Load.Failed, r.Load.Completed, counts(r.Load.Errors))
	}
	if r.Origin.MaxPerLifetime > 1 {
		broken("the origin was asked %d times for %s within one freshness lifetime", r.Origin.MaxPerLifetime, r.Origin.WorstObject)
	}
	if r.Origin.ViralFetches != 1 {
		broken("the viral object took %d origin fetches, not one", r.Origin.ViralFetches)
	}
	if s := r.Scaling; s != nil {
		if s.Peak <= s.Before {
			broken("no scale-up: %d edges before the spike, %d at most", s.Before, s.Peak)
		} else if s.Peak < s.Needed || s.PeakReady <= s.Before {
			broken("the fleet never had the %d Ready edges that the peak needs: %d were asked for and %d came", s.Needed, s.Peak, s.PeakReady)
		} else if s.PeakReady < s.Needed {
			r.Missed = append(r.Missed, fmt.Sprintf("of the %d edges that the peak needs only %d were Ready while it lasted, though %d were asked for. Pods start slowly on a busy machine", s.Needed, s.PeakReady, s.Peak))
		}
		if s.OnsetToWrite > load.Duration(WriteBound) {
			r.Missed = append(r.Missed, fmt.Sprintf("the scale was written %s after the onset of the spike, wanted are %v. A busy machine alone does that; make bench-onset measures it", when(s.OnsetToWrite), WriteBound))
		}
		if s.After > s.Before {
			broken("no scale-in: %d edges before, %d after", s.Before, s.After)
		}
		if s.Peak > s.Before {
			failure, note := NewEdges(r.PerPod, s.Rush-max(0, s.OnsetToWrite))
			if failure != "" {
				broken("%s", failure)
			}
			if note != "" {
				r.Notes = append(r.Notes, note)
			}
		}
	}
	if p := r.Policy; p != nil && p.Took < 0 {
		broken("the controller did not take the edit of %s", p.Key)
	}
	if p := r.Purge; p != nil {
		switch {
		case p.Took < 0:
			broken("the purge of %s was not applied everywhere", p.URL)
		case p.Before != 1 || p.After != 1:
			broken("the purged object took %d origin fetches before and %d after the purge, not one each", p.Before, p.After)
		}
	}
}

// NewEdges judges whether the edges that came with a spike got a share of it; crowded is how long the crowd stayed after they were asked
// for. It answers with what was broken, or with a note where so short a crowd cannot tell, or with neither.
func NewEdges(pods []Pod, crowded load.Duration) (broken, note string) {
	counted := 0
	var idle []string
	for _, p := range pods {
		if !p.New || p.Served < fairTime {
			continue
		}
		counted++
		if p.Requests == 0 {
			idle = append(idle, p.Name)
		}
	}
	switch {
	case len(idle) > 0:
		return fmt.Sprintf("new edges got no request: %v", idle), ""
	case counted > 0:
		return "", ""
	case crowded < startTime+fairTime:
		return "", fmt.Sprintf("the spike was too short to tell whether new edges get requests: %v after the scale-up, want %v", crowded, startTime+fairTime)
	}
	return fmt.Sprintf("no new edge was Ready for %v and told its requests, though the crowd stayed for %v after the scale-up", fairTime, crowded), ""
}

func counts(m map[string]uint64) string {
	text := ""
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%d × %s", m[key], key)
	}
	return text
}
