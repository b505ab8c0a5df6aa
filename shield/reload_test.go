package shield

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/testorigin"
)

func siteOf(t *testing.T, name string, origin *testorigin.Origin, hosts ...string) SiteOptions {
	return SiteOptions{Name: name, Hosts: hosts, Origins: base(t, origin.URL()), Trusted: true, KeepHost: true, Concurrency: 4, ConnectTimeout: time.Second,
		ResponseHeaderTimeout: 5 * time.Second}
}

// saying is an origin that answers with its name and the request's host.
func saying(t *testing.T, name string) *testorigin.Origin {
	o := testorigin.New(t)
	o.Handle("/a", func(r *http.Request, _ int) testorigin.Response {
		return testorigin.Response{Body: []byte(name + " for " + r.Host), Header: map[string]string{"Cache-Control": "max-age=60"}}
	})
	return o
}

// TestOtherSitesFromTheNextRequestOn: a host is added, one is taken away, one gets another origin; what did not change goes on as it was.
func TestOtherSitesFromTheNextRequestOn(t *testing.T) {
	one, two := saying(t, "one"), saying(t, "two")
	same, moved, gone := siteOf(t, "same", one, "same.example"), siteOf(t, "moved", one, "moved.example"), siteOf(t, "gone", one, "gone.example")
	r := newRig(t, nil, same, moved, gone)
	expect := func(host string, code int, body string) {
		t.Helper()
		if a := r.get(host, "/a"); a.code != code || body != "" && a.body != body {
			t.Errorf("%s: %d %q, want %d %q", host, a.code, a.body, code, body)
		}
	}
	expect("same.example", 200, "one for same.example")
	expect("gone.example", 200, "one for gone.example")
	expect("new.example", 421, "")
	before := r.shield.Sites()[0]

	moved.Origins = base(t, two.URL())
	fresh := siteOf(t, "new", two, "new.example")
	if changed, err := r.shield.Reload([]SiteOptions{fresh, same, moved}); err != nil || changed != 3 {
		t.Fatalf("%d changed, %v; want 3", changed, err)
	}
	expect("same.example", 200, "one for same.example")
	expect("moved.example", 200, "two for moved.example")
	expect("gone.example", 421, "")
	expect("new.example", 200, "two for new.example")
	if n := one.Count("/a"); n != 2 {
		t.Errorf("%d fetches at the first origin, want 2: what is stored stays", n)
	}
	if r.shield.Sites()[1] != before {
		t.Error("a site that did not change lost its origin, with the counts and bounds of that")
	}
	if changed, err := r.shield.Reload([]SiteOptions{fresh, same, moved}); err != nil || changed != 0 {
		t.Errorf("the same sites: %d changed, %v", changed, err)
	}
}

// TestASetOfSitesIsTakenWholeOrNotAtAll.
func TestASetOfSitesIsTakenWholeOrNotAtAll(t *testing.T) {
	one := saying(t, "one")
	good := siteOf(t, "good", one, "good.example")
	r := newRig(t, nil, good)
	other := siteOf(t, "other", one, "other.example")
	bad := siteOf(t, "bad", one, "bad host")
	for want, sites := range map[string][]SiteOptions{
		"bad host":               {other, bad},
		"no site":                nil,
		"a name of its own":      {other, other},
		"given twice":            {other, siteOf(t, "third", one, "other.example")},
		"no address":             {other, {Name: "none", Hosts: []string{"none.example"}}},
		"has to be the only one": {other, siteOf(t, "every", one)},
	} {
		if _, err := r.shield.Reload(sites); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
		if a := r.get("good.example", "/a"); a.code != 200 {
			t.Errorf("%s: %d", want, a.code)
		}
		if a := r.get("other.example", "/a"); a.code != 421 {
			t.Errorf("%s: half of it was taken: %d", want, a.code)
		}
	}
}

// TestAReloadDisturbsNobody: requests and fetches that are under way end as they began.
func TestAReloadDisturbsNobody(t *testing.T) {
	one, two := testorigin.New(t), saying(t, "two")
	hold := make(chan struct{})
	one.Serve("/slow", testorigin.Response{Hold: hold, Body: []byte("one")})
	site := siteOf(t, "www", one, "www.example")
	r := newRig(t, nil, site)
	var answers sync.WaitGroup
	answers.Go(func() {
		if a := r.get("www.example", "/slow"); a.code != 200 || a.body != "one" {
			t.Errorf("%d %q", a.code, a.body)
		}
	})
	one.Await(t, "/slow", 1)
	for i := range 20 {
		site.Origins, site.Concurrency = base(t, two.URL()), 1+i
		if _, err := r.shield.Reload([]SiteOptions{site}); err != nil {
			t.Fatal(err)
		}
		if a := r.get("www.example", fmt.Sprint("/a?", i)); a.code != 200 || a.body != "two for www.example" {
			t.Errorf("after reload %d: %d %q", i, a.code, a.body)
		}
	}
	close(hold)
	answers.Wait()
}
