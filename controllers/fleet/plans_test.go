package fleet

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/controllers/autoscale"
	"github.com/surgewall/surgewall/controllers/plan"
)

// store is a ConfigMap with a version. Each edit of it is shown to the managers that watch.
type store struct {
	texts    map[string]string
	version  int
	before   func(s *store) // runs once before the next write
	missing  bool
	down     error
	watching []*Manager
}

func (s *store) Plans(context.Context) (map[string]string, string, error) {
	if s.missing {
		return nil, "", apiError("not found")
	}
	if s.down != nil {
		return nil, "", s.down
	}
	return maps.Clone(s.texts), fmt.Sprint(s.version), nil
}

func (s *store) SetPlans(_ context.Context, version string, texts map[string]string) error {
	if f := s.before; f != nil {
		s.before = nil
		f(s)
	}
	if version != fmt.Sprint(s.version) {
		return fmt.Errorf("update: %w", apiError("conflict"))
	}
	s.texts, s.version = maps.Clone(texts), s.version+1
	for _, m := range s.watching {
		m.SetPlans(texts)
	}
	return nil
}

func newPlannedRoom(s *store) *room {
	r := newRoom()
	r.Manager.options.Plans = s
	r.SetPolicy("edge", "7", map[string]string{"max-replicas": "40", "min-replicas": "1"})
	r.SetPlans(s.texts)
	s.watching = append(s.watching, r.Manager)
	return r
}

func (r *room) second(n int) {
	for range n {
		r.ticks(1)
		r.keepOnce(context.Background())
	}
}

func (r *room) ask(method, path, body string) (int, string) {
	w := httptest.NewRecorder()
	pass := func(next http.Handler) http.Handler { return next }
	r.Handler(pass).ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w.Code, w.Body.String()
}

// TestKickOff plans a match and plays it: edges are added over the ramp, of which the pods' start of 10 s is a part, are kept although the load
// does not come, and go when it is over. The base outlives the controller that saw it.
func TestKickOff(t *testing.T) {
	s := &store{}
	r := newPlannedRoom(s)
	r.second(60)
	kickOff := r.now.Add(3 * time.Minute)
	body := fmt.Sprintf(`{"name":"derby","at":%q,"ramp":"1m","for":"10m","factor":5}`, kickOff.Format(time.RFC3339))
	if code, text := r.ask("POST", "/v1/fleets/edge/plans", body); code != 201 || !strings.Contains(text, `"state":"waiting"`) {
		t.Fatalf("%d %s", code, text)
	}
	r.second(109) // to the beginning of the ramp, less the start of a pod
	if got := r.cluster.written(); len(got) != 0 {
		t.Fatalf("wrote %v before the ramp", got)
	}
	r.second(31)
	half := r.cluster.replicas
	r.second(40)
	if half < 10 || half > 13 || r.cluster.replicas < 19 || r.cluster.replicas > 20 {
		t.Errorf("%d edges half way, %d at kick-off, want about 12 and 20 for five times 390 rps", half, r.cluster.replicas)
	}
	st, _ := r.Status("edge")
	if d := st.Decision; d.Path != "plan" || d.Inputs.Floor == nil || d.Inputs.Floor.Name != "derby" || !strings.HasPrefix(d.Reason, "plan: derby asks for") {
		t.Errorf("decision %+v", d)
	}
	if !strings.Contains(s.texts["edge"], `"plan/derby/`) {
		t.Errorf("the base is not kept: %s", s.texts["edge"])
	}

	// Another controller takes over in the middle of it, under a load that has risen.
	other := newPlannedRoom(s)
	other.now, other.cluster = r.now, r.cluster
	other.Manager.options.Scaler = r.cluster
	other.fleet("edge").options.Scaler = r.cluster
	other.load.set(autoscale.Live, 1200)
	before := r.cluster.replicas
	other.second(60)
	if other.cluster.replicas != before {
		t.Errorf("%d edges after the restart, want the %d of before: the base moved", other.cluster.replicas, before)
	}
	if code, text := other.ask("GET", "/v1/fleets/edge/plans", ""); code != 200 || !strings.Contains(text, `"state":"active"`) || !strings.Contains(text, `"base_rps":3`) {
		t.Errorf("%d %s", code, text)
	}
	other.load.set(autoscale.Live, 390)
	other.second(550 + 600)
	if other.cluster.replicas > 5 {
		t.Errorf("%d edges long after the end", other.cluster.replicas)
	}
}

func TestACalendarWindowRaises(t *testing.T) {
	r := newRoom() // at 20:00
	r.SetPolicy("edge", "7", map[string]string{"calendar": "late: 5 20 * * * for 1h ramp 2m floor 12"})
	r.ticks(170)
	if len(r.cluster.writes) != 0 {
		t.Fatalf("wrote %v before the ramp", r.cluster.writes)
	}
	r.ticks(130)
	s, _ := r.Status("edge")
	if r.cluster.replicas != 12 || s.Decision.Path != "calendar" {
		t.Errorf("%d edges: %s", r.cluster.replicas, s.Decision.Reason)
	}
	// A calendar raises without a signal as well.
	r = newRoom()
	r.load.set(autoscale.Blind, 0)
	r.SetPolicy("edge", "7", map[string]string{"calendar": "late: 0 20 * * * for 1h floor 9"})
	r.ticks(2)
	if r.cluster.replicas != 9 {
		t.Errorf("%d edges without a signal", r.cluster.replicas)
	}
}

