package policy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/surgewall/surgewall/events"
)

// Problem is one reason to refuse a ConfigMap.
type Problem struct {
	Key     string
	Value   string
	What    string // what is wrong, as in "is out of range"
	Allowed string // what would be right
}

// Error is one line that names the key, its value and the allowed range.
func (p Problem) Error() string {
	return fmt.Sprintf("%s: %s %s; allowed: %s", quoteKey(p.Key), quote(p.Value), p.What, p.Allowed)
}

// Errors is every reason to refuse a ConfigMap, sorted by key.
type Errors []Problem

// Error is one line with every problem, so that it fits a Kubernetes Event.
func (e Errors) Error() string { return strings.Join(e.Lines(), " | ") }

// Lines is one line for each problem.
func (e Errors) Lines() []string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.Error()
	}
	return lines
}

// Parse reads the data of the policy ConfigMap of a fleet. Either every key is
// good, or the zero Policy and Errors with every problem are returned: a policy
// of which half was taken is one that nobody wrote.
func Parse(fleet string, data map[string]string) (Policy, error) {
	p, errs := parse(fleet, data)
	// The API server takes dots in the name of a ConfigMap, and a sender's name,
	// a broker user and a routing key have none: nothing would ever be heard.
	if events.CheckFleet(fleet) != nil {
		errs = append(errs, Problem{Key: "metadata.name", Value: fleet, What: "cannot name a fleet", Allowed: fleetAllowed})
	}
	if len(errs) > 0 {
		slices.SortStableFunc(errs, func(a, b Problem) int { return strings.Compare(a.Key, b.Key) })
		return Policy{}, errs
	}
	return p, nil
}

var fleetAllowed = fmt.Sprintf("lower-case letters, digits and '-', at most %d characters, a letter or digit at both ends", events.MaxFleet)

// parse is Parse for a name that is not looked at: the defaults exist for every
// fleet, also for one whose name is refused.
func parse(fleet string, data map[string]string) (p Policy, errs Errors) {
	preset := Preset(data["preset"])
	values := preset.Values()
	if _, ok := data["preset"]; !ok {
		values["preset"] = string(Balanced)
	}
	values["target-deployment"] = fleet
	maps.Copy(values, data)

	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values[name]
		k, ok := lookup(name)
		if !ok {
			errs = append(errs, unknown(name, value))
			continue
		}
		if err := k.set(&p, value); err != nil {
			errs = append(errs, Problem{Key: name, Value: value, What: err.Error(), Allowed: k.Allowed})
		}
	}
	return p, append(errs, p.contradictions(errs)...)
}

// contradictions are the rules that join two keys. A key that is bad on its own
// is left out of them: its field is still zero and would be blamed twice.
func (p Policy) contradictions(bad Errors) (errs Errors) {
	good := func(names ...string) bool {
		return !slices.ContainsFunc(bad, func(b Problem) bool { return slices.Contains(names, b.Key) })
	}
	if good("min-replicas", "max-replicas") && p.MinReplicas > p.MaxReplicas {
		errs = append(errs, Problem{
			Key: "min-replicas", Value: formatInt(p.MinReplicas), What: "is more than max-replicas",
			Allowed: fmt.Sprintf("1 to max-replicas (%d)", p.MaxReplicas),
		})
	}
	if good("max-rps-per-edge", "target-rps-per-edge") && p.MaxRPSPerEdge > 0 && p.MaxRPSPerEdge < p.TargetRPSPerEdge {
		errs = append(errs, Problem{
			Key: "max-rps-per-edge", Value: formatFloat(p.MaxRPSPerEdge), What: "is less than target-rps-per-edge",
			Allowed: fmt.Sprintf("0, or at least target-rps-per-edge (%s)", formatFloat(p.TargetRPSPerEdge)),
		})
	}
	if good("hold-replicas", "min-replicas", "max-replicas") && p.HoldReplicas != 0 &&
		(p.HoldReplicas < p.MinReplicas || p.HoldReplicas > p.MaxReplicas) {
		errs = append(errs, Problem{
			Key: "hold-replicas", Value: formatInt(p.HoldReplicas), What: "is outside min-replicas and max-replicas",
			Allowed: fmt.Sprintf("0, or %d to %d replicas", p.MinReplicas, p.MaxReplicas),
		})
	}
	if good("calendar", "max-replicas") {
		for _, w := range p.Calendar.Windows() {
			if w.Floor > p.MaxReplicas {
				errs = append(errs, Problem{
					Key: "calendar", Value: string(p.Calendar), What: fmt.Sprintf("has in the window %s a floor of %d, more than max-replicas", quote(w.Name), w.Floor),
					Allowed: fmt.Sprintf("floors up to max-replicas (%d)", p.MaxReplicas),
				})
			}
		}
	}
	if good("hold-replicas", "hold-until") && p.HoldReplicas == 0 && !p.HoldUntil.IsZero() {
		errs = append(errs, Problem{
			Key: "hold-until", Value: p.HoldUntil.Format("2006-01-02T15:04:05Z07:00"), What: "has no hold-replicas to end",
			Allowed: "empty, or together with hold-replicas",
		})
	}
	return errs
}

// Values is the policy in the form of its ConfigMap, every key included:
// Parse of it gives the same policy.
func (p Policy) Values() map[string]string {
	all := make(map[string]string, len(keys))
	for _, k := range keys {
		all[k.Name] = k.get(p)
	}
	return all
}

// Change is one key whose value differs between two policies.
type Change struct {
	Key  string `json:"key"`
	From string `json:"from"`
	To   string `json:"to"`
}

// String is the change as a log line shows it.
func (c Change) String() string {
	return fmt.Sprintf("%s: %s -> %s", c.Key, quote(c.From), quote(c.To))
}

// Diff lists the keys that differ, in the order of Keys.
func Diff(from, to Policy) (changes []Change) {
	for _, k := range keys {
		if a, b := k.get(from), k.get(to); a != b {
			changes = append(changes, Change{Key: k.Name, From: a, To: b})
		}
	}
	return changes
}

func lookup(name string) (Key, bool) {
	i := slices.IndexFunc(keys, func(k Key) bool { return k.Name == name })
	if i < 0 {
		return Key{}, false
	}
	return keys[i], true
}

func unknown(name, value string) Problem {
	what, allowed := "belongs to no known key", make([]string, len(keys))
	for i, k := range keys {
		allowed[i] = k.Name
	}
	if near, ok := nearest(name); ok {
		return Problem{Key: name, Value: value, What: what + "; did you mean " + strconv.Quote(near) + "?", Allowed: "the known keys"}
	}
	return Problem{Key: name, Value: value, What: what, Allowed: strings.Join(allowed, ", ")}
}

// nearest finds the known key with the fewest edits, if they are few enough
// that a slip of the hand explains them.
func nearest(name string) (string, bool) {
	best, distance := "", max(2, len(name)/4)+1
	for _, k := range keys {
		if d := edits(strings.ReplaceAll(strings.ToLower(name), "_", "-"), k.Name); d < distance {
			best, distance = k.Name, d
		}
	}
	return best, best != ""
}

// edits is the Levenshtein distance; names are bounded first, as it costs their product.
func edits(a, b string) int {
	a = a[:min(len(a), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// quote shows a value on one line and bounds it: a ConfigMap may hold a megabyte.
func quote(v string) string {
	const most = 64
	if len(v) > most {
		return strconv.Quote(v[:most]) + "…"
	}
	return strconv.Quote(v)
}

func quoteKey(k string) string { return strings.Trim(quote(k), `"`) }
