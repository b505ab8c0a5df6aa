package archtest

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// listed is what `go list -json` says of a package, as far as we need it. Imports are those of the non-test files.
type listed struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
	Deps       []string
	Standard   bool
}

func list(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,GoFiles,Imports,Deps,Standard"}, args...)...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go list %v: %v\n%s", args, err, exit.Stderr)
		}
		t.Fatalf("go list %v: %v", args, err)
	}
	var pkgs []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); err == io.EOF {
			return pkgs
		} else if err != nil {
			t.Fatalf("decode go list: %v", err)
		}
		pkgs = append(pkgs, p)
	}
}

// covers reports whether pattern ("dir", "dir/..." or "...") covers the package path below the module.
func covers(pattern, path string) bool {
	if pattern == "..." {
		return true
	}
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == tree || strings.HasPrefix(path, tree+"/")
	}
	return pattern == path
}

func coversAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return covers(p, path) })
}

func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func TestImportsFollowTheTable(t *testing.T) {
	for _, p := range list(t, "./...") {
		path := strings.TrimPrefix(p.ImportPath, module)
		if coversAny(exempt, path) || len(p.GoFiles) == 0 {
			continue
		}
		i := slices.IndexFunc(table, func(r row) bool { return covers(r.pkg, path) })
		if i < 0 {
			t.Errorf("%s is in no row of the table: say what it may import", path)
			continue
		}
		r := table[i]
		for _, imp := range p.Imports {
			if isStandard(imp) {
				continue
			}
			if own, ok := strings.CutPrefix(imp, module); ok {
				if !coversAny(r.ours, own) {
					t.Errorf("%s imports %s, which its row does not allow: %s", path, own, r.why)
				}
				continue
			}
			if !slices.ContainsFunc(r.others, func(o string) bool { return strings.HasPrefix(imp, o) }) {
				t.Errorf("%s imports %s, which its row does not allow: %s", path, imp, r.why)
			}
		}
	}
}

func TestEveryRowNamesAPackageThatExists(t *testing.T) {
	var paths []string
	for _, p := range list(t, "./...") {
		paths = append(paths, strings.TrimPrefix(p.ImportPath, module))
	}
	for _, r := range table {
		if !slices.ContainsFunc(paths, func(p string) bool { return covers(r.pkg, p) }) {
			t.Errorf("the table lists %s, which does not exist", r.pkg)
		}
		if r.why == "" {
			t.Errorf("the row of %s gives no reason", r.pkg)
		}
	}
}

func TestForeignLibrariesStayInTheirRoom(t *testing.T) {
	for _, p := range list(t, "./...") {
		path := strings.TrimPrefix(p.ImportPath, module)
		if coversAny(exempt, path) {
			continue
		}
		for lib, rooms := range onlyIn {
			if coversAny(rooms, path) {
				continue
			}
			if i := slices.IndexFunc(p.Imports, func(imp string) bool { return strings.HasPrefix(imp, lib) }); i >= 0 {
				t.Errorf("%s imports %s: only %v may", path, p.Imports[i], rooms)
			}
		}
	}
}

func TestBinariesLinkOnlyWhatTheyNeed(t *testing.T) {
	for _, b := range bans {
		for _, p := range list(t, "./"+b.binary) {
			for _, dep := range p.Deps {
				if strings.HasPrefix(dep, b.prefix) {
					t.Errorf("%s links %s: %s", b.binary, dep, b.why)
				}
			}
		}
	}
}

// TestPurePackagesHaveNoClockAndNoGoroutine reads the source: a pure package neither asks for the time nor starts anything.
func TestPurePackagesHaveNoClockAndNoGoroutine(t *testing.T) {
	clock := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
	for _, r := range table {
		if !r.pure {
			continue
		}
		for _, p := range list(t, "./"+r.pkg) {
			for _, name := range p.GoFiles {
				fset := token.NewFileSet()
				file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
				if err != nil {
					t.Fatal(err)
				}
				ast.Inspect(file, func(n ast.Node) bool {
					switch n := n.(type) {
					case *ast.GoStmt:
						t.Errorf("%s starts a goroutine: %s", fset.Position(n.Pos()), r.why)
					case *ast.SelectorExpr:
						if pkg, ok := n.X.(*ast.Ident); ok && pkg.Name == "time" && slices.Contains(clock, n.Sel.Name) {
							t.Errorf("%s reads the clock (time.%s): %s", fset.Position(n.Pos()), n.Sel.Name, r.why)
						}
					}
					return true
				})
			}
		}
	}
}
