package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // the image of the controller has no time zone database, and a policy must mean the same everywhere

	"github.com/robfig/cron/v3"
)

// Calendar is the canonical text of windows that come back, "; " between them.
// It is a string so that policies compare with ==.
type Calendar string

// Bounds of a calendar.
const (
	maxCalendar = 8192 // bytes
	maxWindows  = 50
	minFor      = time.Minute
	maxFor      = 7 * 24 * time.Hour
	maxRamp     = 24 * time.Hour
	minFactor   = 1.01
	maxFactor   = 100
)

const calendarAllowed = "windows of the form `NAME: MINUTE HOUR DAY MONTH WEEKDAY for DURATION [ramp DURATION] floor EDGES|factor TIMES [zone ZONE]`, with ';' or a new line between them, or empty"

// Window is a stretch of time that comes back, as cron says when.
type Window struct {
	Name   string
	Cron   string // five fields
	For    time.Duration
	Ramp   time.Duration
	Floor  int     // edges; 0 where Factor is given
	Factor float64 // 0 where Floor is given
	Zone   string  // of the tz database

	schedule cron.Schedule
	location *time.Location
}

// Windows are the windows of the calendar.
func (c Calendar) Windows() []Window {
	windows, err := parseWindows(string(c))
	if err != nil {
		panic("policy: a Calendar that was not parsed: " + err.Error())
	}
	return windows
}

// String is the window in the form that the calendar writes.
func (w Window) String() string {
	s := w.Name + ": " + w.Cron + " for " + FormatDuration(w.For)
	if w.Ramp > 0 {
		s += " ramp " + FormatDuration(w.Ramp)
	}
	if w.Floor > 0 {
		s += " floor " + formatInt(w.Floor)
	} else {
		s += " factor " + formatFloat(w.Factor)
	}
	return s + " zone " + w.Zone
}

// Between are the occurrences that matter, from the beginning of the ramp to the
// end, at any time within [from, to], the earliest first. An hour that daylight
// saving time leaves out has none, one that comes twice has two.
func (w Window) Between(from, to time.Time) (found []Occurrence) {
	for at := from.Add(-w.For).In(w.location); ; {
		at = w.schedule.Next(at)
		if at.IsZero() || at.Add(-w.Ramp).After(to) {
			return found
		}
		found = append(found, Occurrence{Name: w.Name, Start: at, End: at.Add(w.For), Ramp: w.Ramp, Floor: w.Floor, Factor: w.Factor})
	}
}

func parseCalendar(v string) (Calendar, error) {
	windows, err := parseWindows(v)
	if err != nil {
		return "", err
	}
	texts := make([]string, len(windows))
	for i, w := range windows {
		texts[i] = w.String()
	}
	return Calendar(strings.Join(texts, "; ")), nil
}

func parseWindows(v string) (windows []Window, err error) {
	if len(v) > maxCalendar {
		return nil, fmt.Errorf("is longer than %d bytes", maxCalendar)
	}
	for text := range strings.FieldsFuncSeq(v, func(r rune) bool { return r == ';' || r == '\n' }) {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		w, err := parseWindow(text)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(windows, func(o Window) bool { return o.Name == w.Name }) {
			return nil, fmt.Errorf("has two windows with the name %s", quote(w.Name))
		}
		if windows = append(windows, w); len(windows) > maxWindows {
			return nil, fmt.Errorf("has more than %d windows", maxWindows)
		}
	}
	return windows, nil
}

func parseWindow(text string) (Window, error) {
	name, rest, ok := strings.Cut(text, ":")
	w := Window{Name: strings.TrimSpace(name), Zone: "UTC"}
	if !ok || !isLabel(w.Name) {
		return w, fmt.Errorf("has a window that does not begin with a name and ':': %s", quote(text))
	}
	if err := w.parse(strings.Fields(rest)); err != nil {
		return w, fmt.Errorf("has in the window %s %w", quote(w.Name), err)
	}
	return w, nil
}

// cronFields are minute, hour, day of the month, month and day of the week.
const cronFields = 5

