package load

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/surgewall/surgewall/hack/demo/object"
)

// mix chooses the object of each request from the catalogue and from what the profile says is happening.
type mix struct {
	profile    Profile
	popularity Popularity
	sizes      Sizes
	tag        string

	mu   sync.Mutex // vegeta's workers share it
	rng  *rand.Rand
	scan uint64
}

func newMix(p Profile, pop Popularity, sizes Sizes, tag string, seed uint64) *mix {
	return &mix{profile: p, popularity: pop, sizes: sizes, tag: tag, rng: rand.New(rand.NewPCG(seed, seed))}
}

// path is the path and query of a request sent this long after the start.
func (m *mix) path(elapsed time.Duration) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if from, to := m.profile.Rush(); elapsed >= from && elapsed < to {
		switch x := m.rng.Float64(); {
		case x < m.profile.ViralShare:
			return ViralPath(m.tag, m.sizes)
		case x < m.profile.ViralShare+m.profile.ScanShare:
			m.scan++
			id := m.tag + "-scan-" + strconv.FormatUint(m.scan, 10)
			return object.Path(id, m.sizes.Of(id))
		}
	}
	n, size := m.popularity.Pick(m.rng)
	return object.Path(m.tag+"-"+strconv.Itoa(n), size)
}

// ViralPath is the path of the one object that goes viral in a run with this tag. Nothing else asks for it.
func ViralPath(tag string, sizes Sizes) string {
	id := tag + "-viral"
	return object.Path(id, sizes.Of(id))
}
