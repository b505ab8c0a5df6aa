package config

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// EnvPrefix starts the environment variable of every setting.
const EnvPrefix = "SURGEWALL_"

// commandLineOnly are flags that say what to do now; they have no place in a file or in the environment.
var commandLineOnly = []string{"help", "version", "config", "check"}

// Sources tells for each setting that is not at its default where its value came from: "flag", "SURGEWALL_…" or "FILE:LINE".
type Sources map[string]string

// EnvName returns the environment variable of a setting.
func EnvName(key string) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
}

// Keys returns the names of the settings among the flags, sorted.
func Keys(fs *pflag.FlagSet) []string {
	var keys []string
	fs.VisitAll(func(f *pflag.Flag) {
		if !slices.Contains(commandLineOnly, f.Name) {
			keys = append(keys, f.Name)
		}
	})
	slices.Sort(keys)
	return keys
}

// Load sets what the command line, already parsed into fs, left open: first from the file, then from the environment. An unknown
// or repeated key of the file is refused; an unknown variable is not, since a cluster adds its own variables for services
// that are named alike. An empty variable counts as not set. Every error found is returned, each naming file and line or variable.
func Load(fs *pflag.FlagSet, file string, data []byte, lookupEnv func(string) (string, bool)) (Sources, error) {
	sources := Sources{}
	keys := Keys(fs)
	for _, key := range keys {
		if fs.Lookup(key).Changed {
			sources[key] = "flag"
		}
	}
	errs := loadFile(fs, keys, file, data, sources)
	for _, key := range keys {
		name := EnvName(key)
		value, ok := lookupEnv(name)
		if !ok || value == "" || sources[key] == "flag" {
			continue
		}
		if err := set(fs.Lookup(key), value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		sources[key] = name
	}
	return sources, errors.Join(errs...)
}

func loadFile(fs *pflag.FlagSet, keys []string, file string, data []byte, sources Sources) (errs []error) {
	var document yaml.Node
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil // empty, or nothing but comments
	} else if err != nil {
		return []error{fmt.Errorf("%s: %w", file, err)}
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return []error{fmt.Errorf("%s: want one YAML document, found more", file)}
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return []error{fmt.Errorf("%s:%d: want settings, one \"key: value\" a line", file, root.Line)}
	}
	return loadMapping(fs, keys, file, "", root, sources)
}

// loadMapping sets the flags named in a mapping; whose is put before what is wrong with one of them.
func loadMapping(fs *pflag.FlagSet, keys []string, file, whose string, root *yaml.Node, sources Sources) (errs []error) {
	seen := map[string]int{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		name, value := root.Content[i], root.Content[i+1]
		at := fmt.Sprintf("%s:%d", file, name.Line)
		if !slices.Contains(keys, name.Value) {
			errs = append(errs, fmt.Errorf("%s: %sunknown key %q%s", at, whose, name.Value, suggestion(name.Value, keys)))
			continue
		}
		if first := seen[name.Value]; first != 0 {
			errs = append(errs, fmt.Errorf("%s: %skey %q is there twice, first in line %d", at, whose, name.Value, first))
			continue
		}
		seen[name.Value] = name.Line
		if sources[name.Value] == "flag" {
			continue
		}
		if err := setNode(fs.Lookup(name.Value), file, value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %s%w", at, whose, err))
			continue
		}
		sources[name.Value] = at
	}
	return errs
}

// A nodeSetter is a setting of its own structure: it takes more than a text or a list of them.
type nodeSetter interface {
	setNode(file string, node *yaml.Node) error
	valueNode() (*yaml.Node, error)
}

func setNode(f *pflag.Flag, file string, node *yaml.Node) error {
	list, isList := f.Value.(pflag.SliceValue)
	structure, isStructure := f.Value.(nodeSetter)
	switch {
	case node.Kind == yaml.SequenceNode && isList:
		var values []string
		if err := node.Decode(&values); err != nil {
			return fmt.Errorf("%s: want a list of text", f.Name)
		}
		return list.Replace(values)
	case node.Kind == yaml.ScalarNode && node.Tag == "!!null":
		return fmt.Errorf("%s: has no value; leave the key out for the default, or write \"\" for empty", f.Name)
	case isStructure:
		return structure.setNode(file, node)
	case node.Kind == yaml.ScalarNode:
		return set(f, node.Value)
	case isList:
		return fmt.Errorf("%s: want a list of text", f.Name)
	}
	return fmt.Errorf("%s: want a single value", f.Name)
}

// set parses one text into the flag; for a list, the text is its members with commas between.
func set(f *pflag.Flag, text string) error {
	var err error
	if list, ok := f.Value.(pflag.SliceValue); ok {
		err = list.Replace(strings.Split(text, ","))
	} else {
		err = f.Value.Set(text)
	}
	if err == nil {
		return nil
	}
	if IsSecret(f) {
		return fmt.Errorf("%s: the value is not allowed", f.Name)
	}
	return fmt.Errorf("%s: %q is not allowed: want a %s: %w", f.Name, text, f.Value.Type(), err)
}

// suggestion names the key that the writer probably meant: one that differs by at most two letters.
func suggestion(wrong string, keys []string) string {
	for _, key := range keys {
		if distance(wrong, key) <= 2 {
			return fmt.Sprintf("; did you mean %q?", key)
		}
	}
	return ""
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
