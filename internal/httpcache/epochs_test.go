package httpcache

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// The memory of purges is bounded and forgets: whatever it has forgotten, and in
// whatever order, it never takes a response for better than a list of all purges
// does; and as long as it has forgotten nothing it says the same.
func TestEpochsAgainstAListOfAllPurges(t *testing.T) {
	rounds := 1000
	if testing.Short() {
		rounds = 150
	}
	type purge struct {
		mode    PurgeMode
		at      time.Time
		reaches func(subject) bool
		key     string // of one that it reaches, or empty
	}
	for round := range rounds {
		rng := rand.New(rand.NewPCG(3, uint64(round)))
		limit := []int{1, 2, 4, 1000}[rng.IntN(4)]
		e := newEpochs(limit)
		var all []purge // by number, from 1
		hosts, now := []string{"a.example", "b.example"}, time.Now()
		directories, wide := 3, true
		if rng.IntN(2) == 0 { // many narrow prefixes, so that some are forgotten
			directories, wide = 100, false
		}
		random := func() subject {
			s := subject{key: fmt.Sprintf("http://%s/%d/%d", hosts[rng.IntN(2)], rng.IntN(directories), rng.IntN(3))}
			for l := range 3 {
				if rng.IntN(2) == 0 {
					s.labels = append(s.labels, labelOf(labelTag, fmt.Sprint(l)))
				}
			}
			return s
		}
		has := func(label uint64) func(subject) bool {
			return func(s subject) bool {
				for _, l := range s.labels {
					if l == label {
						return true
					}
				}
				return false
			}
		}
		kind, most := 0, 400
		if limit == 1000 {
			most = maxPrefixes // nothing is forgotten
		}
		for range rng.IntN(most) {
			now = now.Add(time.Second)
			p := purge{mode: []PurgeMode{PurgeHard, PurgeInvalidate, PurgeSoft}[rng.IntN(3)], at: now}
			host := hosts[rng.IntN(2)]
			on := func(s subject) bool { return strings.HasPrefix(schemeless(s.key), host+"/") }
			if wide {
				kind = rng.IntN(12)
			} else if rng.IntN(50) == 0 { // many of one kind in a row
				kind = rng.IntN(7)
			}
			switch kind {
			case 0, 1, 2, 3:
				prefix := fmt.Sprintf("%s/%d/", host, rng.IntN(100))
				if wide && rng.IntN(3) == 0 {
					prefix = host + "/" + []string{"", "1", "1/", "1/2"}[rng.IntN(4)]
				}
				p.reaches = func(s subject) bool { return strings.HasPrefix(schemeless(s.key), prefix) }
				p.key = "http://" + prefix + "1"
				e.purgePrefix(p.mode, now, prefix)
			case 4, 5, 6:
				tag := labelOf(labelTag, fmt.Sprint(rng.IntN(20)))
				p.reaches = has(tag)
				e.purgeMembers(p.mode, now, tag)
			case 7, 8:
				tag := labelOf(labelTag, fmt.Sprint(rng.IntN(20)))
				p.reaches = func(s subject) bool { return on(s) && has(tag)(s) }
				e.purgeMembers(p.mode, now, within(labelOf(labelHost, host), tag))
			case 9:
				p.reaches = on
				e.purgeLabels(p.mode, now, labelOf(labelHost, host))
			case 10:
				key := random().key
				p.reaches = func(s subject) bool { return s.key == key }
				e.purgeLabels(p.mode, now, labelOf(labelURL, schemeless(key)))
			default:
				p.reaches = func(subject) bool { return true }
				if !wide || rng.IntN(4) > 0 {
					p.mode = PurgeSoft
				}
				e.purgeAll(p.mode, now)
			}
			all = append(all, p)
			for range 8 {
				s := random()
				born := rng.Uint64N(uint64(len(all)) + 1)
				if i := rng.IntN(len(all)); all[i].key != "" { // one that this purge reaches, and hardly another
					s.key, born = all[i].key, uint64(max(0, i-rng.IntN(3)))
				}
				arrived := born + rng.Uint64N(uint64(len(all))+1-born)
				want, between := levelClean, false
				var softAt time.Time
				for i, p := range all[born:] {
					if !p.reaches(s) {
						continue
					}
					between = between || born+uint64(i)+1 <= arrived
					level := map[PurgeMode]purgeLevel{PurgeHard: levelGone, PurgeInvalidate: levelInvalid, PurgeSoft: levelSoft}[p.mode]
					if level == levelSoft && softAt.IsZero() {
						softAt = p.at
					}
					want = max(want, level)
				}
				got, at := e.judge(s, born)
				exact := limit == 1000
				// What was forgotten is validated: that is enough even for what is gone,
				// since only what is still the same can be confirmed.
				if min(got, levelInvalid) < min(want, levelInvalid) || exact && got != want {
					t.Fatalf("round %d, purge %d: %+v born at %d is %d, by the list %d", round, len(all), s, born, got, want)
				}
				if got == levelSoft && exact && at.Before(softAt) {
					t.Fatalf("round %d, purge %d: stale since %v, by the list since %v", round, len(all), at, softAt)
				}
				if between && !e.between(s, born, arrived) {
					t.Fatalf("round %d, purge %d: a purge between %d and %d was missed for %+v", round, len(all), born, arrived, s)
				}
			}
		}
	}
}
