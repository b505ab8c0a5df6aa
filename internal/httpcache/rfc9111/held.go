package rfc9111

import "strings"

// BlockingReload reports whether a query asks for a playlist that the origin
// holds back until it contains a given segment or part (Low-Latency HLS,
// draft-pantos-hls-rfc8216bis section 6.2.5.2): an answer that takes seconds is
// then no sign of trouble. _HLS_part alone is an error, which is answered at once.
func BlockingReload(query string) bool {
	const name = "_HLS_msn="
	for rest := query; ; {
		i := strings.Index(rest, name)
		if i < 0 {
			return false
		}
		if i == 0 || rest[i-1] == '&' {
			return true
		}
		rest = rest[i+len(name):]
	}
}
