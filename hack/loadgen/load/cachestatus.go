package load

import "github.com/dunglas/httpsfv"

// cacheStatus reads how the cache nearest to the client answered from the values of Cache-Status (RFC 9211): hit, stale, collapsed,
// revalidated, miss, bypass, or "none" without a readable entry.
func cacheStatus(values []string) string {
	if len(values) == 0 {
		return "none"
	}
	list, err := httpsfv.UnmarshalList(values)
	if err != nil || len(list) == 0 {
		return "none"
	}
	// Each cache appends its own entry, so the last is the one that the client talked to (section 2).
	entry, ok := list[len(list)-1].(httpsfv.Item)
	if !ok {
		return "none"
	}
	if hit, _ := entry.Params.Get("hit"); hit == true {
		if ttl, _ := entry.Params.Get("ttl"); ttl != nil {
			if n, ok := ttl.(int64); ok && n < 0 {
				return "stale"
			}
		}
		return "hit"
	}
	if collapsed, _ := entry.Params.Get("collapsed"); collapsed == true {
		return "collapsed"
	}
	fwd, _ := entry.Params.Get("fwd")
	switch fwd {
	case httpsfv.Token("stale"):
		if status, _ := entry.Params.Get("fwd-status"); status == int64(304) {
			return "revalidated"
		}
		return "miss"
	case httpsfv.Token("bypass"), httpsfv.Token("method"):
		return "bypass"
	case nil:
		return "none"
	}
	return "miss"
}
