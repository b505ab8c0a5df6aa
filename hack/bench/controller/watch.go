package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/surgewall/surgewall/controllers/fleet"
	"github.com/surgewall/surgewall/hack/bench/rig"
)

// watch measures for the duration.
func (o options) watch(ctx context.Context, c *rig.Controller, crowd *crowd) (result, error) {
	x := result{Edges: o.edges, Fleets: o.fleets, CPUBound: cpuBound, MemoryBound: memoryBound >> 20}
	var group errgroup.Group
	if o.profile != "" {
		seconds := int(o.duration.Seconds())
		group.Go(func() error {
			err := save(ctx, filepath.Join(o.profile, "cpu.pprof"), fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", profileAddress, seconds))
			if err == nil {
				err = save(ctx, filepath.Join(o.profile, "heap.pprof"), "http://"+profileAddress+"/debug/pprof/heap")
			}
			return err
		})
	}
	began, messages, bytes := time.Now(), crowd.messages.Load(), crowd.bytes.Load()
	before, err := rig.CPU(c.PID)
	if err != nil {
		return x, err
	}
	for time.Since(began) < o.duration {
		time.Sleep(min(time.Second, o.duration))
		m, err := rig.MemoryOf(c.PID)
		if err != nil {
			return x, err
		}
		x.Memory, x.MostMemory, x.FileMemory = max(x.Memory, mib(m.Now)), mib(m.Most), max(x.FileMemory, mib(m.File))
	}
	after, err := rig.CPU(c.PID)
	if err != nil {
		return x, err
	}
	spent := time.Since(began).Seconds()
	published := float64(crowd.messages.Load() - messages)
	x.CPU, x.Messages = (after-before).Seconds()/spent, published/spent
	x.Bytes = float64(crowd.bytes.Load()-bytes) / max(published, 1)
	return x, group.Wait()
}

// lostEvents is what the controller missed since its start: figures of one that
// is not told everything are worth nothing. It fails where a fleet is not heard.
func lostEvents(c *rig.Controller, names map[string]bool) (lost uint64, err error) {
	var list fleet.FleetList
	if err := c.Get("/v1/fleets", &list); err != nil {
		return 0, err
	}
	for _, s := range list.Fleets {
		lost += s.Signal.LostEvents
		if names[s.Fleet] && s.Signal.State != "LIVE" {
			err = fmt.Errorf("%s is %s: %d of %d edges heard", s.Fleet, s.Signal.State, s.Signal.Live, s.Signal.Known)
		}
	}
	return lost, err
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }
