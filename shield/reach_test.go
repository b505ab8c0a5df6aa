package shield

import (
	"net/netip"
	"testing"

	"github.com/rs/zerolog"
)

func TestReachOf(t *testing.T) {
	more := []netip.Prefix{netip.MustParsePrefix("8.8.8.0/24"), netip.MustParsePrefix("2600::/16")}
	for want, list := range map[reach][]string{
		reachPublic: {"1.1.1.1", "9.9.9.9", "172.15.255.255", "172.32.0.0", "100.63.255.255", "100.128.0.0", "192.167.1.1", "169.253.1.1", "223.255.255.255",
			"2606:4700::1111", "2a00::1", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2001:200::1"},
		reachPrivate: {"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "198.18.0.1", "fd00::1", "fc00::1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1",
			"64:ff9b:1::1", "8.8.8.8", "::ffff:8.8.8.8", "2600:1::1"},
		reachLoopback: {"127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1"},
		reachNowhere: {"0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.170.2", "::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "100.100.100.200", "168.63.129.16",
			"192.0.0.192", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "::", "::127.0.0.1", "::ffff:0:127.0.0.1", "fe80::1", "fe80::1%eth0",
			"fec0::1", "ff02::1", "2002:7f00:1::", "2001::1", "2001:db8::1", "100::1", "fd00:ec2::254", "fd20:ce::254"},
	} {
		for _, text := range list {
			if got := reachOf(netip.MustParseAddr(text), more); got != want {
				t.Errorf("%s is %s, want %s", text, got, want)
			}
		}
	}
	if got := reachOf(netip.Addr{}, nil); got != reachNowhere {
		t.Errorf("no address is %s", got)
	}
}

func TestWhatASiteMayConnectTo(t *testing.T) {
	addresses := map[reach]string{reachPublic: "1.1.1.1:80", reachPrivate: "10.0.0.1:80", reachLoopback: "[::1]:80", reachNowhere: "169.254.169.254:80"}
	for _, c := range []struct {
		guard *guard
		may   []reach
	}{
		{&guard{}, []reach{reachPublic}},
		{&guard{private: true}, []reach{reachPublic, reachPrivate}},
		{&guard{private: true, loopback: true}, []reach{reachPublic, reachPrivate, reachLoopback}},
	} {
		c.guard.logger = zerolog.Nop()
		may := map[reach]bool{}
		for _, r := range c.may {
			may[r] = true
		}
		for r, address := range addresses {
			if err := c.guard.control("tcp", address, nil); (err == nil) != may[r] {
				t.Errorf("private %v, loopback %v, %s: %v", c.guard.private, c.guard.loopback, r, err)
			}
		}
		if got := int(c.guard.refused.Load()); got != len(addresses)-len(may) {
			t.Errorf("%d refusals are counted", got)
		}
		if err := c.guard.control("unix", "/run/x", nil); err == nil {
			t.Error("a path is connected to")
		}
	}
}

// FuzzReach: an address that is wrapped is judged as what it leads to.
func FuzzReach(f *testing.F) {
	f.Add([]byte{127, 0, 0, 1})
	f.Add([]byte{169, 254, 169, 254})
	f.Add([]byte{10, 1, 2, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		plain, ok := netip.AddrFromSlice(b)
		if !ok || !plain.Is4() {
			return
		}
		want := reachOf(plain, nil)
		four := plain.As4()
		wide := nat64.Addr().As16()
		copy(wide[12:], four[:])
		for _, wrapped := range []netip.Addr{netip.AddrFrom16(plain.As16()), netip.AddrFrom16(wide)} {
			if got := reachOf(wrapped, nil); got != want {
				t.Fatalf("%s is %s, but %s is %s", plain, want, wrapped, got)
			}
		}
		if want == reachPublic && (plain.IsPrivate() || plain.IsLoopback() || plain.IsLinkLocalUnicast() || plain.IsMulticast() || plain.IsUnspecified()) {
			t.Fatalf("%s is public", plain)
		}
	})
}
