#!/usr/bin/env bash
# Checks that what can be derived is in step with what it is derived from. Changes nothing; says what to run when something is off.
set -euo pipefail
cd "$(dirname "$0")/.."
fail=0
say() { printf 'verify: %s\n' "$1" >&2; fail=1; }
# A list that comes out empty is a search that broke, not a tree without files.
some() { [ "$2" -gt 0 ] || say "found no $1: the check is broken"; }

unformatted=$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l)
[ -z "$unformatted" ] || say "not formatted (run gofmt -w): $unformatted"

go mod tidy -diff >/dev/null 2>&1 || say "go.mod or go.sum is not tidy (run go mod tidy)"
go mod verify >/dev/null || say "a module in the cache does not match go.sum"

# Every direct dependency has its line of reason.
n=0
while read -r mod; do
  n=$((n + 1))
  grep -qF "\`$mod\`" docs/dependencies.md || say "docs/dependencies.md gives no reason for $mod"
done < <(go list -m -f '{{if not (or .Indirect .Main)}}{{.Path}}{{end}}' all)
some "direct dependency" "$n"

# Every make target has its line in help.
n=0
while read -r target; do
  n=$((n + 1))
  grep -qE "^$target:.*## " Makefile || say "make $target has no line in make help"
done < <(grep -E '^\.PHONY: ' Makefile | cut -d' ' -f2-)
some "make target" "$n"

# Shell scripts parse; every script says in its second line what it is for.
n=0
while read -r script; do
  n=$((n + 1))
  bash -n "$script" || say "$script does not parse"
  sed -n 2p "$script" | grep -q '^# ' || say "$script does not say in its second line what it is for"
done < <(git ls-files -co --exclude-standard hack .ci | while read -r f; do head -c 20 "$f" | grep -q '^#!/usr/bin/env bash' && echo "$f"; done)
some "shell script" "$n"

# Links between our documents resolve.
n=0
while IFS=: read -r doc link; do
  n=$((n + 1))
  target=${link%%#*}
  [ -z "$target" ] || [ -e "$(dirname "$doc")/$target" ] || say "$doc links to $target, which does not exist"
done < <(git ls-files -co --exclude-standard '*.md' | xargs grep -HoE '\]\([^)]+\)' | sed -E 's/\]\(([^)]*)\)/\1/' | grep -vE ':(https?:|mailto:)')
some "link" "$n"

# The comparison with other autoscalers is a module of its own, which ./... does not reach. With these flags it shares what hack/kubernetes/build compiles.
if (cd hack/compare && GOPROXY=off go list -deps -test ./...) >/dev/null 2>&1; then
  compiled=$(CGO_ENABLED=0 go -C hack/compare vet -trimpath ./... 2>&1) || say "hack/compare does not compile: $compiled"
elif [ "${SURGEWALL_REQUIRE_ALL:-}" = 1 ]; then
  say "the modules of hack/compare are missing (run go -C hack/compare mod download)"
else
  echo "verify: SKIPPED: hack/compare is not compiled, its modules are missing (run go -C hack/compare mod download)" >&2
fi

# A document that the README does not lead to is one that nobody reads.
n=0
while read -r doc; do
  n=$((n + 1))
  grep -qF "]($doc)" README.md || say "README.md has no link to $doc"
done < <(git ls-files -co --exclude-standard 'docs/*' | grep -v '^docs/decisions/')
some "document" "$n"

if [ -d hack/gendocs ]; then
  go run ./hack/gendocs --check || say "generated documents are out of step (run make generate)"
fi
[ "$fail" -eq 0 ] && echo "verify: formatting, modules, documents and scripts are in step"
exit "$fail"
