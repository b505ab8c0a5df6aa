package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/surgewall/surgewall/controllers/policy"
)

// maxPolicies bounds what is read, so that a wrong file does not fill the memory: a ConfigMap has 1 MiB at most.
const maxPolicies = 4 << 20

// configMaps reads every ConfigMap of a file with one or more YAML documents. Among others, as in a rendered chart, the label tells which
// are meant; where none has it, it was forgotten, and all are.
func configMaps(path string, file io.Reader) ([]configMap, error) {
	var all, labelled []configMap
	text, err := io.ReadAll(io.LimitReader(file, maxPolicies+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	// Half a file could be accepted whole.
	if len(text) > maxPolicies {
		return nil, fmt.Errorf("%s: more than %d MiB, nothing of it was checked: check it in parts", path, maxPolicies>>20)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var c configMap
		if err := decoder.Decode(&c); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if c.Kind != "ConfigMap" {
			continue
		}
		all = append(all, c)
		if c.isPolicy() {
			labelled = append(labelled, c)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: no ConfigMap in it", path)
	}
	if len(labelled) > 0 {
		return labelled, nil
	}
	return all, nil
}

// source is a policy and where it came from.
type source struct {
	name   string // as it was given
	preset bool   // a preset alone: it knows of no fleet, so its sizes follow the simulated edges
	fleet  string // name of the ConfigMap; empty for a preset
	keys   map[string]string
}

var presets = []string{string(policy.Rapid), string(policy.Balanced), string(policy.Steady)}

// readSource takes the name of a preset or the path of a file with a policy ConfigMap; fleet chooses among several. - is standard input.
func readSource(stdin io.Reader, name, fleet string) (source, error) {
	if slices.Contains(presets, name) {
		return source{name: name, preset: true, keys: map[string]string{"preset": name}}, nil
	}
	file := stdin
	if name != "-" {
		f, err := os.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			return source{}, fmt.Errorf("%s is neither a file nor a preset: want a file with a policy ConfigMap, or %s", name, strings.Join(presets, ", "))
		} else if err != nil {
			return source{}, err
		}
		defer f.Close()
		file = f
	}
	maps, err := configMaps(name, file)
	if err != nil {
		return source{}, err
	}
	chosen := slices.IndexFunc(maps, func(c configMap) bool { return c.Metadata.Name == fleet })
	if chosen < 0 && (fleet != "" || len(maps) > 1) {
		var names []string
		for _, c := range maps {
			names = append(names, c.Metadata.Name)
		}
		if fleet != "" {
			return source{}, fmt.Errorf("%s: no policy of the fleet %s, which --fleet names; it has %s", name, fleet, strings.Join(names, ", "))
		}
		return source{}, fmt.Errorf("%s: the policies of %d fleets, choose one with --fleet: %s", name, len(maps), strings.Join(names, ", "))
	}
	c := maps[max(chosen, 0)]
	s := source{name: name, fleet: c.Metadata.Name, keys: map[string]string{}}
	for key, node := range c.Data {
		if node.Kind != yaml.ScalarNode || node.Tag != "!!str" {
			return source{}, fmt.Errorf("%s: line %d: %s: %s must be a string: put it in quotes", name, node.Line, key, node.Value)
		}
		s.keys[key] = node.Value
	}
	return s, nil
}

// mostEdges is the bound of a preset that is tried without a ConfigMap: none that matters.
const mostEdges = 5000

// policy is the policy of the source with some keys replaced. A preset alone gets its target from the capacity of an edge, where that is
// known, and no bound above: both belong to a fleet.
func (s source) policy(capacity float64, set map[string]string) (policy.Policy, error) {
	keys := map[string]string{}
	if s.preset {
		keys["max-replicas"] = strconv.Itoa(mostEdges)
		if capacity > 0 {
			keys["target-rps-per-edge"] = strconv.FormatFloat(usualUse*capacity, 'g', -1, 64)
		}
	}
	maps.Copy(keys, s.keys)
	maps.Copy(keys, set)
	name := s.fleet
	if name == "" {
		name = "edge"
	}
	p, err := policy.Parse(name, keys)
	if errs := policy.Errors(nil); errors.As(err, &errs) {
		return p, fmt.Errorf("%s: the controller would refuse this policy:\n  %s", s.name, strings.Join(errs.Lines(), "\n  "))
	}
	return p, err
}

// usualUse is the part of its capacity that an edge is busy with at its target, when nobody says otherwise.
const usualUse = 0.7
