package shield

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/internal/httpcache"
	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
	"github.com/surgewall/surgewall/internal/httpcache/store"
	"github.com/surgewall/surgewall/internal/testorigin"
)

// rig is a shield on a listener, with a client and the log.
type rig struct {
	t      *testing.T
	shield *Shield
	server *httptest.Server
	client *http.Client

	mu       sync.Mutex
	log      strings.Builder
	outcomes []httpcache.Outcome
}

// Write takes a line of the log.
func (r *rig) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(p)
}

func (r *rig) logged() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

func newRig(t *testing.T, resolver *net.Resolver, sites ...SiteOptions) *rig {
	t.Helper()
	r := &rig{t: t}
	var err error
	r.shield, err = New(Options{
		Sites: sites, Resolver: resolver, Store: store.NewMemory(16 << 20), Logger: zerolog.New(r),
		Observe: func(o httpcache.Outcome) { r.mu.Lock(); defer r.mu.Unlock(); r.outcomes = append(r.outcomes, o) },
	})
	if err != nil {
		t.Fatal(err)
	}
	r.server = httptest.NewServer(r.shield)
	transport := &http.Transport{DisableCompression: true}
	r.client = &http.Client{Transport: transport}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		r.server.CloseClientConnections()
		r.server.Close()
		if err := r.shield.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

type answer struct {
	code   int
	header http.Header
	body   string
}

func (r *rig) do(method, host, path string, body io.Reader) answer {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.server.URL+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	request.Host = host
	response, err := r.client.Do(request)
	if err != nil {
		r.t.Error(err)
		return answer{}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Error(err)
	}
	return answer{response.StatusCode, response.Header, string(text)}
}

func (r *rig) get(host, path string) answer {
	r.t.Helper()
	return r.do(http.MethodGet, host, path, nil)
}

// local is a site whose origin is on this machine, and says so.
func local(t *testing.T, name string, hosts []string, origins ...string) SiteOptions {
	t.Helper()
	return SiteOptions{
		Name: name, Hosts: hosts, Origins: base(t, origins...), Private: true, KeepHost: true,
		ConnectTimeout: 2 * time.Second, ResponseHeaderTimeout: 10 * time.Second,
	}
}

func fresh(body string) testorigin.Response {
	return testorigin.Response{Header: map[string]string{"Cache-Control": "max-age=60"}, Body: []byte(body)}
}

// TestASlowSiteStarvesNoOther fills the origin of one site to its bound and its queue; the other site does not notice.
func TestASlowSiteStarvesNoOther(t *testing.T) {
	slow, quick := testorigin.New(t), testorigin.New(t)
	hold := make(chan struct{})
	slow.Handle("/slow", func(*http.Request, int) testorigin.Response {
		return testorigin.Response{Header: map[string]string{"Cache-Control": "no-store"}, Hold: hold, Body: []byte("slow")}
	})
	quick.Handle("/quick", func(r *http.Request, _ int) testorigin.Response { return fresh("quick " + r.URL.RawQuery) })
	a, b := local(t, "a", []string{"a.example"}, slow.URL()), local(t, "b", []string{"b.example"}, quick.URL())
	a.Concurrency, a.QueueTimeout = 3, 200*time.Millisecond
	b.Concurrency, b.QueueTimeout = 2, 5*time.Second
	r := newRig(t, nil, a, b)

	codes := make(chan int, 30)
	for i := range 30 {
		go func() { codes <- r.get("a.example", fmt.Sprintf("/slow?%d", i)).code }()
	}
	slow.Await(t, "/slow", 3)
	began := time.Now()
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			if got := r.get("b.example", fmt.Sprintf("/quick?%d", i)); got.code != 200 || got.body != fmt.Sprintf("quick %d", i) {
				t.Errorf("the quick site answered %d %q", got.code, got.body)
			}
		})
	}
	group.Wait()
	t.Logf("20 fetches of the quick site in %v beside a site at its bound", time.Since(began))
	for range 27 {
		if code := <-codes; code != http.StatusServiceUnavailable {
			t.Errorf("a fetch beyond the bound got %d, want 503", code)
		}
	}
	close(hold)
	for range 3 {
		if code := <-codes; code != 200 {
			t.Errorf("a fetch within the bound got %d", code)
		}
	}
	if peak := slow.Peak("/slow"); peak != 3 {
		t.Errorf("%d fetches at once at the slow origin, want 3", peak)
	}
	if peak := quick.Peak("/quick"); peak > 2 {
		t.Errorf("%d fetches at once at the quick origin, want at most 2", peak)
	}
	sites := r.shield.Sites()
	if a, b := sites[0].Origin(), sites[1].Origin(); a.Shed() != 27 || b.Shed() != 0 {
		t.Errorf("shed %d and %d, want 27 and 0", a.Shed(), b.Shed())
	}
}

