package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

const maxSites = 1000

// Sites is the setting that holds the sites: a mapping of their names to their settings. What it says is read when everything is known that a
// site inherits.
type Sites struct {
	base     func() Site // what a site has that it does not set itself
	file     string      // that node is from, or what to call it in errors
	fromText bool        // no file: a flag or a variable
	node     *yaml.Node  // nil without sites
}

var _ pflag.Value = (*Sites)(nil)

// Set parses a text in YAML, as from a flag or a variable.
func (s *Sites) Set(text string) error {
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		return fmt.Errorf("read as YAML: %w", err)
	}
	if len(document.Content) == 0 {
		s.node = nil
		return nil
	}
	if err := s.setNode("sites", document.Content[0]); err != nil {
		return err
	}
	s.fromText = true
	return nil
}

// String is empty without sites, and otherwise what Set takes.
func (s *Sites) String() string {
	if s.node == nil {
		return ""
	}
	text, err := yaml.Marshal(s.node)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// Type names the kind of value in the help.
func (s *Sites) Type() string { return "mapping of names to sites in YAML" }

// Declared reports whether there are sites.
func (s *Sites) Declared() bool { return s.node != nil }

func (s *Sites) setNode(file string, node *yaml.Node) error {
	if node.Kind != yaml.MappingNode {
		return errors.New("sites: want names of sites, each with its settings below it")
	}
	s.file, s.node, s.fromText = file, node, false
	if len(node.Content) == 0 {
		s.node = nil
	}
	return nil
}

// siteRead is a site with the flags that it was read through and where each setting comes from.
type siteRead struct {
	Site
	flags   *pflag.FlagSet
	sources Sources
}

// read returns the sites in the order of the file. Each error names file, line and site; a site that has one is still returned as far as
// it could be read.
func (s *Sites) read() (sites []*siteRead, err error) {
	if s.node == nil {
		return nil, nil
	}
	if n := len(s.node.Content) / 2; n > maxSites {
		return nil, fmt.Errorf("%s:%d: %w", s.file, s.node.Line, &Error{"sites", strconv.Itoa(n) + " sites", "at most " + strconv.Itoa(maxSites)})
	}
	var errs []error
	names, hosts := map[string]int{}, map[string]string{}
	for i := 0; i+1 < len(s.node.Content); i += 2 {
		name, body := s.node.Content[i], s.node.Content[i+1]
		at := fmt.Sprintf("%s:%d", s.file, name.Line)
		if err := dnsLabel("name of a site", name.Value, maxFleet); err != nil {
			errs = append(errs, fmt.Errorf("%s: sites: %w", at, err))
			continue
		}
		if first := names[name.Value]; first != 0 {
			errs = append(errs, fmt.Errorf("%s: sites: site %q is there twice, first in line %d", at, name.Value, first))
			continue
		}
		names[name.Value] = name.Line
		if body.Kind != yaml.MappingNode {
			errs = append(errs, fmt.Errorf("%s: sites.%s: want settings, at least host and origin", at, name.Value))
			continue
		}
		site := &siteRead{Site: s.base(), sources: Sources{}}
		site.Name, site.IgnoreQuery = name.Value, slices.Clone(site.IgnoreQuery)
		site.flags = pflag.NewFlagSet(name.Value, pflag.ContinueOnError)
		site.Bind(site.flags)
		unread := loadMapping(site.flags, Keys(site.flags), s.file, "sites."+name.Value+": ", body, site.sources)
		errs = append(errs, unread...)
		if len(unread) == 0 { // or a value that was refused would be reported as missing, too
			errs = append(errs, site.locate(at, site.Validate())...)
		}
		for _, host := range site.Hosts {
			if other, taken := hosts[host]; taken {
				errs = append(errs, site.locate(at, &Error{"host", host, "a host that is given once, but sites." + other + " has it already"})...)
			}
			hosts[host] = name.Value
		}
		sites = append(sites, site)
	}
	return sites, errors.Join(errs...)
}

// locate adds to each setting that is not allowed its place: the line that it is in, or that of the site where it is left out.
func (s *siteRead) locate(at string, err error) (located []error) {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // a tree of joined errors is walked by hand
		for _, each := range joined.Unwrap() {
			located = append(located, s.locate(at, each)...)
		}
		return located
	}
	if invalid, ok := errors.AsType[*Error](err); ok && s.sources[invalid.Key] != "" {
		at = s.sources[invalid.Key]
	}
	// Not wrapped: whoever explains a setting of the process by its key would take a site's setting for one.
	return []error{fmt.Errorf("%s: sites.%s: %v", at, s.Name, err)} //nolint:errorlint
}

// valueNode is what results for each site, as Print shows it.
func (s *Sites) valueNode() (*yaml.Node, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	sites, err := s.read()
	if err != nil {
		return nil, err
	}
	for _, site := range sites {
		body, err := settingsNode(site.flags, site.sources)
		if err != nil {
			return nil, err
		}
		root.Content = append(root.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: site.Name}, body)
	}
	return root, nil
}
