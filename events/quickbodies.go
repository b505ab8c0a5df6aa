package events

func (r *Rate) quick(data []byte) bool {
	q := quick{data: data}
	q.is(`{"window_ms":`)
	r.WindowMS = int64(q.digits())
	q.count(`,"offered":`, &r.Offered)
	if q.maybe(`,"recent_ms":`) {
		r.RecentMS = int64(q.digits())
	}
	q.maybeCount(`,"recent":`, &r.Recent)
	q.count(`,"status":{"hit":`, &r.Status.Hit)
	q.count(`,"miss":`, &r.Status.Miss)
	q.count(`,"stale":`, &r.Status.Stale)
	q.count(`,"revalidated":`, &r.Status.Revalidated)
	q.count(`,"collapsed":`, &r.Status.Collapsed)
	q.count(`,"error":`, &r.Status.Error)
	q.count(`,"shed":`, &r.Status.Shed)
	q.count(`,"bypass":`, &r.Status.Bypass)
	q.count(`},"bytes_out":`, &r.BytesOut)
	q.count(`,"bytes_in":`, &r.BytesIn)
	q.count(`,"in_flight":`, &r.InFlight)
	q.count(`,"in_flight_peak":`, &r.InFlightPeak)
	if q.maybe(`,"latency":"`) {
		r.Latency = q.bytes()
	}
	q.capacity(&r.Capacity)
	q.is(`,"warm":`)
	r.Warm = q.number()
	r.Draining = q.maybe(`,"draining":true`)
	r.Early = q.maybe(`,"early":true`)
	return q.end()
}

// capacity takes an object of which each field may be left out.
func (q *quick) capacity(c *Capacity) {
	q.is(`,"capacity":{`)
	first := true
	field := func(name string) bool {
		before := q.at
		if (first || q.maybe(",")) && q.maybe(name) {
			first = false
			return true
		}
		q.at = before
		return false
	}
	if field(`"cpu":`) {
		c.CPU = q.number()
	}
	if field(`"connections":`) {
		c.Connections = q.digits()
	}
	if field(`"max_rps":`) {
		c.MaxRPS = q.number()
	}
	q.is("}")
}

func (m *Miss) quick(data []byte) bool {
	q := quick{data: data}
	q.is(`{"window_ms":`)
	m.WindowMS = int64(q.digits())
	q.count(`,"misses":`, &m.Misses)
	q.count(`,"distinct":`, &m.Distinct)
	if q.maybe(`,"sketch":"`) {
		m.Sketch = q.bytes()
	}
	// The keys share one copy of the body: a copy of each would be most of the work.
	lists, from := string(data[q.at:]), q.at
	if q.maybe(`,"top_missing":[`) {
		m.TopMissing = q.keys(lists, from)
	}
	if q.maybe(`,"top_hot":[`) {
		m.TopHot = q.keys(lists, from)
	}
	return q.end()
}

// keys takes a list after its bracket. The body is text from a place on.
func (q *quick) keys(text string, from int) []KeyCount {
	list := make([]KeyCount, 0, MaxTop)
	for !q.failed {
		q.is(`{"key":"`)
		begin, end := q.text()
		list = append(list, KeyCount{Key: text[begin-from : end-from]})
		q.count(`,"count":`, &list[len(list)-1].Count)
		q.is("}")
		if q.maybe("]") {
			break
		}
		q.is(",")
	}
	return list
}
