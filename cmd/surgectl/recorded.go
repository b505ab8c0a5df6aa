package main

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/surgewall/surgewall/controllers/fleet"
	"github.com/surgewall/surgewall/controllers/simulate"
)

// recording is what a controller knows of a fleet's past.
type recording struct {
	trace    simulate.Trace
	values   map[string]string // of the policy in force
	replicas []int32           // asked for, second by second from the start
	start    time.Time         // of the replicas; the trace begins where the first load was heard
	lead     time.Duration     // start time of a pod; 0: unknown
}

// ask fetches what the controller recorded of the fleet that the policy is for.
func (s *simulation) ask(cmd *cobra.Command, sources []source) (r recording, err error) {
	name := s.fleet
	for _, from := range sources {
		if name == "" {
			name = from.fleet
		}
	}
	if name == "" {
		if name, err = s.onlyFleet(cmd); err != nil {
			return r, err
		}
	}
	var status fleet.Status
	path := "/v1/fleets/" + url.PathEscape(name)
	if err := s.get(cmd.Context(), path, nil, &status); err != nil {
		return r, err
	}
	var windows fleet.Windows
	since := url.Values{"since": {time.Now().Add(-s.recorded).UTC().Format(time.RFC3339)}}
	if err := s.get(cmd.Context(), path+"/windows", since, &windows); err != nil {
		return r, err
	}
	rates := make([]float64, len(windows.OfferedRPS))
	for i, v := range windows.OfferedRPS {
		rates[i] = math.NaN()
		if v != nil {
			rates[i] = float64(*v)
		}
	}
	if r.trace, err = simulate.Recorded(windows.Start, rates); err != nil {
		return r, fmt.Errorf("what %s recorded of the fleet %s in the last %s: %w", s.controller, name, shortly(s.recorded), err)
	}
	r.trace.Name = "fleet " + name
	r.replicas, r.start = windows.Replicas, windows.Start
	r.values, r.lead = status.Policy.Values, time.Duration(math.Round(windows.LeadSeconds))*time.Second
	return r, nil
}

// replicasAt is how many edges were asked for at a time; 0 is not known.
func (r recording) replicasAt(at time.Time) int {
	if i := int(at.Sub(r.start) / time.Second); i >= 0 && i < len(r.replicas) {
		return int(r.replicas[i])
	}
	return 0
}

func (s *simulation) onlyFleet(cmd *cobra.Command) (string, error) {
	var list fleet.FleetList
	if err := s.get(cmd.Context(), "/v1/fleets", nil, &list); err != nil {
		return "", err
	}
	var names []string
	for _, f := range list.Fleets {
		names = append(names, f.Fleet)
	}
	switch len(names) {
	case 0:
		return "", errors.New("the controller has no fleet: no ConfigMap is labelled surgewall.io/policy=true")
	case 1:
		return names[0], nil
	}
	return "", fmt.Errorf("--fleet: the controller has %d, choose one: %s", len(names), strings.Join(names, ", "))
}

// sizes are the keys that say how large a fleet and its edges are. A preset that is tried on a fleet keeps them.
var sizes = []string{"target-deployment", "target-rps-per-edge", "capacity-rps-per-edge", "max-rps-per-edge", "min-replicas", "max-replicas"}

// fit completes the sources with what the controller knows: the policy in force is what the others are compared with, and a preset is
// tried at the size of the fleet.
func (r recording) fit(sources []source) []source {
	for i := range sources {
		if !sources[i].preset {
			continue
		}
		sources[i].preset = false
		for _, key := range sizes {
			if v, ok := r.values[key]; ok {
				sources[i].keys[key] = v
			}
		}
	}
	if len(sources) == 1 {
		return []source{{name: "in force", keys: r.values}, sources[0]}
	}
	return sources
}
