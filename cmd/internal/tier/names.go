package tier

import (
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/surgewall/surgewall/events"
)

// Pod returns the configured name, or one made of the host's, which in Kubernetes is the pod's.
func Pod(configured string) string {
	if configured != "" {
		return configured
	}
	host, err := os.Hostname()
	if err != nil {
		return events.CleanPod("")
	}
	return events.CleanPod(host)
}

// NewBootID draws a name for one run of a process: 26 characters of a-z and 2-7.
func NewBootID() string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	id := make([]byte, 26)
	for i := range id {
		id[i] = alphabet[rand.Uint32()%uint32(len(alphabet))]
	}
	return string(id)
}

// HostPort returns what to connect to for a URL, with the scheme's port where it names none.
func HostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// CDNID returns the configured identifier in CDN-Loop, or one that replicas with the same settings share and that another installation has
// only if its fleet and its upstreams are written alike. The order of the upstreams does not count.
func CDNID(configured, tier, fleet string, upstreams ...string) string {
	if configured != "" {
		return configured
	}
	upstreams = slices.Sorted(slices.Values(upstreams))
	sum := sha256.Sum256([]byte(fleet + "\n" + strings.Join(upstreams, "\n")))
	return tier + "-" + hex.EncodeToString(sum[:6])
}

// Site returns the name that an origin has in events: its host, or "origin" where that cannot be words of a routing key, as the address of
// an IPv6 host cannot.
func Site(u *url.URL) string {
	site := strings.ToLower(u.Hostname())
	if events.CheckSite(site) != nil {
		return "origin"
	}
	return site
}
