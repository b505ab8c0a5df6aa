// Command runtime-wrapper is runc for a machine on which CAP_SYS_RESOURCE is
// missing: it takes that capability out of what it is asked to start, then
// becomes runc.
//
// kind starts its nodes with all capabilities, and cannot choose a runtime;
// runc fails when it is to grant one that it does not have itself. A private
// daemon therefore has this program as its default runtime.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
)

const missing = "CAP_SYS_RESOURCE"

func main() {
	if err := run(os.Args); err != nil {
		fmt.Fprintf(os.Stderr, "runtime-wrapper: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if path, inProcess := specification(args[1:]); path != "" {
		if err := rewrite(path, inProcess); err != nil {
			return fmt.Errorf("taking %s out of %s: %w", missing, path, err)
		}
	}
	runc, err := exec.LookPath("runc")
	if err != nil {
		return fmt.Errorf("looking for runc: %w", err)
	}
	return syscall.Exec(runc, append([]string{"runc"}, args[1:]...), os.Environ())
}

// specification finds the file that says which capabilities the new process
// gets: the bundle's config.json for create and run, in which they are below
// "process", or the file of exec, which is such a process itself. Executing in
// a container with all capabilities fails just as starting one does.
func specification(args []string) (path string, inProcess bool) {
	var command string
	options := map[string]string{}
	for i, arg := range args {
		switch arg {
		case "create", "run", "exec", "restore":
			if command == "" {
				command = arg
			}
		case "--bundle", "-b", "--process", "-p":
			if i+1 < len(args) {
				options[arg] = args[i+1]
			}
		}
	}
	switch command {
	case "create", "run", "restore":
		bundle := options["--bundle"]
		if bundle == "" {
			bundle = options["-b"]
		}
		return filepath.Join(bundle, "config.json"), true
	case "exec":
		if options["--process"] != "" {
			return options["--process"], false
		}
		return options["-p"], false
	}
	return "", false
}

// rewrite removes the capability from all sets of the file, through a file
// beside it, so that nobody sees half of it.
func rewrite(path string, inProcess bool) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	changed, err := without(content, inProcess)
	if err != nil || bytes.Equal(content, changed) {
		return err
	}
	beside := path + ".new"
	if err := os.WriteFile(beside, changed, 0o600); err != nil {
		return err
	}
	return os.Rename(beside, path)
}

// without returns the specification without the capability, and the same bytes
// if it was not there.
func without(content []byte, inProcess bool) ([]byte, error) {
	var whole map[string]any
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber() // limits are 64 bits wide, more than a float64 holds
	if err := decoder.Decode(&whole); err != nil {
		return nil, err
	}
	process := whole
	if inProcess {
		process, _ = whole["process"].(map[string]any)
	}
	sets, _ := process["capabilities"].(map[string]any)
	found := false
	for name, value := range sets {
		set, _ := value.([]any)
		kept := slices.DeleteFunc(slices.Clone(set), func(c any) bool { return c == missing })
		found = found || len(kept) != len(set)
		sets[name] = kept
	}
	if !found {
		return content, nil
	}
	return json.Marshal(whole)
}
