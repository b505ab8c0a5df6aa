package edgeauth_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"

	"github.com/surgewall/surgewall/internal/edgeauth"
)

var (
	oldKey, newKey = strings.Repeat("o", 32), strings.Repeat("n", 43)
	at             = time.Date(2026, 6, 14, 20, 0, 0, 0, time.UTC)
	asked          = edgeauth.Request{Method: "GET", Host: "www.example.org", Target: "/live/seg-1.m4s?session=7"}
)

const (
	name = "/sports/edge-7d9f-x2"
	skew = time.Minute
)

func keys(t testing.TB, lines ...string) *edgeauth.Keys {
	t.Helper()
	k, err := edgeauth.ParseKeys([]byte(strings.Join(lines, "\n") + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestWhatAShieldAccepts(t *testing.T) {
	good := keys(t, newKey).Sign(asked, name, at)
	replace := func(from, to string) []string { return []string{strings.Replace(good, from, to, 1)} }
	change := func(f func(*edgeauth.Request)) edgeauth.Request {
		r := asked
		f(&r)
		return r
	}
	for what, c := range map[string]struct {
		values []string
		keys   []string
		asked  edgeauth.Request
		now    time.Time
		want   edgeauth.Verdict
	}{
		"as it was sent":                        {want: edgeauth.Authenticated},
		"an edge whose clock is behind":         {now: at.Add(skew), want: edgeauth.Authenticated},
		"an edge whose clock is ahead":          {now: at.Add(-skew), want: edgeauth.Authenticated},
		"replayed after the window":             {now: at.Add(skew + time.Second), want: edgeauth.OutsideWindow},
		"made for later":                        {now: at.Add(-skew - time.Second), want: edgeauth.OutsideWindow},
		"new key second, before the rotation":   {keys: []string{oldKey, newKey}, want: edgeauth.Authenticated},
		"old key second, after the rotation":    {values: []string{keys(t, oldKey).Sign(asked, name, at)}, keys: []string{newKey, oldKey}, want: edgeauth.Authenticated},
		"old key, after its end":                {values: []string{keys(t, oldKey).Sign(asked, name, at)}, want: edgeauth.Mismatch},
		"another key":                           {keys: []string{oldKey}, want: edgeauth.Mismatch},
		"no field":                              {values: []string{}, want: edgeauth.Missing},
		"two fields":                            {values: []string{good, good}, want: edgeauth.Malformed},
		"an empty field":                        {values: []string{""}, want: edgeauth.Malformed},
		"another path":                          {asked: change(func(r *edgeauth.Request) { r.Target = "/live/seg-2.m4s?session=7" }), want: edgeauth.Mismatch},
		"another query":                         {asked: change(func(r *edgeauth.Request) { r.Target += "1" }), want: edgeauth.Mismatch},
		"another host":                          {asked: change(func(r *edgeauth.Request) { r.Host = "example.org" }), want: edgeauth.Mismatch},
		"another method":                        {asked: change(func(r *edgeauth.Request) { r.Method = "POST" }), want: edgeauth.Mismatch},
		"a part of the host in the path":        {asked: change(func(r *edgeauth.Request) { r.Host, r.Target = "www.example.or", "g"+r.Target }), want: edgeauth.Mismatch},
		"another edge":                          {values: replace("sports", "sport"), want: edgeauth.Mismatch},
		"another time":                          {values: replace("created=1", "created=2"), want: edgeauth.OutsideWindow},
		"another time in the window":            {values: []string{keys(t, newKey).Sign(asked, name, at.Add(time.Second))}, want: edgeauth.Authenticated},
		"a time with a zero in front":           {values: replace("created=", "created=0"), want: edgeauth.Malformed},
		"a time with a sign":                    {values: replace("created=", "created=+"), want: edgeauth.Malformed},
		"a time that overflows":                 {values: replace("created=", "created=99999999999"), want: edgeauth.Malformed},
		"a parameter more":                      {values: []string{good + ";x"}, want: edgeauth.Malformed},
		"space":                                 {values: []string{" " + good}, want: edgeauth.Malformed},
		"half of it":                            {values: []string{good[:len(good)/2]}, want: edgeauth.Malformed},
		"upper case in the name":                {values: replace("edge", "Edge"), want: edgeauth.Malformed},
		"no name":                               {values: replace(name, ""), want: edgeauth.Malformed},
		"a name too long":                       {values: replace(name, "/"+strings.Repeat("a", 200)), want: edgeauth.Malformed},
		"a MAC of nothing":                      {values: []string{`"` + name + `";created=1781467200;mac=::`}, want: edgeauth.Malformed},
		"a MAC of zeros":                        {values: []string{`"` + name + `";created=1781467200;mac=:` + strings.Repeat("A", 43) + `=:`}, want: edgeauth.Mismatch},
		"a MAC with loose bits at the end":      {values: []string{`"` + name + `";created=1781467200;mac=:` + strings.Repeat("A", 42) + `B=:`}, want: edgeauth.Malformed},
		"signed by an edge with a strange name": {values: []string{keys(t, newKey).Sign(asked, `x";created=1`, at)}, want: edgeauth.Malformed},
	} {
		if c.values == nil {
			c.values = []string{good}
		}
		if c.keys == nil {
			c.keys = []string{newKey}
		}
		if c.asked == (edgeauth.Request{}) {
			c.asked = asked
		}
		if c.now.IsZero() {
			c.now = at
		}
		edge, got := keys(t, c.keys...).Verify(c.values, c.asked, c.now, skew)
		if got != c.want || (edge == name) != (c.want == edgeauth.Authenticated) {
			t.Errorf("%s: %v, edge %q; want %v", what, got, edge, c.want)
		}
	}
}

func TestTheFieldIsStructured(t *testing.T) {
	value := keys(t, newKey).Sign(asked, name, at)
	item, err := httpsfv.UnmarshalItem([]string{value})
	if err != nil {
		t.Fatalf("%s: %v", value, err)
	}
	created, _ := item.Params.Get("created")
	mac, _ := item.Params.Get("mac")
	if bytes, ok := mac.([]byte); item.Value != name || created != at.Unix() || !ok || len(bytes) != 32 {
		t.Errorf("%s is read as %v, created %v, mac %v", value, item.Value, created, mac)
	}
	if strings.Contains(value, newKey) {
		t.Error("the key is in it")
	}
}

// TestBothSidesSeeOneRequest sends requests as an edge does, with a site in Host that is not where the connection goes to.
func TestBothSidesSeeOneRequest(t *testing.T) {
	k := keys(t, newKey)
	got := make(chan edgeauth.Verdict, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, v := k.Verify(r.Header[edgeauth.Field], edgeauth.Incoming(r), time.Now(), skew)
		got <- v
	}))
	defer server.Close()
	for _, target := range []string{"/", "", "/a%2Fb?x=%20&y", "//a//b/../c;d=1?", "/?q=a+b", "/%C3%BC", "/a b"[:2]} {
		for _, host := range []string{"www.example.org", "WWW.Example.Org:8443", "[2001:db8::1]:80", "", "192.0.2.1"} {
			r, err := http.NewRequestWithContext(t.Context(), "", server.URL+target, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Method, r.Host = "", host
			r.Header.Set(edgeauth.Field, k.Sign(edgeauth.Outgoing(r), name, time.Now()))
			response, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatalf("%q at %q: %v", target, host, err)
			}
			response.Body.Close()
			if v := <-got; v != edgeauth.Authenticated {
				t.Errorf("%q at %q: %v", target, host, v)
			}
		}
	}
}

func TestParseKeys(t *testing.T) {
	secret := "not-to-be-repeated"
	for text, want := range map[string]string{
		oldKey: "",
		"# current\n" + newKey + "\r\n\n" + oldKey: "",
		"":                             "there is no key",
		"#" + oldKey:                   "there is no key",
		oldKey + "\n" + secret:         "line 2 has 18 bytes: want a key of 32 to 512",
		strings.Repeat(secret, 40):     "line 1 has 720 bytes",
		secret + " " + oldKey:          "line 1: want a key of printable ASCII",
		strings.Repeat(oldKey+"\n", 5): "line 5: want at most 4 keys",
		strings.Repeat("\n", 4097):     "more than 4096 bytes",
	} {
		k, err := edgeauth.ParseKeys([]byte(text))
		switch {
		case want == "" && (err != nil || k.Len() == 0):
			t.Errorf("%q: %v", text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret)):
			t.Errorf("%q: %v, want %s and not the key", text, err, want)
		}
	}
}

