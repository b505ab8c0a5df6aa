package rabbitmq

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestBackoffDoublesUpToItsCap(t *testing.T) {
	b := backoff{base: 100 * time.Millisecond, cap: 2 * time.Second, random: func() float64 { return 1 }}
	for i, want := range []time.Duration{100, 200, 400, 800, 1600, 2000, 2000} {
		if got := b.next(); got != want*time.Millisecond {
			t.Errorf("wait %d is %v, want %v", i, got, want*time.Millisecond)
		}
	}
	for range 100 {
		if got := b.next(); got != 2*time.Second {
			t.Fatalf("wait %v after many attempts, want the cap", got)
		}
	}
	b.reset()
	if got := b.next(); got != 100*time.Millisecond {
		t.Errorf("wait %v after reset, want the base", got)
	}
}

// A thousand clients that lose the broker together must not come back together.
func TestBackoffSpreadsClients(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const clients, buckets = 1000, 10
	var perBucket [buckets]int
	for range clients {
		b := backoff{base: 100 * time.Millisecond, cap: 2 * time.Second, attempt: 10, random: random.Float64}
		perBucket[int(b.next()*buckets/(2*time.Second))]++
	}
	for i, n := range perBucket {
		if n < clients/buckets/2 || n > clients/buckets*2 {
			t.Errorf("%d of %d clients return in the tenth %d of the wait", n, clients, i)
		}
	}
}
