#!/usr/bin/env bash
# Runs every fuzz target of the module for the given time each (default 5s), one after the other.
set -euo pipefail
cd "$(dirname "$0")/.."
fuzztime=${1:-5s}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# When the time is up while a worker answers, go test now and then reports its own clock ("context deadline exceeded")
# as a failure of the target. A finding always names the input that failed; only a failure without one is tried again.
fuzz() {
  local dir=$1 target=$2 try
  for try in 1 2 3; do
    if go test -run '^$' -fuzz "^${target}\$" -fuzztime "$fuzztime" "./$dir" 2>&1 | tee "$log"; then return 0; fi
    grep -qE '^ +context deadline exceeded$' "$log" || return 1
    ! grep -q 'Failing input written' "$log" || return 1
    printf '== %s %s: cut off by its own clock (%d of 3)\n' "$dir" "$target" "$try"
  done
  return 1
}

count=0
while IFS=: read -r file target; do
  dir=$(dirname "$file")
  printf '== %s %s (%s)\n' "$dir" "$target" "$fuzztime"
  fuzz "$dir" "$target" </dev/null || exit 1
  count=$((count + 1))
done < <(git ls-files -co --exclude-standard '*_test.go' | xargs grep -HoE '^func Fuzz[A-Za-z0-9_]+' | sed 's/:func /:/' | sort)
[ "$count" -gt 0 ] || { echo "no fuzz target found: the search is broken" >&2; exit 1; }
printf '%d fuzz targets, %s each: no failure\n' "$count" "$fuzztime"
