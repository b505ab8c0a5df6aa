package rabbitmq

// acker decides when handled deliveries are acknowledged: many at once, since each acknowledgement costs a write.
type acker struct {
	every int
	tag   uint64
	n     int
}

// handled notes a delivery and reports whether the acknowledgement is due now.
func (a *acker) handled(tag uint64) bool {
	a.tag = tag
	a.n++
	return a.n >= a.every
}

// take returns the tag up to which everything was handled, false if nothing waits.
func (a *acker) take() (tag uint64, ok bool) {
	ok = a.n > 0
	a.n = 0
	return a.tag, ok
}