// FuzzVerify: what is accepted is, byte for byte, what Sign writes for this request.
func FuzzVerify(f *testing.F) {
	k := keys(f, newKey)
	f.Add(k.Sign(asked, name, at), asked.Method, asked.Host, asked.Target)
	f.Add(`"/a/b";created=1781467200;mac=:`+strings.Repeat("A", 43)+`=:`, "GET", "a", "/")
	f.Add(`"";created=0;mac=::`, "", "", "")
	f.Fuzz(func(t *testing.T, value, method, host, target string) {
		r := edgeauth.Request{Method: method, Host: host, Target: target}
		edge, v := k.Verify([]string{value}, r, at, skew)
		if (edge != "") != (v == edgeauth.Authenticated) {
			t.Fatalf("%v with edge %q", v, edge)
		}
		if v != edgeauth.Authenticated {
			return
		}
		for d := -skew; d <= skew; d += time.Second {
			if value == k.Sign(r, edge, at.Add(d)) {
				return
			}
		}
		t.Fatalf("%q is accepted", value)
	})
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(oldKey + "\n#\n" + newKey))
	f.Add([]byte("\r\n \t"))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := edgeauth.ParseKeys(text)
		if err != nil {
			return
		}
		if k.Len() < 1 || k.Len() > edgeauth.MaxKeys {
			t.Fatalf("%d keys", k.Len())
		}
		if _, v := k.Verify([]string{k.Sign(asked, name, at)}, asked, at, 0); v != edgeauth.Authenticated {
			t.Fatalf("own field: %v", v)
		}
	})
}

func BenchmarkSign(b *testing.B) {
	k := keys(b, newKey)
	b.ReportAllocs()
	for b.Loop() {
		_ = k.Sign(asked, name, at)
	}
}

// BenchmarkVerify is what each request from an edge costs a shield: with one key, and in the middle of a rotation.
func BenchmarkVerify(b *testing.B) {
	values := []string{keys(b, newKey).Sign(asked, name, at)}
	for what, k := range map[string]*edgeauth.Keys{"one key": keys(b, newKey), "second key": keys(b, oldKey, newKey)} {
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, v := k.Verify(values, asked, at, skew); v != edgeauth.Authenticated {
					b.Fatal(v)
				}
			}
		})
	}
}
