package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/surgewall/surgewall/controllers/fleet"
	"github.com/surgewall/surgewall/controllers/policy"
)

func policyCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{Use: "policy", Short: "Check a policy, and list what can be set"}
	server := false
	check := &cobra.Command{
		Use: "check FILE", Short: "Check a policy ConfigMap as the controller would; - reads standard input", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.check(cmd, args[0], server) },
	}
	check.Flags().BoolVar(&server, "server", false, "ask the controller too, not the API server: what would change, and what its latest decision would have been")
	cmd.AddCommand(check,
		&cobra.Command{
			Use: "keys", Short: "List the keys with their defaults and what is allowed", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return o.keys(cmd) },
		},
	)
	return cmd
}

// configMap is what of a manifest matters here.
type configMap struct {
	Kind     string `yaml:"kind"`
	Metadata struct {
		Name   string            `yaml:"name"`
		Labels map[string]string `yaml:"labels"`
	} `yaml:"metadata"`
	Data map[string]yaml.Node `yaml:"data"`
}

// verdict is the result of a check.
type verdict struct {
	Fleet    string            `json:"fleet"`
	Accepted bool              `json:"accepted"`
	Problems []string          `json:"problems,omitempty"`
	Values   map[string]string `json:"values,omitempty"`
	Opinion  *fleet.Opinion    `json:"opinion,omitempty"` // of the controller, where it was asked
	data     map[string]string
}

func (o *options) check(cmd *cobra.Command, path string, server bool) error {
	file := cmd.InOrStdin()
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return failure{err}
		}
		defer f.Close()
		file = f
	}
	verdicts, err := checkAll(path, file)
	if err != nil {
		return failure{err}
	}
	refused := 0
	for i, v := range verdicts {
		if v.Accepted && server {
			v.Opinion = new(fleet.Opinion)
			body := map[string]any{"data": v.data}
			if err := o.call(cmd.Context(), http.MethodPost, "/v1/fleets/"+url.PathEscape(v.Fleet)+"/policy/check", nil, body, v.Opinion); err != nil {
				return err
			}
			v.Accepted, v.Problems = v.Opinion.Accepted, v.Opinion.Problems // of a controller of another version, perhaps
			verdicts[i] = v
		}
		if !v.Accepted {
			refused++
		}
	}
	if o.output == "json" {
		err = o.json(cmd, verdicts)
	} else {
		err = show(cmd.OutOrStdout(), verdicts)
	}
	if err == nil && refused > 0 {
		return failure{fmt.Errorf("%s: %d of %d policies would be refused", path, refused, len(verdicts))}
	}
	return err
}

func show(w io.Writer, verdicts []verdict) error {
	for _, v := range verdicts {
		for _, problem := range v.Problems {
			fmt.Fprintf(w, "%s: %s\n", v.Fleet, problem)
		}
		if !v.Accepted {
			continue
		}
		fmt.Fprintf(w, "%s: accepted\n", v.Fleet)
		if v.Opinion != nil {
			showOpinion(w, *v.Opinion)
			continue
		}
		defaults := policy.Default(v.Fleet).Values()
		for _, key := range slices.Sorted(maps.Keys(v.Values)) {
			if v.Values[key] != defaults[key] {
				fmt.Fprintf(w, "  %s: %q (default %q)\n", key, v.Values[key], defaults[key])
			}
		}
	}
	return nil
}

func showOpinion(w io.Writer, o fleet.Opinion) {
	if len(o.Changes) == 0 {
		fmt.Fprintln(w, "  nothing would change")
	}
	for _, c := range o.Changes {
		fmt.Fprintf(w, "  %s\n", c)
	}
	if o.Now != nil && o.Then != nil {
		fmt.Fprintf(w, "  now:  %d -> %d  %s\n  then: %d -> %d  %s\n", o.Now.From, o.Now.To, o.Now.Reason, o.Then.From, o.Then.To, o.Then.Reason)
	}
}

// checkAll checks every policy ConfigMap of a file.
func checkAll(path string, file io.Reader) (verdicts []verdict, err error) {
	all, err := configMaps(path, file)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		verdicts = append(verdicts, checkOne(c))
	}
	return verdicts, nil
}

func (c configMap) isPolicy() bool { return c.Metadata.Labels["surgewall.io/policy"] == "true" }

func checkOne(c configMap) verdict {
	v := verdict{Fleet: c.Metadata.Name}
	if !c.isPolicy() {
		v.Problems = append(v.Problems, `label surgewall.io/policy: must be "true", or the controller does not see this ConfigMap`)
	}
	data := map[string]string{}
	for key, node := range c.Data {
		// The API server takes strings only: a number without quotes is refused before the controller sees it.
		if node.Kind != yaml.ScalarNode || node.Tag != "!!str" {
			v.Problems = append(v.Problems, fmt.Sprintf("line %d: %s: %s must be a string: put it in quotes", node.Line, key, node.Value))
		}
		data[key] = node.Value
	}
	slices.Sort(v.Problems)
	p, err := policy.Parse(c.Metadata.Name, data)
	var errs policy.Errors
	if errors.As(err, &errs) {
		v.Problems = append(v.Problems, errs.Lines()...)
	}
	if len(v.Problems) == 0 {
		v.Accepted, v.Values, v.data = true, p.Values(), data
	}
	return v
}

func (o *options) keys(cmd *cobra.Command) error {
	if o.output == "json" {
		type key struct{ Name, Default, Allowed, Meaning string }
		var keys []key
		for _, k := range policy.Keys() {
			keys = append(keys, key{k.Name, k.Default, k.Allowed, k.Meaning})
		}
		return o.json(cmd, keys)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tDEFAULT\tALLOWED\tMEANING")
	for _, k := range policy.Keys() {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", k.Name, k.Default, k.Allowed, k.Meaning)
	}
	return w.Flush()
}
