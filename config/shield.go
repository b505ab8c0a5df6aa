package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/pflag"
)

// Shield is what a shield can be told.
type Shield struct {
	Process
	Serving
	AMQP
	Content
	Caching
	EdgeAuth

	// Exactly one of Origins and Sites says what is served.
	Origins       []string // URLs of the one origin server of every Host, all of one scheme; trusted
	Sites         Sites
	PrivateRanges []string // CIDR ranges that count as private besides the usual ones

	Upstream // of every Host, or of each site that does not set it itself

	StripSurrogate bool // clients talk to the shield itself

	Fleet string // default shield
	Pod   string // default: the host's name up to its first dot

	PeerDNS string // host:port of a name whose addresses are all shields; empty: only this one
}

// NewShield returns the defaults.
func NewShield() *Shield {
	s := &Shield{
		Process: NewProcess(), Serving: newServing("127.0.0.1:8081"), AMQP: NewAMQP(), Content: newContent(), EdgeAuth: newEdgeAuth(), Upstream: newUpstream(), Fleet: "shield",
	}
	s.Sites.base = func() Site { return Site{Upstream: s.Upstream, Caching: s.Caching} }
	return s
}

// Bind declares the settings as flags.
func (s *Shield) Bind(fs *pflag.FlagSet) {
	s.Process.Bind(fs)
	s.Serving.Bind(fs)
	s.AMQP.Bind(fs)
	s.Content.Bind(fs)
	s.Caching.Bind(fs)
	s.EdgeAuth.Bind(fs)
	fs.StringSliceVar(&s.Origins, "origin", s.Origins, "`URL` of the trusted origin server of every Host; repeat it for further addresses of the same server, for when one fails")
	fs.Var(&s.Sites, "sites", "sites in `YAML`, in place of --origin; a key of the file rather than a flag")
	fs.StringSliceVar(&s.PrivateRanges, "private-range", s.PrivateRanges,
		"`range` of addresses, such as 203.0.113.0/24, that counts as private besides the usual ones; may be repeated")
	s.Upstream.Bind(fs)
	fs.BoolVar(&s.StripSurrogate, "strip-surrogate", s.StripSurrogate,
		"take fields that speak to caches (Surrogate-Key, Surgewall-Cache-Control and others) out of responses, where clients and not edges talk to the shield")
	fs.StringVar(&s.PeerDNS, "peer-dns", s.PeerDNS, "`host:port` whose addresses are the shields, this one among them: each prefetches what edges will ask it for")
	fs.StringVar(&s.Fleet, "fleet", s.Fleet, "`name` that this tier has in events")
	fs.StringVar(&s.Pod, "pod", s.Pod, "`name` of this shield within its tier; the host's name when empty")
}

// Validate reports every setting that is not allowed.
func (s *Shield) Validate() error {
	errs := []error{
		s.Process.Validate(), s.Serving.Validate(), s.AMQP.Validate(), s.Content.Validate(), s.Caching.Validate(), s.EdgeAuth.Validate(), s.Upstream.Validate(),
		dnsLabel("fleet", s.Fleet, maxFleet),
	}
	if s.Pod != "" {
		errs = append(errs, dnsLabel("pod", s.Pod, maxPod))
	}
	if s.PeerDNS != "" {
		errs = append(errs, dialAddress("peer-dns", s.PeerDNS))
	}
	for _, text := range s.PrivateRanges {
		if prefix, err := netip.ParsePrefix(text); err != nil || prefix != prefix.Masked() {
			errs = append(errs, &Error{"private-range", text, "a range of addresses in CIDR form without host bits, such as 203.0.113.0/24 or 2001:db8::/32"})
		}
	}
	switch {
	case s.Sites.Declared() && len(s.Origins) > 0:
		errs = append(errs, &Error{"origin", strings.Join(s.Origins, ","), "nothing beside sites: either the one origin of every Host, or sites with their own"})
	case s.Sites.Declared():
		_, err := s.Sites.read()
		errs = append(errs, err)
	case len(s.Origins) == 0:
		errs = append(errs, &Error{"origin", "", "the URL of the origin server, such as http://127.0.0.1:8000, or sites in the file"})
	default:
		errs = append(errs, origins(s.Origins))
	}
	return errors.Join(errs...)
}

// AllSites returns the sites in the order of the file, each with what it inherits. The settings have to be valid.
func (s *Shield) AllSites() ([]Site, error) {
	read, err := s.Sites.read()
	var sites []Site
	for _, site := range read {
		sites = append(sites, site.Site)
	}
	return sites, err
}

// SitesFile is the file that the sites are from; empty without sites, or where they are not from a file.
func (s *Shield) SitesFile() string {
	if !s.Sites.Declared() || s.Sites.fromText {
		return ""
	}
	return s.Sites.file
}

// Reread returns the sites of a changed file. All of the file has to be right, but only its sites count: what a site does not set itself is
// as it was when the process began.
func (s *Shield) Reread(data []byte) ([]Site, error) {
	again := NewShield()
	again.Sites.base = s.Sites.base
	fs := pflag.NewFlagSet(s.Sites.file, pflag.ContinueOnError)
	again.Bind(fs)
	if errs := loadFile(fs, Keys(fs), s.Sites.file, data, Sources{}); len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if !again.Sites.Declared() {
		return nil, fmt.Errorf("%s: %w", s.Sites.file, &Error{"sites", "", "at least one site"})
	}
	if err := again.Validate(); err != nil {
		return nil, err
	}
	return again.AllSites()
}
