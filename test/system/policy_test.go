package system

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/hack/demo/cluster"
)

// TestBadPolicyIsRefusedWhole: the policy before a bad edit stays in force, and kubectl describe says why.
func TestBadPolicyIsRefusedWhole(t *testing.T) {
	c := calm(t)
	ctx := t.Context()
	good, err := leaderView(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	line, err := c.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	from := time.Now()
	text := func(s string) *string { return &s }
	for _, edit := range []struct {
		name   string
		keys   map[string]*string
		undo   map[string]*string
		reason []string // in one line of kubectl describe
	}{
		{"word for a number", map[string]*string{"max-replicas": text("banana")}, map[string]*string{"max-replicas": text("6")}, []string{"max-replicas", "banana"}},
		{"min above max", map[string]*string{"min-replicas": text("9")}, map[string]*string{"min-replicas": text("2")}, []string{"min-replicas", "max-replicas"}},
		{"unknown key", map[string]*string{"max-replcas": text("7")}, map[string]*string{"max-replcas": nil}, []string{"max-replcas"}},
	} {
		t.Run(edit.name, func(t *testing.T) {
			if _, err := c.Patch(ctx, edit.keys); err != nil {
				t.Fatal(err)
			}
			var now fleetView
			err := cluster.Await(ctx, "the controller to refuse it", patience, 50*time.Millisecond, func(ctx context.Context) (ok bool, err error) {
				now, err = leaderView(ctx, c)
				return now.problem != "", err
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Log("API:", now.problem)
			if strings.Contains(now.problem, "\n") || !containsAll(now.problem, edit.reason) {
				t.Errorf("reason %q: want one line that names %v", now.problem, edit.reason)
			}
			if !maps.Equal(now.values, good.values) {
				t.Errorf("the policy in force changed: %v, was %v", now.values, good.values)
			}
			described := ""
			err = cluster.Await(ctx, "kubectl describe to say why", patience, 300*time.Millisecond, func(ctx context.Context) (bool, error) {
				out, err := c.Kubectl(ctx, "describe", "configmap", cluster.Fleet)
				if err != nil {
					return false, err
				}
				_, events, _ := strings.Cut(out, "\nEvents:")
				for line := range strings.Lines(events) {
					if strings.Contains(line, "Warning") && containsAll(line, edit.reason) {
						described = strings.TrimSpace(line)
						return true, nil
					}
				}
				return false, fmt.Errorf("events:%s", events)
			})
			if err != nil {
				t.Error(err)
			}
			t.Log("kubectl describe:", described)
			version, err := c.Patch(ctx, edit.undo)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.AwaitPolicy(ctx, version, patience); err != nil {
				t.Error(err)
			}
		})
	}
	if line.Lowered(from, time.Now()) || line.Peak(from, time.Now()) > 2 {
		t.Errorf("a refused policy moved the fleet: %+v", line.All())
	}
}

func containsAll(s string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}

type fleetView struct {
	leader, problem string
	values          map[string]string
}

// leaderView asks until the leader itself has answered: the Service may lead to the standby.
func leaderView(ctx context.Context, c *cluster.Cluster) (v fleetView, err error) {
	err = cluster.Await(ctx, "an answer of the leader", patience, 20*time.Millisecond, func(ctx context.Context) (bool, error) {
		f, err := c.Controller.Fleet(ctx, cluster.Fleet)
		v = fleetView{f.Leader, f.Policy.Error, f.Policy.Values}
		return err == nil && f.IsLeader, err
	})
	return v, err
}