// TestPlansThatComeWhileAFleetBegins: its policy and the plans come from two watches, in any order and at once.
func TestPlansThatComeWhileAFleetBegins(t *testing.T) {
	r := newRoom()
	text := func(name string) map[string]string {
		d, err := plan.Document{}.Add(plan.Plan{Name: name, At: r.now.Add(time.Hour), For: plan.Duration(time.Hour), Factor: 2})
		if err != nil {
			t.Fatal(err)
		}
		return map[string]string{"edge": d.String()}
	}
	r.SetPlans(text("old"))
	clock, once := r.Manager.options.Now, false
	r.Manager.options.Now = func() time.Time {
		if !once {
			once = true
			r.SetPlans(text("new"))
		}
		return clock()
	}
	r.SetPolicy("edge", "7", nil)
	if got, _ := r.Plans("edge"); len(got) != 1 || got[0].Name != "new" {
		t.Errorf("plans %v", got)
	}
}

func TestPlansOverHTTP(t *testing.T) {
	s := &store{}
	r := newPlannedRoom(s)
	const good = `{"name":"derby","at":"2026-06-14T20:55:00Z","for":"2h","floor":25}`
	for _, tc := range []struct {
		method, path, body string
		code               int
		want               string
	}{
		{"POST", "/v1/fleets/edge/plans", good, 201, `"floor":25,"by":"http"`},
		{"POST", "/v1/fleets/edge/plans", good, 409, "there is a plan of that name"},
		{"POST", "/v1/fleets/none/plans", good, 404, "no policy ConfigMap"},
		{"POST", "/v1/fleets/edge/plans", `{"at":"2026-06-14T22:00:00+01:00","for":"1h","factor":2}`, 201, `"name":"p20260614-2100"`},
		{"POST", "/v1/fleets/edge/plans", `{"name":"big","at":"2026-06-14T22:00:00Z","for":"1h","floor":50}`, 201, "floor is more than max-replicas"},
		{"POST", "/v1/fleets/edge/plans", `{"name":"x","at":"2026-06-14T20:55:00Z","for":"2h"}`, 400, "exactly one of factor and floor"},
		{"POST", "/v1/fleets/edge/plans", `{"name":"x","at":"2026-06-14T20:55:00Z","for":"2 h","factor":2}`, 400, `\"2 h\" is not a duration`},
		{"POST", "/v1/fleets/edge/plans", `{"nam":"x"}`, 400, "unknown field"},
		{"POST", "/v1/fleets/edge/plans", strings.Repeat(" ", maxPlanBody+1), 400, "too large"},
		{"DELETE", "/v1/fleets/edge/plans/derby", "", 204, ""},
		{"DELETE", "/v1/fleets/edge/plans/derby", "", 404, "no such plan"},
		{"GET", "/v1/fleets/edge/plans", "", 200, `{"plans":[{"name":"p20260614-2100"`},
		{"GET", "/v1/fleets/none/plans", "", 404, "no policy ConfigMap"},
	} {
		if code, text := r.ask(tc.method, tc.path, tc.body); code != tc.code || !strings.Contains(text, tc.want) {
			t.Errorf("%s %s %.60s: %d %s, want %d %s", tc.method, tc.path, tc.body, code, text, tc.code, tc.want)
		}
	}
	w := httptest.NewRecorder()
	r.Handler(nil).ServeHTTP(w, httptest.NewRequest("POST", "/v1/fleets/edge/plans", strings.NewReader(good)))
	if w.Code != 403 || !strings.Contains(w.Body.String(), "--api-token-file") {
		t.Errorf("without a token file: %d %s", w.Code, w.Body)
	}
	s.missing = true
	if code, text := r.ask("POST", "/v1/fleets/edge/plans", good); code != 503 || !strings.Contains(text, "read the plans: not found") {
		t.Errorf("without the ConfigMap: %d %s", code, text)
	}
}

func TestTwoWhoPlanAtOnceBothSucceed(t *testing.T) {
	s := &store{}
	r := newPlannedRoom(s)
	p := plan.Plan{At: r.now.Add(time.Hour), For: plan.Duration(time.Hour), Factor: 2}
	s.before = func(s *store) {
		other := p
		other.Name = "other"
		d, err := plan.Document{}.Add(other)
		if err != nil {
			t.Fatal(err)
		}
		s.texts, s.version = map[string]string{"edge": d.String()}, s.version+1
	}
	p.Name = "mine"
	if err := r.AddPlan(t.Context(), "edge", p, false); err != nil {
		t.Fatal(err)
	}
	if got, _ := r.Plans("edge"); len(got) != 2 {
		t.Errorf("plans %v", got)
	}
	s.texts["edge"] = "damaged"
	if err := r.AddPlan(t.Context(), "edge", p, true); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("over a damaged text: %v", err)
	}
	r.SetPlans(s.texts)
	if got, _ := r.Plans("edge"); len(got) != 2 {
		t.Errorf("a damaged text took the plans away: %v", got)
	}
}
