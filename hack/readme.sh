#!/usr/bin/env bash
# Runs the commands of README.md: every line "$ …" of its console blocks, in order, in the shell of the kind cluster; --list only prints them.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t commands < <(awk '/^```console$/ {on = 1; next} /^```$/ {on = 0} on && /^\$ / {print substr($0, 3)}' README.md)
[ "${#commands[@]}" -ge 7 ] || { echo "readme: only ${#commands[@]} commands found in README.md: the search is broken" >&2; exit 1; }
for command in "${commands[@]}"; do
  if [ "${1:-}" = --list ]; then
    echo "$command"
    continue
  fi
  printf '\n=== README: %s\n' "$command"
  # The cluster's variables are there from the moment that the first command has made it.
  (
    if hack/kind/status >/dev/null 2>&1; then eval "$(hack/kind/env)"; fi
    eval "$command"
  )
done
