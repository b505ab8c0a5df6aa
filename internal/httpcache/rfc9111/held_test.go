package rfc9111

import "testing"

func TestBlockingReload(t *testing.T) {
	for query, want := range map[string]bool{
		"":                              false,
		"_HLS_msn=273":                  true,
		"_HLS_msn=273&_HLS_part=2":      true,
		"token=x&_HLS_msn=273":          true,
		"a=1&_HLS_part=2&_HLS_msn=273":  true,
		"_HLS_msn=":                     true, // the origin's to refuse
		"_HLS_part=2":                   false,
		"_HLS_skip=YES":                 false,
		"_HLS_msn":                      false,
		"x_HLS_msn=273":                 false,
		"x_HLS_msn=1&_HLS_msn=273":      true,
		"a=_HLS_msn=273":                false,
		"_hls_msn=273":                  false, // parameters have a case
		"_HLS_msn_HLS_msn=1":            false,
		"u=https://x/?_HLS_msn=1&b=2":   false,
		"u=https://x/%3F_HLS_msn=1&b=2": false,
	} {
		if got := BlockingReload(query); got != want {
			t.Errorf("%q: %v", query, got)
		}
	}
}
