package rabbitmq

import "sync"

// gate lets the writer through or makes it wait.
type gate struct {
	mu sync.Mutex
	// opened is closed while the gate is open.
	opened chan struct{}
}

// newGate returns an open gate.
func newGate() *gate {
	g := &gate{opened: make(chan struct{})}
	close(g.opened)
	return g
}

func (g *gate) isOpen() bool {
	select {
	case <-g.opened:
		return true
	default:
		return false
	}
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isOpen() {
		g.opened = make(chan struct{})
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.isOpen() {
		close(g.opened)
	}
}

// shuts reports whether the gate is shut now.
func (g *gate) shuts() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.isOpen()
}

// pass waits until the gate is open and returns true, or false once stop is closed.
func (g *gate) pass(stop <-chan struct{}) bool {
	g.mu.Lock()
	opened := g.opened
	g.mu.Unlock()
	select {
	case <-stop:
		return false
	default:
	}
	select {
	case <-opened:
		return true
	case <-stop:
		return false
	}
}
