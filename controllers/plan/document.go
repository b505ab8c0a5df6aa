package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// Document is what is kept for one fleet: its plans, and the load that factors
// multiply, which nobody could find out again after a restart.
type Document struct {
	Plans []Plan `json:"plans"` // by their beginning
	// Bases is the load of when a ramp began, in requests per second, by the Key
	// of the occurrence; that of calendar windows too.
	Bases map[string]float64 `json:"bases,omitempty"`
}

// Bounds of a document.
const (
	MaxPlans = 100
	maxBases = 400
	// kept is how long what is over stays visible.
	kept = 24 * time.Hour
)

// ErrUnknown says that there is no plan of the name.
var ErrUnknown = errors.New("there is no such plan")

// ErrFull says that the fleet has too many plans.
var ErrFull = fmt.Errorf("the fleet has %d plans, which is the most", MaxPlans)

// Key names an occurrence among the bases.
func Key(kind, name string, start time.Time) string {
	return fmt.Sprintf("%s/%s/%d", kind, name, start.Unix())
}

// Parse reads a document; the empty text is an empty one. A plan that is over is
// no error, everything else that Check refuses is.
func Parse(text string) (Document, error) {
	var d Document
	if strings.TrimSpace(text) == "" {
		return d, nil
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return Document{}, fmt.Errorf("plans are not in the form {\"plans\": [...]}: %w", err)
	}
	if decoder.More() {
		return Document{}, errors.New("plans have text behind the object")
	}
	if len(d.Plans) > MaxPlans || len(d.Bases) > maxBases {
		return Document{}, fmt.Errorf("%d plans and %d bases: at most %d and %d are allowed", len(d.Plans), len(d.Bases), MaxPlans, maxBases)
	}
	for i, p := range d.Plans {
		if err := p.Check(p.At); err != nil {
			return Document{}, fmt.Errorf("plan %d: %w", i+1, err)
		}
		if slices.ContainsFunc(d.Plans[:i], func(o Plan) bool { return o.Name == p.Name }) {
			return Document{}, fmt.Errorf("plan %d: the name %q is taken", i+1, p.Name)
		}
	}
	for key, base := range d.Bases {
		if math.IsNaN(base) || base < 0 || base > 1e12 || len(key) > 200 {
			return Document{}, fmt.Errorf("base %q %v: 0 to 1e12 requests per second are allowed", clip(key), base)
		}
	}
	return d, nil
}

// String is the document as it is kept: indented, for people who look.
func (d Document) String() string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if d.Plans == nil {
		d.Plans = []Plan{}
	}
	if err := encoder.Encode(d); err != nil {
		panic("plan: a document that was checked cannot be written: " + err.Error()) // times, numbers and text: all of it can be
	}
	return b.String()
}

// Add keeps a plan, in the place of one with its name. The plan has to be
// checked.
func (d Document) Add(p Plan) (Document, error) {
	out := Document{Bases: d.Bases}
	for _, o := range d.Plans {
		if o.Name != p.Name {
			out.Plans = append(out.Plans, o)
		}
	}
	if len(out.Plans) >= MaxPlans {
		return d, ErrFull
	}
	out.Plans = append(out.Plans, p)
	slices.SortStableFunc(out.Plans, func(a, b Plan) int { return a.At.Compare(b.At) })
	return out, nil
}

// Remove drops the plan of this name.
func (d Document) Remove(name string) (Document, error) {
	out := Document{Bases: d.Bases}
	for _, o := range d.Plans {
		if o.Name != name {
			out.Plans = append(out.Plans, o)
		}
	}
	if len(out.Plans) == len(d.Plans) {
		return d, ErrUnknown
	}
	return out, nil
}

// Find returns the plan of this name.
func (d Document) Find(name string) (Plan, bool) {
	i := slices.IndexFunc(d.Plans, func(p Plan) bool { return p.Name == name })
	if i < 0 {
		return Plan{}, false
	}
	return d.Plans[i], true
}

// WithBases adds bases that are not in it yet: the first one counts, since a
// later one has seen the rise.
func (d Document) WithBases(bases map[string]float64) Document {
	out := Document{Plans: d.Plans, Bases: maps.Clone(bases)}
	if out.Bases == nil {
		out.Bases = map[string]float64{}
	}
	maps.Copy(out.Bases, d.Bases)
	return out
}

// Prune drops plans and bases that are over for a day.
func (d Document) Prune(now time.Time) Document {
	out := Document{Bases: map[string]float64{}}
	for _, p := range d.Plans {
		if now.Sub(p.Occurrence().End) < kept {
			out.Plans = append(out.Plans, p)
		}
	}
	for key, base := range d.Bases {
		// No occurrence is longer than a week.
		var start int64
		if _, err := fmt.Sscanf(key[strings.LastIndexByte(key, '/')+1:], "%d", &start); err == nil && now.Sub(time.Unix(start, 0)) < 7*24*time.Hour+kept {
			out.Bases[key] = base
		}
	}
	for len(out.Bases) > maxBases {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(out.Bases)), func(a, b string) int {
			return strings.Compare(a[strings.LastIndexByte(a, '/')+1:], b[strings.LastIndexByte(b, '/')+1:])
		})
		delete(out.Bases, oldest)
	}
	return out
}
