package load

import "testing"

func TestCacheStatus(t *testing.T) {
	for _, c := range []struct {
		want   string
		values []string
	}{
		{"none", nil},
		{"none", []string{"?? not structured"}},
		{"none", []string{"edge"}},
		{"hit", []string{"edge; hit; ttl=30"}},
		{"hit", []string{"shield; fwd=uri-miss; stored", "edge; hit"}},
		{"stale", []string{"edge; hit; ttl=-3"}},
		{"miss", []string{"shield; hit; ttl=3, edge; fwd=uri-miss; fwd-status=200; stored"}},
		{"collapsed", []string{"shield; hit, edge; fwd=uri-miss; collapsed"}},
		{"miss", []string{"edge; fwd=uri-miss; collapsed=?0"}},
		{"revalidated", []string{"edge; fwd=stale; fwd-status=304"}},
		{"miss", []string{"edge; fwd=stale; fwd-status=200"}},
		{"bypass", []string{`"edge one"; fwd=method; detail="POST"`}},
	} {
		if got := cacheStatus(c.values); got != c.want {
			t.Errorf("%q: %s, want %s", c.values, got, c.want)
		}
	}
}

func FuzzCacheStatus(f *testing.F) {
	f.Add("edge; hit; ttl=-1")
	f.Add("a, b; fwd=stale; fwd-status=304")
	f.Fuzz(func(t *testing.T, s string) {
		if cacheStatus([]string{s}) == "" {
			t.Error("no status")
		}
	})
}
