package shield

import (
	"errors"
	"fmt"
	"reflect"
)

// siteSet is what is served at one time. It is immutable.
type siteSet struct {
	all   []*Site
	table table[Site]
}

// newSet returns the sites that the options say. Those that are as they were before stay the very same, with their connections, counts and
// the fetches that are under way.
func (o *Options) newSet(sites []SiteOptions, before *siteSet) (*siteSet, error) {
	if len(sites) == 0 {
		return nil, errors.New("no site is given")
	}
	old := map[string]*Site{}
	if before != nil {
		for _, site := range before.all {
			old[site.name] = site
		}
	}
	set, names := &siteSet{}, map[string]bool{}
	for _, options := range sites {
		if options.Name == "" || names[options.Name] {
			return nil, fmt.Errorf("make site %q: want a name of its own", options.Name)
		}
		names[options.Name] = true
		site := old[options.Name]
		if site == nil || !reflect.DeepEqual(site.options, options) {
			var err error
			if site, err = o.newSite(options); err != nil {
				return nil, fmt.Errorf("make site %s: %w", options.Name, err)
			}
		}
		if err := set.table.add(site, options.Hosts); err != nil {
			return nil, fmt.Errorf("make site %s: %w", options.Name, err)
		}
		set.all = append(set.all, site)
	}
	return set, nil
}

// Reload serves other sites from the next request on, and reports how many differ from before, those that are no more among them. What is
// stored stays, and fetches under way go on. An error leaves everything as it was. It is safe for concurrent use.
func (s *Shield) Reload(sites []SiteOptions) (changed int, err error) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	before := s.sites.Load()
	after, err := s.o.newSet(sites, before)
	if err != nil {
		return 0, err
	}
	s.sites.Store(after)
	stay := map[*Site]bool{}
	for _, site := range after.all {
		stay[site] = true
	}
	renewed := map[string]bool{}
	for _, site := range before.all {
		if !stay[site] {
			renewed[site.name] = true
			// Fetches under way keep theirs; those connections end by their idle time-out.
			site.transport.CloseIdleConnections()
			site.held.CloseIdleConnections()
		}
		delete(stay, site)
	}
	for site := range stay {
		renewed[site.name] = true
	}
	return len(renewed), nil
}
