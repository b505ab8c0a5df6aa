package autoscale

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// cpu is the processor time that this process has used: on a machine that does
// other things too, the time that passes says little.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// One step of 200 fleets, each of which has a whole window behind it and a load
// that trembles, with all signs of causes. The wanted bound is 1 ms.
func BenchmarkDecide200Fleets(b *testing.B) {
	p := parse(b, map[string]string{"max-replicas": "200"})
	const fleets, seconds = 200, 90
	r := rand.New(rand.NewPCG(1, 1))
	var rates [seconds]float64
	for i := range rates {
		rates[i] = poisson(r, 2000)
	}
	heard := func(i int) Load {
		x := rates[i%seconds]
		return Load{Signal: Live, Offered: x, SpecReplicas: 20, ReadyReplicas: 20, InFlight: x / 100, Ended: x, Misses: x / 20, Distinct: x / 30, Known: 20, Live: 20, Heard: x}
	}
	states := make([]State, fleets)
	now := start
	for i := range seconds {
		now = now.Add(time.Second)
		for f := range states {
			_, states[f] = Decide(p, heard(i+f), states[f], now)
		}
	}
	b.ReportAllocs()
	before, n := cpu(b), 0
	for b.Loop() {
		now = now.Add(time.Second)
		n++
		for f := range states {
			_, states[f] = Decide(p, heard(n+f), states[f], now)
		}
	}
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(n), "cpu-µs/op")
}
