package testport

import (
	"net"
	"testing"
)

func TestEachPortIsFreeAndComesOnce(t *testing.T) {
	seen := map[string]bool{}
	for range 50 {
		address := Free(t)
		if seen[address] {
			t.Errorf("%s came twice", address)
		}
		seen[address] = true
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Errorf("not free: %v", err)
			continue
		}
		defer l.Close()
	}
	ports, err := Take(3)
	if err != nil || len(ports) != 3 || ports[0] == ports[1] || ports[1] == ports[2] {
		t.Errorf("took %v, %v", ports, err)
	}
	if _, err := Take(number + 1); err == nil {
		t.Error("more ports than there are")
	}
}
