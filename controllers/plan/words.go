package plan

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Words is the form that FromWords takes, for help texts and errors.
const Words = `"at TIME, xTIMES|EDGES edges, [ramp DURATION], for DURATION"`

// FromWords reads a plan as people say it: "at 20:55, x5, ramp 10m, for 2h". A
// time of the day is the next one in the location; "2026-06-14 20:55", RFC 3339
// and "now" are taken too. Neither name nor bounds are checked.
func FromWords(text string, now time.Time, location *time.Location) (Plan, error) {
	w := words{rest: strings.Fields(strings.ReplaceAll(text, ",", " ")), now: now.In(location)}
	for len(w.rest) > 0 {
		if err := w.next(); err != nil {
			return Plan{}, err
		}
	}
	for _, need := range []string{"at", "for"} {
		if !slices.Contains(w.seen, need) {
			return Plan{}, fmt.Errorf("%q is missing: want %s", need, Words)
		}
	}
	if !slices.Contains(w.seen, "how many") {
		return Plan{}, errors.New("how many edges is missing: want xTIMES, such as x5, or EDGES edges, such as 25 edges")
	}
	return w.plan, nil
}

type words struct {
	rest []string
	seen []string
	now  time.Time
	plan Plan
}

func (w *words) take() (first string) {
	if len(w.rest) > 0 {
		first, w.rest = w.rest[0], w.rest[1:]
	}
	return first
}

func (w *words) next() (err error) {
	word := w.take()
	kind := strings.ToLower(word)
	switch kind {
	case "at":
		w.plan.At, err = w.time()
	case "for":
		w.plan.For, err = w.duration(kind)
	case "ramp":
		w.plan.Ramp, err = w.duration(kind)
	default:
		err, kind = w.size(kind), "how many"
	}
	if err != nil {
		return err
	}
	if slices.Contains(w.seen, kind) {
		return fmt.Errorf("%q is given twice", kind)
	}
	w.seen = append(w.seen, kind)
	return nil
}

// size takes "x5", "×5", "5x", "factor 5", "25 edges" and "floor 25".
func (w *words) size(word string) (err error) {
	number := func(s string) (err error) {
		if w.plan.Factor, err = strconv.ParseFloat(s, 64); err != nil {
			err = fmt.Errorf("%q is not a number of times, such as x5", clip(word))
		}
		return err
	}
	edges := func(s string) (err error) {
		if w.plan.Floor, err = strconv.Atoi(s); err != nil {
			err = fmt.Errorf("%q is not a number of edges", clip(s))
		}
		return err
	}
	for _, sign := range []string{"x", "×"} {
		if n, ok := strings.CutPrefix(word, sign); ok {
			if n == "" {
				n = w.take()
			}
			return number(n)
		}
		if n, ok := strings.CutSuffix(word, sign); ok {
			return number(n)
		}
	}
	switch {
	case word == "factor":
		return number(w.take())
	case word == "floor":
		return edges(w.take())
	case len(w.rest) > 0 && (w.rest[0] == "edges" || w.rest[0] == "edge"):
		w.take()
		return edges(word)
	}
	return fmt.Errorf("%q is not understood: want %s", clip(word), Words)
}

// duration takes "10m", and "10 m" in two words.
func (w *words) duration(of string) (Duration, error) {
	text := w.take()
	if _, err := strconv.Atoi(text); err == nil && len(w.rest) > 0 && slices.Contains([]string{"s", "m", "h", "min"}, w.rest[0]) {
		text += strings.TrimSuffix(w.take(), "in")
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%s %q is not a duration such as 90s, 10m or 2h", of, clip(text))
	}
	return Duration(d), nil
}

func (w *words) time() (time.Time, error) {
	text := w.take()
	if strings.EqualFold(text, "now") {
		return w.now.Truncate(time.Second).UTC(), nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UTC(), nil
	}
	location := w.now.Location()
	if day, err := time.ParseInLocation(time.DateOnly, text, location); err == nil {
		clock, err := time.Parse("15:04", w.take())
		if err != nil {
			return time.Time{}, fmt.Errorf("at %s: a time of the day is missing, such as %s 20:55", text, text)
		}
		return time.Date(day.Year(), day.Month(), day.Day(), clock.Hour(), clock.Minute(), 0, 0, location).UTC(), nil
	}
	clock, err := time.Parse("15:04", text)
	if err != nil {
		return time.Time{}, fmt.Errorf("at %q is not a time such as 20:55, 2026-06-14 20:55, 2026-06-14T20:55:00Z or now", clip(text))
	}
	y, m, d := w.now.Date()
	at := time.Date(y, m, d, clock.Hour(), clock.Minute(), 0, 0, location)
	if !at.After(w.now) {
		at = time.Date(y, m, d+1, clock.Hour(), clock.Minute(), 0, 0, location)
	}
	return at.UTC(), nil
}
