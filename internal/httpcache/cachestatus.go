package httpcache

import (
	"strconv"
	"time"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
)

// forwardReason is the fwd parameter of Cache-Status (RFC 9211 section 2.2).
type forwardReason string

const (
	fwdNone     forwardReason = ""
	fwdBypass   forwardReason = "bypass"
	fwdMethod   forwardReason = "method"
	fwdURIMiss  forwardReason = "uri-miss"
	fwdVaryMiss forwardReason = "vary-miss"
	fwdRequest  forwardReason = "request"
	fwdStale    forwardReason = "stale"
	fwdPartial  forwardReason = "partial"
)

// collapse is the collapsed parameter (RFC 9211 section 2.6).
type collapse int

const (
	notCollapsed collapse = iota
	collapsed             // answered by a fetch that another request opened
	released              // waited for one, and could not use it
)

// cacheStatus is one cache's entry in Cache-Status.
type cacheStatus struct {
	hit       bool
	fwd       forwardReason
	fwdStatus int
	ttl       time.Duration
	hasTTL    bool
	stored    bool
	collapse  collapse
	detail    rfc9111.Reason
}

// append adds the entry of cache name to b. Tokens only, so nothing needs quoting.
func (s cacheStatus) append(b []byte, name string) []byte {
	b = append(b, name...)
	if s.hit {
		b = append(b, "; hit"...)
	}
	if s.fwd != fwdNone {
		b = append(append(b, "; fwd="...), s.fwd...)
	}
	if s.fwdStatus != 0 {
		b = strconv.AppendInt(append(b, "; fwd-status="...), int64(s.fwdStatus), 10)
	}
	if s.hasTTL {
		b = strconv.AppendInt(append(b, "; ttl="...), floorSeconds(s.ttl), 10)
	}
	if s.stored {
		b = append(b, "; stored"...)
	}
	switch s.collapse {
	case collapsed:
		b = append(b, "; collapsed"...)
	case released:
		b = append(b, "; collapsed=?0"...)
	}
	if s.detail != "" {
		b = append(append(b, "; detail="...), s.detail...)
	}
	return b
}

// floorSeconds rounds down, so that a stale response never shows a ttl of 0
// that reads as "just fresh".
func floorSeconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d < 0 && d%time.Second != 0 {
		s--
	}
	return s
}