func (w *Window) parse(words []string) (err error) {
	if len(words) < cronFields || slices.ContainsFunc(words[:cronFields], func(s string) bool { return slices.Contains(settings, s) }) {
		return errors.New("fewer than the five fields MINUTE HOUR DAY MONTH WEEKDAY")
	}
	w.Cron = strings.Join(words[:cronFields], " ")
	seen := map[string]bool{}
	for words = words[cronFields:]; len(words) > 0; words = words[2:] {
		key := words[0]
		if !slices.Contains(settings, key) {
			return fmt.Errorf("the word %s, which is none of %s", quote(key), strings.Join(settings, ", "))
		}
		if len(words) == 1 {
			return fmt.Errorf("%s without a value", key)
		}
		if seen[key] {
			return fmt.Errorf("%s twice", key)
		}
		seen[key] = true
		if err := w.set(key, words[1]); err != nil {
			return fmt.Errorf("%s %s, %w", key, quote(words[1]), err)
		}
	}
	switch {
	case !seen["for"]:
		return errors.New("no length: for DURATION")
	case seen["floor"] == seen["factor"]:
		return errors.New("not exactly one of floor EDGES and factor TIMES")
	}
	if w.location, err = zone(w.Zone); err != nil {
		return err
	}
	return w.check()
}

var settings = []string{"for", "ramp", "floor", "factor", "zone"}

func (w *Window) set(key, v string) (err error) {
	switch key {
	case "for":
		w.For, err = durationWithin(v, minFor, maxFor)
	case "ramp":
		w.Ramp, err = durationWithin(v, 0, maxRamp)
	case "floor":
		if w.Floor, err = parseInt(v); err != nil || w.Floor < 1 || w.Floor > MaxReplicas {
			return fmt.Errorf("where 1 to %d edges are allowed", MaxReplicas)
		}
	case "factor":
		if w.Factor, err = parseFloat(v); err != nil || !(w.Factor >= minFactor && w.Factor <= maxFactor) {
			return fmt.Errorf("where %v to %v times are allowed", minFactor, maxFactor)
		}
	case "zone":
		w.Zone = v
	}
	return err
}

func durationWithin(v string, low, high time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil || d < low || d > high || d%time.Second != 0 {
		return 0, fmt.Errorf("where a duration from %s to %s in whole seconds is allowed", FormatDuration(low), FormatDuration(high))
	}
	return d, nil
}

// zone finds a time zone by its name in the tz database.
func zone(name string) (*time.Location, error) {
	location, err := time.LoadLocation(name)
	if err != nil || name == "Local" || name == "" || location.String() != name { // Local is another zone on each machine
		return nil, fmt.Errorf("the unknown time zone %s", quote(name))
	}
	return location, nil
}

// someDay is when the check of a window begins; any day will do, if it is always the same.
var someDay = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// check compiles the schedule, and refuses windows that never come or overlap
// themselves: they say something else than was meant.
func (w *Window) check() (err error) {
	// The parser also takes "TZ=…" and "@every …", in which a time zone or a name hides.
	if strings.Trim(w.Cron, "0123456789*/,-? abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return fmt.Errorf("the schedule %s with a character that cron does not know", quote(w.Cron))
	}
	parser := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	if w.schedule, err = parser.Parse(w.Cron); err != nil {
		return fmt.Errorf("the schedule %s: %s", quote(w.Cron), quote(err.Error()))
	}
	before := w.schedule.Next(someDay.In(w.location))
	if before.IsZero() {
		return fmt.Errorf("the schedule %s, which never comes", quote(w.Cron))
	}
	for range 400 {
		next := w.schedule.Next(before)
		if next.IsZero() {
			break
		}
		if gap := next.Sub(before); gap < w.For {
			return fmt.Errorf("for %s, and it begins again after %s", FormatDuration(w.For), FormatDuration(gap))
		}
		before = next
	}
	return nil
}

func isLabel(s string) bool {
	_, err := parseName(s)
	return err == nil && len(s) <= 63 && !strings.Contains(s, ".")
}
