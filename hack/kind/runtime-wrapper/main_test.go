package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestSpecificationIsFoundInTheArguments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		arguments string
		path      string
		inProcess bool
	}{
		{"--root /run/r --log-format json create --bundle /b/1 --pid-file /b/1/pid 1", "/b/1/config.json", true},
		{"--root /run/r run -b /b/2 2", "/b/2/config.json", true},
		{"--root /run/r exec --process /tmp/process.json --detach 1", "/tmp/process.json", false},
		{"--root /run/r exec -p /tmp/process.json 1", "/tmp/process.json", false},
		{"--root /run/r exec 1 sh", "", false},
		{"--root /run/r delete --force 1", "", false},
		{"--version", "", false},
	} {
		path, inProcess := specification(strings.Fields(c.arguments))
		if path != c.path || inProcess != c.inProcess {
			t.Errorf("%s: got %q, %t, want %q, %t", c.arguments, path, inProcess, c.path, c.inProcess)
		}
	}
}

func TestCapabilityIsTakenOutOfEverySet(t *testing.T) {
	t.Parallel()
	const sets = `{"capabilities": {
		"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"], "effective": ["CAP_SYS_RESOURCE"], "ambient": null},
		"rlimits": [{"type": "RLIMIT_NOFILE", "hard": 18446744073709551615}]}`
	for _, c := range []struct {
		name, content string
		inProcess     bool
	}{
		{"bundle", `{"ociVersion": "1.0.2", "process": ` + sets + `}`, true},
		{"exec", sets, false},
	} {
		changed, err := without([]byte(c.content), c.inProcess)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if !json.Valid(changed) || strings.Contains(string(changed), missing) {
			t.Errorf("%s: %s still in %s", c.name, missing, changed)
		}
		for _, kept := range []string{"CAP_CHOWN", "18446744073709551615"} {
			if !strings.Contains(string(changed), kept) {
				t.Errorf("%s: %s is gone from %s", c.name, kept, changed)
			}
		}
		again, err := without(changed, c.inProcess)
		if err != nil || string(again) != string(changed) {
			t.Errorf("%s: not left alone the second time: %s, %v", c.name, again, err)
		}
	}
}

func TestBrokenSpecificationIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := without([]byte(`{"process":`), true); err == nil {
		t.Error("no error")
	}
}
