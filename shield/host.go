package shield

import (
	"net/netip"
	"strconv"
	"strings"
)

// normalHost returns the one form in which the host of a request is looked up, keyed and forwarded: lower case, without a dot at the end and
// without a port that is a scheme's default, an IPv6 address in the form of RFC 5952. It is false for what is no host. What differs
// only in this would otherwise be several keys for one resource, with the response to one client's spelling served to the others.
func normalHost(host string) (string, bool) {
	if isNormal(host) {
		return host, true // as nearly every client writes it
	}
	if strings.HasPrefix(host, "[") {
		return normalLiteral(host)
	}
	name, port := host, ""
	if i := strings.IndexByte(host, ':'); i >= 0 {
		var ok bool
		if port, ok = normalPort(host[i+1:]); !ok {
			return "", false
		}
		name = host[:i]
	}
	name = strings.TrimSuffix(name, ".")
	if !isName(name) {
		return "", false
	}
	return strings.ToLower(name) + port, true
}

// isNormal reports whether host is a name in normal form, without a port: normalHost in one pass, for what costs each request.
func isNormal(host string) bool {
	label := 0
	for i := range len(host) {
		switch c := host[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
			label++
		case c == '.' && label > 0 && label <= 63:
			label = 0
		default:
			return false
		}
	}
	return label > 0 && label <= 63 && len(host) <= 253
}

// normalLiteral is normalHost for an IPv6 address in brackets (RFC 3986, section 3.2.2).
func normalLiteral(host string) (string, bool) {
	literal, rest, ok := strings.Cut(host[1:], "]")
	if !ok {
		return "", false
	}
	address, err := netip.ParseAddr(literal)
	if err != nil || !address.Is6() || address.Zone() != "" {
		return "", false
	}
	port := ""
	if rest != "" {
		if rest[0] != ':' {
			return "", false
		}
		if port, ok = normalPort(rest[1:]); !ok {
			return "", false
		}
	}
	return "[" + address.String() + "]" + port, true
}

// normalPort returns ":port", or nothing for 80, 443 and the empty port: a balancer in front that ends TLS leaves no trace of the scheme,
// so that either may be the default of what the client spoke.
func normalPort(digits string) (string, bool) {
	if digits == "" {
		return "", true
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return "", false // ParseUint takes a sign and underscores in some bases; a port has neither
		}
	}
	port, err := strconv.ParseUint(digits, 10, 16)
	switch {
	case err != nil || port == 0:
		return "", false
	case port == 80 || port == 443:
		return "", true
	}
	return ":" + strconv.FormatUint(port, 10), true
}

// isName accepts labels of letters, digits, - and _ with single dots between: names of hosts, and IPv4 addresses.
func isName(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	label := 0
	for i := range len(name) {
		switch c := name[i]; {
		case c == '.':
			if label == 0 {
				return false
			}
			label = 0
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			if label++; label > 63 {
				return false
			}
		default:
			return false
		}
	}
	return label > 0
}
