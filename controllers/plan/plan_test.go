package plan

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/events"
)

var now = time.Date(2026, 6, 14, 18, 0, 0, 0, time.UTC)

func derby() Plan {
	return Plan{Name: "derby", At: now.Add(time.Hour), Ramp: Duration(10 * time.Minute), For: Duration(2 * time.Hour), Factor: 5}
}

func TestWords(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal("the time zone database is a part of the program: ", err)
	}
	for text, want := range map[string]string{
		"at 20:55, x5, ramp 10m, for 2h":                 "at 2026-06-14T18:55:00Z, x5, ramp 10m, for 2h",
		"at 20:55, ×5, ramp 10 m, for 2 h":               "at 2026-06-14T18:55:00Z, x5, ramp 10m, for 2h",
		"at 19:00 2.5x for 90min":                        "", // 90min is no unit in one word
		"at 19:00 2.5x for 90 min":                       "at 2026-06-15T17:00:00Z, x2.5, for 1h30m",
		"for 1h at now 25 edges":                         "at 2026-06-14T18:00:00Z, 25 edges, for 1h",
		"at 2026-07-01 09:30 floor 12 for 45m":           "at 2026-07-01T07:30:00Z, 12 edges, for 45m",
		"AT 2026-07-01T09:30:00-04:00, factor 3, for 1h": "at 2026-07-01T13:30:00Z, x3, for 1h",
	} {
		p, err := FromWords(text, now, berlin)
		if want == "" {
			if err == nil {
				t.Errorf("%s is taken for %v", text, p)
			}
			continue
		}
		if err != nil || p.String() != want {
			t.Errorf("%s: got %v, %v; want %s", text, p, err, want)
		}
		if again, err := FromWords(p.String(), now, time.UTC); err != nil || again != p {
			t.Errorf("%v is read as %v, %v", p, again, err)
		}
	}
}

