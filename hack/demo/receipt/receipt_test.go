package receipt

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/surgewall/surgewall/hack/loadgen/load"
)

func good() Receipt {
	return Receipt{
		Where:   "kind",
		Load:    load.Result{Completed: 20_000, PeakRPS: 600, Hits: 0.97},
		Origin:  Origin{Fetches: 200, MaxPerLifetime: 1, ViralFetches: 1},
		Scaling: &Scaling{Before: 2, Peak: 6, After: 2, OnsetToWrite: 9e8, OnsetToReady: 4e9, Short: 5e9, PeakReady: 6, Needed: 6, Rush: 34e9},
		PerPod:  []Pod{{Name: "surgewall-edge-1-a", Requests: 100}, {Name: "surgewall-edge-1-b", Requests: 50, New: true, Served: 2 * fairTime}, {Name: "surgewall-edge-1-c", New: true, Served: 2e9}},
		Policy:  &PolicyEdit{Key: "target-rps-per-edge", From: "100", To: "80", Took: 1e8},
		Events:  &Events{Dropped: map[string]uint64{"stale": 2}},
		Purge:   &Purge{URL: "http://www.example.com/obj/a", Replicas: 4, Took: 4e8, Before: 1, After: 1},
	}
}

func TestKeptPromises(t *testing.T) {
	r := good()
	r.Judge()
	if len(r.Broken) != 0 {
		t.Errorf("broken: %v", r.Broken)
	}
	var text strings.Builder
	r.Write(&text)
	for _, want := range []string{"requests per origin fetch      100 (200 fetches)", "900ms", "2, 6, 2", "a 100, +b 50, +c 0", "2 × stale", "400ms on 4 edges and shields; then 1 origin fetch", "Every promise kept"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
}

func TestBrokenPromises(t *testing.T) {
	for want, breakIt := range map[string]func(*Receipt){
		"no request was answered":                             func(r *Receipt) { r.Load.Completed = 0 },
		"2 of 20000 requests failed":                          func(r *Receipt) { r.Load.Failed, r.Load.Errors = 2, map[string]uint64{"timeout": 2} },
		"asked 3 times for /obj/x":                            func(r *Receipt) { r.Origin.MaxPerLifetime, r.Origin.WorstObject = 3, "/obj/x" },
		"viral object took 2":                                 func(r *Receipt) { r.Origin.ViralFetches = 2 },
		"viral object took 0":                                 func(r *Receipt) { r.Origin.ViralFetches = 0 },
		"no scale-up: 2 edges":                                func(r *Receipt) { r.Scaling.Peak = 2 },
		"6 Ready edges that the peak needs: 5 were asked for": func(r *Receipt) { r.Scaling.Peak, r.Scaling.PeakReady = 5, 5 },
		"6 were asked for and 2 came":                         func(r *Receipt) { r.Scaling.PeakReady = 2 },
		"no scale-in: 2 edges before, 3":                      func(r *Receipt) { r.Scaling.After = 3 },
		"new edges got no request":                            func(r *Receipt) { r.PerPod[1].Requests = 0 },
		"no new edge was Ready for 10s":                       func(r *Receipt) { r.PerPod = r.PerPod[:1] },
		"though the crowd stayed for 33.1s":                   func(r *Receipt) { r.PerPod[1].Served = 2e9 },
		"and told its requests":                               func(r *Receipt) { r.PerPod = nil },
		"was not applied everywhere":                          func(r *Receipt) { r.Purge.Took = -1 },
		"1 origin fetches before and 2":                       func(r *Receipt) { r.Purge.After = 2 },
		"1 origin fetches before and 0":                       func(r *Receipt) { r.Purge.After = 0 },
		"did not take the edit":                               func(r *Receipt) { r.Policy.Took = -1 },
	} {
		r := good()
		breakIt(&r)
		r.Judge()
		if len(r.Broken) != 1 || !strings.Contains(r.Broken[0], want) {
			t.Errorf("%s: %v", want, r.Broken)
		}
	}
}

func TestALateWriteIsSaidSo(t *testing.T) {
	r := good()
	r.Scaling.OnsetToWrite = 9e9
	r.Judge()
	var text strings.Builder
	r.Write(&text)
	if len(r.Broken) != 0 || !strings.Contains(text.String(), "Missed: the scale was written 9s after the onset of the spike, wanted are 1.5s") ||
		strings.Contains(text.String(), "Every promise kept") || !strings.Contains(text.String(), "Every other promise kept") {
		t.Errorf("broken %v:\n%s", r.Broken, text.String())
	}
}

func TestEdgesThatStartSlowlyAreSaidSo(t *testing.T) {
	r := good()
	r.Scaling.PeakReady = 5
	r.Judge()
	if len(r.Broken) != 0 || len(r.Missed) != 1 || !strings.Contains(r.Missed[0], "of the 6 edges that the peak needs only 5 were Ready") {
		t.Errorf("broken %v, missed %v", r.Broken, r.Missed)
	}
}

func TestTooShortASpikeIsSaidSo(t *testing.T) {
	r := good()
	r.Scaling.Rush, r.PerPod = 12e9, r.PerPod[:1]
	r.Judge()
	var text strings.Builder
	r.Write(&text)
	if len(r.Broken) != 0 || !strings.Contains(text.String(), "Not judged: the spike was too short to tell whether new edges get requests: 11.1s after") {
		t.Errorf("broken %v:\n%s", r.Broken, text.String())
	}
}

func TestEventsThatAreNotKnown(t *testing.T) {
	r := good()
	r.Events = &Events{Unknown: "the leader changed"}
	r.Judge()
	var text strings.Builder
	r.Write(&text)
	if !strings.Contains(text.String(), "not known: the leader changed") {
		t.Error(text.String())
	}
}

func TestWithoutCluster(t *testing.T) {
	r := good()
	r.Scaling, r.Policy, r.Events, r.PerPod, r.Purge = nil, nil, nil, nil, nil
	r.Judge()
	if len(r.Broken) != 0 {
		t.Errorf("broken: %v", r.Broken)
	}
	var text strings.Builder
	r.Write(&text)
	if strings.Contains(text.String(), "replicas") {
		t.Errorf("speaks of replicas:\n%s", text.String())
	}
}

// TestTheReadmeShowsTheReceipt: line by line what the demo prints now, the figures aside; it leaves out only how long each phase took.
func TestTheReadmeShowsTheReceipt(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	names := func(text string) (names []string) {
		_, text, found := strings.Cut(text, "\nReceipt\n")
		if !found {
			t.Fatalf("no receipt in\n%s", text)
		}
		for line := range strings.Lines(text) {
			if !strings.HasPrefix(line, "  ") || len(line) < 33 {
				return names
			}
			if name := strings.TrimSpace(line[:32]); name != "time" {
				names = append(names, name)
			}
		}
		return names
	}
	r := good()
	r.Judge()
	var text strings.Builder
	r.Write(&text)
	if got, want := names(string(readme)), names(text.String()); !slices.Equal(got, want) {
		t.Errorf("the README has\n%q\nthe demo prints\n%q", got, want)
	}
}
