package discovery_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/internal/discovery"
)

// names is a name service whose answer the test sets.
type names struct {
	mu    sync.Mutex
	hosts []string
	err   error
	asked []time.Time
	hang  bool
}

func (n *names) answer(err error, hosts ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts, n.err = hosts, err
}

func (n *names) LookupHost(ctx context.Context, _ string) ([]string, error) {
	n.mu.Lock()
	n.asked = append(n.asked, time.Now())
	hosts, err, hang := slices.Clone(n.hosts), n.err, n.hang
	n.mu.Unlock()
	if hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return hosts, err
}

// follow runs a DNS on the name service inside a bubble until the test's story ends.
func follow(t *testing.T, service *names, story func(*discovery.DNS, *[][]string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var changes [][]string
		dns := discovery.NewDNS(discovery.Options{
			Host: "surgewall-shield", Port: "8081", Resolver: service, Logger: zerolog.Nop(),
			OnChange: func(addresses []string) { changes = append(changes, addresses) },
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- dns.Run(ctx) }()
		synctest.Wait()
		story(dns, &changes)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("run ended with %v", err)
		}
	})
}

func wait(d time.Duration) { time.Sleep(d); synctest.Wait() }

func TestMembersFollowTheName(t *testing.T) {
	service := &names{hosts: []string{"10.0.0.2", "10.0.0.1", "10.0.0.2"}}
	follow(t, service, func(dns *discovery.DNS, changes *[][]string) {
		if got, want := dns.Addresses(), []string{"10.0.0.1:8081", "10.0.0.2:8081"}; !slices.Equal(got, want) {
			t.Fatalf("at once: %v, want %v", got, want)
		}
		service.answer(nil, "10.0.0.1", "fd00::7")
		wait(1300 * time.Millisecond)
		if got, want := dns.Addresses(), []string{"10.0.0.1:8081", "[fd00::7]:8081"}; !slices.Equal(got, want) {
			t.Errorf("1.3 s after the change: %v, want %v", got, want)
		}
		// The same members in another order are no change.
		service.answer(nil, "fd00::7", "10.0.0.1")
		wait(5 * time.Second)
		if len(*changes) != 2 {
			t.Errorf("%d changes were told, want 2: %v", len(*changes), *changes)
		}
	})
}

func TestTheLastMembersStayWhileTheNameServiceIsAway(t *testing.T) {
	service := &names{hosts: []string{"10.0.0.1"}}
	follow(t, service, func(dns *discovery.DNS, changes *[][]string) {
		for _, away := range []func(){
			func() { service.answer(errors.New("server misbehaving")) },
			func() { service.answer(nil) }, // an answer without addresses
			func() { service.mu.Lock(); service.hang = true; service.mu.Unlock() },
		} {
			before := dns.Failures()
			away()
			wait(time.Minute)
			if got := dns.Addresses(); !slices.Equal(got, []string{"10.0.0.1:8081"}) {
				t.Fatalf("members while away: %v", got)
			}
			if dns.Failures() < before+15 {
				t.Errorf("asked in vain %d times in a minute", dns.Failures()-before)
			}
		}
		if len(*changes) != 1 {
			t.Errorf("changes: %v", *changes)
		}
	})
}

func TestQuestionsAreSpreadOverTime(t *testing.T) {
	service := &names{hosts: []string{"10.0.0.1"}}
	follow(t, service, func(*discovery.DNS, *[][]string) { wait(100 * time.Second) })
	if n := len(service.asked); n < 90 || n > 112 {
		t.Errorf("asked %d times in 100 s", n)
	}
	same := 0
	for i := 2; i < len(service.asked); i++ {
		if service.asked[i].Sub(service.asked[i-1]) == service.asked[i-1].Sub(service.asked[i-2]) {
			same++
		}
	}
	if same > 2 {
		t.Errorf("%d pauses are as long as the one before", same)
	}
}

func TestStaticMembers(t *testing.T) {
	if got := discovery.Static("b:1", "a:1", "b:1").Addresses(); !slices.Equal(got, []string{"a:1", "b:1"}) {
		t.Errorf("members %v", got)
	}
}