func TestWordsThatAreNotUnderstood(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "\"at\" is missing",
		"at 20:55 x5":                  "\"for\" is missing",
		"at 20:55 for 2h":              "how many edges is missing",
		"at 25:55 x5 for 2h":           `at "25:55" is not a time such as 20:55`,
		"at 2026-06-15 x5 for 2h":      "a time of the day is missing, such as 2026-06-15 20:55",
		"at 20:55 x5 for 2":            `for "2" is not a duration`,
		"at 20:55 x5 for 2h for 3h":    `"for" is given twice`,
		"at 20:55 x5 25 edges for 3h":  `"how many" is given twice`,
		"at 20:55 many for 3h":         `"many" is not understood: want "at TIME,`,
		"at 20:55 xfive for 3h":        `"xfive" is not a number of times`,
		"at 20:55 some edges for 3h":   `"some" is not a number of edges`,
		"at 20:55 x5 ramp slow for 3h": `ramp "slow" is not a duration`,
	} {
		if _, err := FromWords(text, now, time.UTC); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	for want, change := range map[string]func(*Plan){
		`name "": lower-case letters`:                   func(p *Plan) { p.Name = "" },
		`name "a.b": lower-case letters`:                func(p *Plan) { p.Name = "a.b" },
		"at is missing":                                 func(p *Plan) { p.At = time.Time{} },
		"for 30s: 1m to 168h":                           func(p *Plan) { p.For = Duration(30 * time.Second) },
		"for 200h: 1m to 168h":                          func(p *Plan) { p.For = Duration(200 * time.Hour) },
		"ramp -1s: 0s to 24h":                           func(p *Plan) { p.Ramp = Duration(-time.Second) },
		"ramp 25h: 0s to 24h":                           func(p *Plan) { p.Ramp = Duration(25 * time.Hour) },
		"exactly one of factor and floor":               func(p *Plan) { p.Floor = 3 },
		"exactly one of":                                func(p *Plan) { p.Factor = 0 },
		"factor 1: 1.01 to 100":                         func(p *Plan) { p.Factor = 1 },
		"factor -5: 1.01 to 100":                        func(p *Plan) { p.Factor = -5 },
		"floor 5001: 1 to 5000 edges":                   func(p *Plan) { p.Factor, p.Floor = 0, 5001 },
		"floor -1: 1 to 5000 edges":                     func(p *Plan) { p.Factor, p.Floor = 0, -1 },
		"note: at most 256 bytes":                       func(p *Plan) { p.Note = "a\nb" },
		"at 2026-06-14T15:00:00Z for 2h: is over since": func(p *Plan) { p.At = now.Add(-3 * time.Hour) },
		"at 2028-06-14T18:00:00Z: at most a year ahead": func(p *Plan) { p.At = now.AddDate(2, 0, 0) },
	} {
		p := derby()
		change(&p)
		if err := p.Check(now); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := derby().Check(now); err != nil {
		t.Error(err)
	}
}

func TestADocumentIsChanged(t *testing.T) {
	d, err := Document{}.Add(derby())
	if err != nil {
		t.Fatal(err)
	}
	early := derby()
	early.Name, early.At = "early", now
	if d, err = d.Add(early); err != nil {
		t.Fatal(err)
	}
	again := derby()
	again.Factor = 7
	if d, err = d.Add(again); err != nil || len(d.Plans) != 2 || d.Plans[0].Name != "early" || d.Plans[1].Factor != 7 {
		t.Fatalf("%v, %v", d, err)
	}
	key := Key("plan", "early", early.At)
	d = d.WithBases(map[string]float64{key: 400}).WithBases(map[string]float64{key: 900, "calendar/a/1": 5})
	if d.Bases[key] != 400 {
		t.Errorf("a base was moved: %v", d.Bases)
	}
	back, err := Parse(d.String())
	if err != nil || !reflect.DeepEqual(back, d) {
		t.Errorf("read back %+v, %v", back, err)
	}
	if d = d.Prune(now.Add(26*time.Hour + 30*time.Minute)); len(d.Plans) != 1 || len(d.Bases) != 1 {
		t.Errorf("after a day and two and a half hours: %+v", d)
	}
	if _, err = d.Remove("early"); !errors.Is(err, ErrUnknown) {
		t.Errorf("removed twice: %v", err)
	}
	if d, err = d.Remove("derby"); err != nil || len(d.Plans) != 0 {
		t.Errorf("%+v, %v", d, err)
	}
	for i := range MaxPlans {
		p := derby()
		p.Name = fmt.Sprintf("p-%d", i)
		if d, err = d.Add(p); err != nil {
			t.Fatal(err)
		}
	}
	if _, err = d.Add(derby()); !errors.Is(err, ErrFull) {
		t.Errorf("one too many: %v", err)
	}
}

func TestBadDocuments(t *testing.T) {
	for text, want := range map[string]string{
		"[]":                       "plans are not in the form",
		`{"plan":[]}`:              "plans are not in the form",
		`{"plans":[]} x`:           "text behind",
		`{"plans":[{"name":"a"}]}`: "plan 1: at is missing",
		`{"plans":[{"name":"a","at":"2026-06-14T20:55:00Z","for":"2 hours","factor":2}]}`: `"2 hours" is not a duration`,
		`{"plans":[],"bases":{"a":-1}}`: `base "a" -1`,
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	if d, err := Parse(" \n"); err != nil || len(d.Plans) != 0 {
		t.Errorf("an empty text: %+v, %v", d, err)
	}
}

func TestAPlanFromTheBus(t *testing.T) {
	want := derby()
	want.By = "content"
	got := FromEvent(events.Plan{Action: events.PlanAdd, Fleet: "edge", Name: "derby", At: want.At, RampS: 600, ForS: 7200, Factor: 5}, "content")
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func FuzzParse(f *testing.F) {
	d, _ := Document{}.Add(derby())
	f.Add(d.WithBases(map[string]float64{"plan/derby/1": 3}).String())
	f.Add(`{"plans":[{"name":"a","at":"9999-06-14T20:55:00Z","for":"1m","floor":2}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(d.String())
		if err != nil || again.String() != d.String() {
			t.Fatalf("%q is read as %v, %v", d, again, err)
		}
		d.Prune(now)
	})
}

func FuzzWords(f *testing.F) {
	f.Add("at 20:55, x5, ramp 10m, for 2h")
	f.Add("at 2026-07-01 09:30 floor 12 for 45 min")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := FromWords(text, now, time.UTC)
		if err != nil || p.Check(now) != nil {
			return
		}
		p.Name = ""
		if again, err := FromWords(p.String(), now, time.UTC); err != nil || again != p {
			t.Fatalf("%v is read as %v, %v", p, again, err)
		}
	})
}
