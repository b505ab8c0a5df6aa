package main

import (
	"fmt"
	"net/netip"
	"net/url"

	"github.com/surgewall/surgewall/cmd/internal/tier"
	"github.com/surgewall/surgewall/config"
	"github.com/surgewall/surgewall/shield"
)

// sites returns what the settings say is served: the one trusted site of every Host that --origin declares, or the sites of the file.
func sites(settings *config.Shield) ([]shield.SiteOptions, error) {
	if len(settings.Origins) > 0 {
		every, err := site(config.Site{Origins: settings.Origins, Upstream: settings.Upstream, Caching: settings.Caching})
		if err != nil {
			return nil, fmt.Errorf("--origin: %w", err)
		}
		every.Name, every.Trusted = tier.Site(every.Origins[0]), true
		return []shield.SiteOptions{every}, nil
	}
	declared, err := settings.AllSites()
	if err != nil {
		return nil, err
	}
	return siteOptions(declared)
}

func siteOptions(declared []config.Site) ([]shield.SiteOptions, error) {
	var all []shield.SiteOptions
	for _, d := range declared {
		options, err := site(d)
		if err != nil {
			return nil, fmt.Errorf("sites.%s: %w", d.Name, err)
		}
		all = append(all, options)
	}
	return all, nil
}

func site(s config.Site) (shield.SiteOptions, error) {
	options := shield.SiteOptions{
		Name: s.Name, Hosts: s.Hosts, Private: s.Private, KeepHost: s.OriginHostHeader == "keep",
		Concurrency: s.OriginConcurrency, QueueTimeout: s.OriginQueueTimeout, Breaker: s.OriginBreaker,
		ConnectTimeout: s.ConnectTimeout, ResponseHeaderTimeout: s.ResponseHeaderTimeout,
		HeldConcurrency: s.OriginHeldConcurrency, HeldTimeout: s.HeldTimeout,
		Rules: tier.Rules(s.Caching), IgnoreQuery: s.IgnoreQuery,
	}
	for _, text := range s.Origins {
		u, err := url.Parse(text)
		if err != nil {
			return options, fmt.Errorf("read the origin: %w", err)
		}
		options.Origins = append(options.Origins, u)
	}
	return options, nil
}

func privateRanges(settings *config.Shield) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range settings.PrivateRanges {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("--private-range: %w", err)
		}
		all = append(all, prefix)
	}
	return all, nil
}