func TestARequestForNoSiteIsRefused(t *testing.T) {
	origin := testorigin.New(t)
	origin.Serve("/", fresh("content"))
	r := newRig(t, nil, local(t, "www", []string{"www.example.org", "*.cdn.example.org"}, origin.URL()))
	for host, want := range map[string]int{
		"www.example.org": 200, "a.cdn.example.org": 200, "other.example": 421, "cdn.example.org": 421, "www.example.org:8080": 421, "127.0.0.1": 421,
		"evil.example#www.example.org": 400, "www.example.org:x": 400, "a..b": 400, "[::1]": 421,
	} {
		got := r.raw("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
		if got.code != want {
			t.Errorf("%s: status %d, want %d", host, got.code, want)
		}
		if want == 421 && (got.header.Get("Cache-Status") != "shield; detail=unknown-host" || got.header.Get("Cache-Control") != "" || got.body != "no site has this host\n") {
			t.Errorf("%s: %v %q", host, got.header, got.body)
		}
	}
	for request, want := range map[string]int{
		"GET http://www.example.org/ HTTP/1.1\r\nHost: www.example.org\r\n\r\n": 400,
		"GET http://other.example/ HTTP/1.1\r\nHost: www.example.org\r\n\r\n":   400,
		"CONNECT www.example.org:443 HTTP/1.1\r\nHost: www.example.org\r\n\r\n": 405,
		"GET / HTTP/1.0\r\n\r\n":                                               400,
		"HEAD / HTTP/1.1\r\nHost: other.example\r\n\r\n":                       421,
		"POST / HTTP/1.1\r\nHost: other.example\r\nContent-Length: 1\r\n\r\nx": 421,
	} {
		if got := r.raw(request); got.code != want {
			t.Errorf("%q: status %d, want %d", request, got.code, want)
		}
	}
	if n := len(origin.Requests("/")); n != 2 {
		t.Errorf("the origin got %d requests, want the 2 for hosts of the site", n)
	}
	if !strings.Contains(r.logged(), `"detail":"unknown-host"`) || !strings.Contains(r.logged(), `"level":"debug"`) {
		t.Errorf("log:\n%s", r.logged())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	shed := 0
	for _, o := range r.outcomes {
		if o.Status == httpcache.StatusShed {
			shed++
		}
	}
	if shed != len(r.outcomes)-2 {
		t.Errorf("%d of %d outcomes are refusals", shed, len(r.outcomes))
	}
}

// raw sends bytes and reads one response.
func (r *rig) raw(request string) answer {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.server.Listener.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		r.t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		r.t.Fatalf("%q: %v", request, err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(body)}
}

// TestSpellingsOfAHostAreOneResource: an origin that answers with the Host it saw cannot be made to store somebody's spelling for the others.
func TestSpellingsOfAHostAreOneResource(t *testing.T) {
	origin := testorigin.New(t)
	origin.Handle("/", func(r *http.Request, _ int) testorigin.Response { return fresh("at " + r.Host) })
	every := local(t, "every", nil, origin.URL())
	for name, site := range map[string]SiteOptions{
		"a site": local(t, "www", []string{"www.example.org", "www.example.org:8080", "[2001:db8::1]"}, origin.URL()), "every host": every,
	} {
		before := origin.Count("/")
		r := newRig(t, nil, site)
		for _, spelled := range []string{"WWW.Example.ORG.", "www.example.org:80", "www.example.org:443", "www.example.org", "www.example.org."} {
			if got := r.get(spelled, "/"); got.body != "at www.example.org" {
				t.Errorf("%s: %s got %q", name, spelled, got.body)
			}
		}
		if got := r.get("www.example.org:8080", "/"); got.body != "at www.example.org:8080" {
			t.Errorf("%s: with a port of its own: %d %q", name, got.code, got.body)
		}
		if got := r.get("[2001:DB8:0::1]:80", "/"); got.body != "at [2001:db8::1]" {
			t.Errorf("%s: an address: %d %q", name, got.code, got.body)
		}
		if n := origin.Count("/") - before; n != 3 {
			t.Errorf("%s: %d fetches for 3 resources", name, n)
		}
	}
}

// TestANameThatLeadsElsewhereIsNotConnectedTo has origins whose zone is in bad hands. Something listens at each place: what keeps the shield
// from it is the check alone.
func TestANameThatLeadsElsewhereIsNotConnectedTo(t *testing.T) {
	secret := testorigin.New(t)
	secret.Serve("/", fresh("secret"))
	_, port, _ := net.SplitHostPort(base(t, secret.URL())[0].Host)
	z := newZone(t)
	z.set("loopback.test", "127.0.0.1")
	z.set("loopback6.test", "::1")
	z.set("mapped.test", "::ffff:127.0.0.1")
	z.set("metadata.test", "169.254.169.254")
	z.set("private.test", "10.1.2.3")
	z.set("unspecified.test", "0.0.0.0")
	z.set("several.test", "169.254.169.254", "127.0.0.1", "::1", "fe80::1")

	for _, private := range []bool{false, true} {
		for _, name := range []string{"loopback.test", "loopback6.test", "mapped.test", "metadata.test", "private.test", "unspecified.test", "several.test"} {
			if private && name == "private.test" {
				continue // then it is what was meant
			}
			site := SiteOptions{
				Name: "www", Hosts: []string{"www.example.org"}, Origins: base(t, "http://"+name+":"+port), Private: private,
				ConnectTimeout: 2 * time.Second, ResponseHeaderTimeout: 2 * time.Second,
			}
			r := newRig(t, z.resolver(), site)
			for i := range 3 { // three keys: one that failed is not tried again at once
				if got := r.get("www.example.org", fmt.Sprint("/?", i)); got.code != http.StatusBadGateway || strings.Contains(got.body, "secret") {
					t.Errorf("%s, private %v: %d %q", name, private, got.code, got.body)
				}
			}
			if n := strings.Count(r.logged(), "address of the origin refused"); n != 1 || !strings.Contains(r.logged(), `"level":"warn"`) {
				t.Errorf("%s, private %v: %d lines in the log, want one for all refusals within seconds:\n%s", name, private, n, r.logged())
			}
			if n := r.shield.Sites()[0].Refused(); n < 3 {
				t.Errorf("%s, private %v: %d refusals are counted", name, private, n)
			}
		}
	}
	if n := secret.Count("/"); n != 0 {
		t.Errorf("%d requests reached what must not be reached", n)
	}
}

func TestWhatTheOperatorWroteDownIsConnectedTo(t *testing.T) {
	origin := testorigin.New(t)
	origin.Serve("/", fresh("content"))
	u := base(t, origin.URL())[0]
	z := newZone(t)
	z.set("loopback.test", "127.0.0.1")
	z.set("bad.test", "169.254.169.254")
	z.set("localhost", "127.0.0.1")
	trusted := SiteOptions{Name: "every", Origins: base(t, "http://loopback.test:"+u.Port()), Trusted: true}
	for say, site := range map[string]SiteOptions{
		"the trusted origin of every host":        trusted,
		"a loopback address":                      local(t, "www", []string{"www.example.org"}, origin.URL()),
		"localhost":                               local(t, "www", []string{"www.example.org"}, "http://localhost:"+u.Port()),
		"a refused address with another after it": local(t, "www", []string{"www.example.org"}, "http://bad.test:"+u.Port(), origin.URL()),
	} {
		r := newRig(t, z.resolver(), site)
		if got := r.get("www.example.org", "/"); got.code != 200 || got.body != "content" {
			t.Errorf("%s: %d %q\n%s", say, got.code, got.body, r.logged())
		}
	}
	for _, c := range []struct{ origin, want string }{
		{"http://127.0.0.1:1", "private: true"}, {"http://10.0.0.1", "private: true"}, {"http://[::ffff:192.168.0.1]", "private: true"},
		{"http://169.254.169.254", "reserved address"}, {"https://[fe80::1]", "reserved address"},
	} {
		_, err := New(Options{Store: store.NewMemory(1 << 20), Sites: []SiteOptions{{Name: "www", Hosts: []string{"a"}, Origins: base(t, c.origin)}}})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "site www") || !strings.Contains(err.Error(), c.origin) {
			t.Errorf("%s: %v", c.origin, err)
		}
	}
}

// TestEachSiteHasItsOwnRules asks two sites with one origin for the same.
func TestEachSiteHasItsOwnRules(t *testing.T) {
	origin := testorigin.New(t)
	origin.Handle("/cookie", func(_ *http.Request, n int) testorigin.Response {
		return testorigin.Response{Header: map[string]string{"Cache-Control": "max-age=60", "Set-Cookie": fmt.Sprint("id=", n)}, Body: []byte("x")}
	})
	origin.Serve("/plain", testorigin.Response{Body: []byte("x")})
	origin.Serve("/query", fresh("x"))
	strict, loose := local(t, "strict", []string{"strict.example"}, origin.URL()), local(t, "loose", []string{"*.loose.example"}, origin.URL())
	loose.Rules, loose.IgnoreQuery = rfc9111.Rules{ShareSetCookie: true, DefaultLifetime: time.Minute}, []string{"utm_source"}
	r := newRig(t, nil, strict, loose)
	for host, want := range map[string]int{"strict.example": 3, "a.loose.example": 1} {
		for _, path := range []string{"/cookie", "/plain", "/query"} {
			before := origin.Count(path)
			for i := range 3 {
				if got := r.get(host, path+fmt.Sprintf("?utm_source=%d", i)); got.code != 200 {
					t.Errorf("%s%s: %d", host, path, got.code)
				}
			}
			if n := origin.Count(path) - before; n != want {
				t.Errorf("%s%s: %d fetches for 3 requests, want %d", host, path, n, want)
			}
		}
	}
}

func TestOptionsThatAreNoSites(t *testing.T) {
	good := SiteOptions{Name: "a", Hosts: []string{"a"}, Origins: base(t, "http://origin.example")}
	with := func(change func(*SiteOptions)) SiteOptions { s := good; change(&s); return s }
	for want, sites := range map[string][]SiteOptions{
		"no site is given":       nil,
		"want a name of its own": {good, with(func(s *SiteOptions) { s.Hosts = []string{"b"} })},
		"is given twice":         {good, with(func(s *SiteOptions) { s.Name = "b" })},
		"no address":             {with(func(s *SiteOptions) { s.Origins = nil })},
		"the same for all":       {with(func(s *SiteOptions) { s.Origins = base(t, "http://a", "https://b") })},
		"want http://":           {with(func(s *SiteOptions) { s.Origins = []*url.URL{{Scheme: "ftp", Host: "a"}} })},
		"only one":               {good, with(func(s *SiteOptions) { s.Name, s.Hosts = "b", nil })},
	} {
		if _, err := New(Options{Sites: sites, Store: store.NewMemory(1 << 20)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
}

// TestFieldsForCachesReachEdgesAndNoClients, as it is set.
func TestFieldsForCachesReachEdgesAndNoClients(t *testing.T) {
	for _, strip := range []bool{false, true} {
		origin := testorigin.New(t)
		origin.Serve("/a", testorigin.Response{Header: map[string]string{"Cache-Control": "no-store", "Surgewall-Cache-Control": "max-age=60", "Surrogate-Key": "k"}})
		s, err := New(Options{Sites: []SiteOptions{siteOf(t, "www", origin)}, Store: store.NewMemory(1 << 20), StripSurrogate: strip})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/a", nil))
			for _, name := range []string{"Surgewall-Cache-Control", "Surrogate-Key"} {
				if got := w.Header().Get(name) == ""; got != strip {
					t.Errorf("strip %v: %s %q", strip, name, w.Header().Get(name))
				}
			}
		}
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if n := origin.Count("/a"); n != 1 {
			t.Errorf("%d fetches", n)
		}
	}
}
