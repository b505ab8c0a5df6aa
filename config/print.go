package config

import (
	"bytes"
	"fmt"
	"io"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// Print writes every setting as a file that Load takes, secrets masked, with the source of what is not at its default.
func Print(w io.Writer, fs *pflag.FlagSet, sources Sources) error {
	root, err := settingsNode(fs, sources)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(root); err != nil {
		return fmt.Errorf("print settings: %w", err)
	}
	_, err = w.Write(out.Bytes())
	return err
}

func settingsNode(fs *pflag.FlagSet, sources Sources) (*yaml.Node, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, key := range Keys(fs) {
		value, err := valueNode(fs.Lookup(key))
		if err != nil {
			return nil, fmt.Errorf("print %s: %w", key, err)
		}
		name := &yaml.Node{Kind: yaml.ScalarNode, Value: key}
		if value.Kind == yaml.MappingNode && len(value.Content) > 0 {
			name.LineComment = sources[key] // a comment on the mapping would stand at its end
		} else {
			value.LineComment = sources[key]
		}
		root.Content = append(root.Content, name, value)
	}
	return root, nil
}

func valueNode(f *pflag.Flag) (*yaml.Node, error) {
	if structure, ok := f.Value.(nodeSetter); ok {
		return structure.valueNode()
	}
	var value any = f.Value.String()
	switch list, isList := f.Value.(pflag.SliceValue); {
	case IsSecret(f):
		value = Masked(f.Value.String())
	case isList:
		value = list.GetSlice()
	case f.Value.Type() != "string":
		// Numbers and truth values go without quotes.
		return &yaml.Node{Kind: yaml.ScalarNode, Value: f.Value.String()}, nil
	}
	node := new(yaml.Node)
	err := node.Encode(value)
	if node.Kind == yaml.SequenceNode {
		node.Style = yaml.FlowStyle
	}
	return node, err
}
