package store

import (
	"reflect"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
)

func TestRecord(t *testing.T) {
	base := time.Now()
	for _, o := range []*Object{
		{Key: "http://example.com/"},
		{Key: "", Vary: []string{}, Generation: 1<<64 - 1},
		{Key: "k", Vary: []string{"Accept", "Accept-Language"}, Generation: 7},
		{Key: "k\x00\x02", Total: 1 << 40, Offset: 1 << 39, Born: 1<<64 - 1, Labels: []uint64{0, 1<<64 - 1}},
		{Key: "k", Total: -1, CacheStatus: "shield; hit", Meta: rfc9111.Stored{Status: 999, ResponseTime: base.Add(-time.Hour), InitialAge: 3,
			Lifetime: -time.Hour, StaleWhileRevalidate: 1, StaleIfError: 2, NoCache: true, NoStale: true, ETag: `"x"`, LastModified: "yesterday"},
			Fields: []Field{{Name: "X-Odd", Values: []string{"", "b"}, Surrogate: true}, {Name: "Date", Values: []string{"c"}}, {Name: "", Values: []string{}}}},
		{Key: "k", Meta: rfc9111.Stored{MustRevalidate: true, Public: true, Immutable: true, ResponseTime: base}},
	} {
		p := parser{string(appendHeader(appendKey(nil, o.Key), o, base))}
		if got := p.object(base); !reflect.DeepEqual(got, o) || p.text != "" {
			t.Errorf("got  %+v and %q left,\nwant %+v", got, p.text, o)
		}
	}
}

// Every object comes back from its record as it was.
func FuzzRecord(f *testing.F) {
	f.Add("http://example.com/", "Content-Type", "text/html", 200, int64(1), int64(-1), uint64(1), true, 3)
	f.Add("", "", "", 0, int64(0), int64(0), uint64(0), false, 0)
	f.Fuzz(func(t *testing.T, key, name, value string, status int, a, b int64, c uint64, flag bool, n int) {
		base := time.Now()
		o := &Object{Key: key, Generation: c, Total: a, Offset: b, Born: c, CacheStatus: value, Meta: rfc9111.Stored{Status: status & 0xffff, ETag: value, LastModified: name,
			InitialAge: time.Duration(a), Lifetime: time.Duration(b), NoCache: flag, NoStale: !flag, ResponseTime: base.Add(time.Duration(a >> 2))}}
		for i := range n & 15 {
			o.Labels = append(o.Labels, c+uint64(i))
			o.Vary = append(o.Vary, name)
			o.Fields = append(o.Fields, Field{Name: name, Values: []string{value, key}[:1+i%2], Surrogate: flag})
		}
		p := parser{string(appendHeader(appendKey(nil, o.Key), o, base))}
		if got := p.object(base); !reflect.DeepEqual(got, o) || p.text != "" {
			t.Errorf("got  %+v and %q left,\nwant %+v", got, p.text, o)
		}
	})
}
