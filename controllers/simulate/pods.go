package simulate

import "time"

// pods are the replicas of one Deployment: some serve, some are starting.
type pods struct {
	ready    int
	starting []batch // in the order in which they will be ready
	waiting  int     // sum over starting
	delay    int     // parts of a second from the write until they are ready
	seen     time.Duration
}

type batch struct{ readyAt, n int }

func newPods(ready int, start time.Duration) *pods {
	return &pods{ready: ready, delay: parts * int(start/time.Second)}
}

func (p *pods) replicas() int { return p.ready + p.waiting }

// advance makes ready what is due at this part of a second since the start.
func (p *pods) advance(part int) {
	for len(p.starting) > 0 && p.starting[0].readyAt <= part {
		p.ready += p.starting[0].n
		p.waiting -= p.starting[0].n
		p.starting = p.starting[1:]
		p.seen = time.Duration(p.delay) * time.Second / parts
	}
}

// scale asks for this many replicas. As a ReplicaSet does, it takes those first
// that are not ready yet, the youngest first.
func (p *pods) scale(to, part int) {
	change := to - p.replicas()
	if change > 0 {
		p.starting = append(p.starting, batch{readyAt: part + p.delay, n: change})
		p.waiting += change
		return
	}
	for change < 0 && len(p.starting) > 0 {
		last := &p.starting[len(p.starting)-1]
		gone := min(last.n, -change)
		last.n -= gone
		p.waiting -= gone
		change += gone
		if last.n == 0 {
			p.starting = p.starting[:len(p.starting)-1]
		}
	}
	p.ready += change
}
