package fleet

import (
	"strings"
	"testing"

	"github.com/surgewall/surgewall/controllers/autoscale"
)

func TestAnOpinionOnAnEdit(t *testing.T) {
	r := newRoom()
	r.SetPolicy("edge", "7", nil)
	r.ticks(20)
	r.load.set(autoscale.Live, 1000)
	r.ticks(1)
	before, _ := r.Status("edge")
	for body, want := range map[string][]string{
		`{"data":{"target-rps-per-edge":"50","max-replicas":"40"}}`: {`"accepted":true`, `"key":"target-rps-per-edge","from":"100","to":"50"`, `"now":{"from":4,"to":10`, `"then":{"from":4,"to":2`},
		`{"data":{"max-replicas":"banana"}}`:                        {`"accepted":false`, `max-replicas: \"banana\" is not a whole number`},
		`{"data":{"target-deployment":"other"}}`:                    {`"accepted":true`, `"key":"target-deployment"`},
		`[]`:                                                        {"the body is not of the form"},
	} {
		code, text := r.ask("POST", "/v1/fleets/edge/policy/check", body)
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: %d %s lacks %s", body, code, text, w)
			}
		}
	}
	if code, _ := r.ask("POST", "/v1/fleets/none/policy/check", "{}"); code != 404 {
		t.Errorf("an unknown fleet: %d", code)
	}
	if after, _ := r.Status("edge"); after.Policy.ResourceVersion != before.Policy.ResourceVersion || after.Policy.Values["max-replicas"] != "20" || len(r.cluster.writes) != 1 {
		t.Errorf("asking changed something: %+v", after.Policy)
	}
}

// TestAnOpinionCountsWhatTheDeploymentSays: a policy that differs in nothing that matters changes nothing, whatever the target puts over it.
func TestAnOpinionCountsWhatTheDeploymentSays(t *testing.T) {
	for name, room := range map[string]func(*room) map[string]string{
		"hold": func(r *room) map[string]string {
			r.cluster.annotations = map[string]string{"surgewall.io/hold": "7"}
			return map[string]string{}
		},
		"pause": func(r *room) map[string]string {
			r.cluster.annotations = map[string]string{"surgewall.io/pause": "true"}
			return map[string]string{}
		},
		"floor": func(r *room) map[string]string {
			r.cluster.hpa = &autoscale.Autoscaler{Kind: autoscale.HorizontalPodAutoscaler, Name: "edge", Min: 4, Max: 8}
			return map[string]string{"mode": "floor"}
		},
		"calendar": func(*room) map[string]string {
			return map[string]string{"calendar": "late: 0 20 * * * for 1h floor 9"}
		},
	} {
		r := newRoom()
		data := room(r)
		r.SetPolicy("edge", "7", data)
		r.ticks(20)
		r.load.set(autoscale.Live, 1000)
		r.ticks(1)
		data["scale-down-max-step"] = "15%"
		o, _ := r.Opinion("edge", data)
		if o.Now == nil || o.Then == nil || *o.Now != *o.Then {
			t.Errorf("%s: now %+v, then %+v", name, o.Now, o.Then)
		}
	}
}

func TestAnOpinionOnTheCalendar(t *testing.T) {
	r := newRoom()
	r.SetPolicy("edge", "7", nil)
	r.ticks(20)
	// Its level is known, and no base of its own may be left behind.
	edit := map[string]string{"calendar": "late: 0 20 * * * for 1h factor 3"}
	for range 2 {
		if o, _ := r.Opinion("edge", edit); o.Now.To != 4 || o.Then.To != 12 || o.Then.Path != "calendar" {
			t.Errorf("now %+v, then %+v", o.Now, o.Then)
		}
	}
	r.ticks(1)
	if r.cluster.replicas != 4 || len(r.fleet("edge").ahead.unkept()) != 0 {
		t.Errorf("%d edges and %v after asking", r.cluster.replicas, r.fleet("edge").ahead.bases)
	}
	r.SetPolicy("edge", "8", map[string]string{"calendar": "late: 0 20 * * * for 1h floor 9"})
	r.ticks(1)
	if o, _ := r.Opinion("edge", map[string]string{}); o.Now.To != 9 || o.Then.Path == "calendar" || o.Then.To == 9 && o.Then.Path != "hold" {
		t.Errorf("now %+v, then without the window %+v", o.Now, o.Then)
	}
}

// TestAnOpinionOnAnotherMode: what is written, and so what it starts from, is another number.
func TestAnOpinionOnAnotherMode(t *testing.T) {
	r := newRoom()
	r.cluster.hpa = &autoscale.Autoscaler{Kind: autoscale.HorizontalPodAutoscaler, Name: "edge", Min: 2, Max: 8}
	r.SetPolicy("edge", "7", map[string]string{"mode": "observe"})
	r.ticks(20)
	r.load.set(autoscale.Live, 1000)
	r.ticks(1)
	if o, _ := r.Opinion("edge", map[string]string{"mode": "floor"}); o.Now.From != 4 || o.Now.To != 10 || o.Then.From != 2 || o.Then.To != 8 {
		t.Errorf("now %+v, then %+v", o.Now, o.Then)
	}
}
