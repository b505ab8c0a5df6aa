package events

import (
	"fmt"
	"strings"
)

const (
	// MaxFleet is the length limit of a fleet's name: it is a DNS label (RFC 1123).
	MaxFleet = 63
	// MaxPod is the length limit of a pod's name on the bus. With the longest fleet a routing key stays below AMQP's 255 bytes.
	MaxPod = 128
)

// Sender is who speaks: one process of a fleet, or of the shield or controller tier.
type Sender struct {
	// Fleet is the name of the fleet, of its policy and of its broker user; "shield" and "controller" for the other tiers.
	Fleet string
	// Pod is the pod's name. It is one word of a routing key and therefore holds no dot.
	Pod string
}

// Source returns the CloudEvents source "/<fleet>/<pod>".
func Source(fleet, pod string) string { return "/" + fleet + "/" + pod }

// ParseSource takes a CloudEvents source apart and checks both names.
func ParseSource(source string) (fleet, pod string, err error) {
	s, err := parseSender(source)
	return s.Fleet, s.Pod, err
}

func parseSender(source string) (Sender, error) {
	if len(source) > MaxFleet+MaxPod+2 {
		return Sender{}, fmt.Errorf("source has %d bytes, at most %d are allowed", len(source), MaxFleet+MaxPod+2)
	}
	rest, rooted := strings.CutPrefix(source, "/")
	fleet, pod, split := strings.Cut(rest, "/")
	if !rooted || !split {
		return Sender{}, fmt.Errorf("source %q is not /<fleet>/<pod>", source)
	}
	if err := CheckFleet(fleet); err != nil {
		return Sender{}, err
	}
	if err := CheckPod(pod); err != nil {
		return Sender{}, err
	}
	return Sender{Fleet: fleet, Pod: pod}, nil
}

// CheckFleet says what is wrong with a fleet's name: it is a DNS label, since it names a ConfigMap, a broker user and a routing key's word.
func CheckFleet(name string) error { return checkLabel("fleet", name, MaxFleet) }

// CheckPod says what is wrong with a pod's name. CleanPod makes a good one of any host name.
func CheckPod(name string) error { return checkLabel("pod", name, MaxPod) }

func checkLabel(what, name string, limit int) error {
	if name == "" || len(name) > limit {
		return fmt.Errorf("%s %q has %d characters, 1 to %d are allowed", what, clip(name), len(name), limit)
	}
	for i := range len(name) {
		if c := name[i]; !labelByte(c) || c == '-' && (i == 0 || i == len(name)-1) {
			return fmt.Errorf("%s %q: only a-z, 0-9 and inner - are allowed", what, clip(name))
		}
	}
	return nil
}

func labelByte(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' }

// CleanPod turns a host name into a pod name that CheckPod accepts: lower case, every other character a hyphen, cut to length.
// It returns "unnamed" where nothing is left. Names that differ only in other characters become equal.
func CleanPod(name string) string {
	b := []byte(strings.ToLower(name))
	for i, c := range b {
		if !labelByte(c) {
			b[i] = '-'
		}
	}
	if clean := strings.Trim(string(b[:min(len(b), MaxPod)]), "-"); clean != "" {
		return clean
	}
	return "unnamed"
}

// clip keeps hostile input out of errors and logs.
func clip(s string) string {
	if len(s) <= 80 {
		return s
	}
	return strings.ToValidUTF8(s[:80], "") + "…"
}
