# Shared by the scripts under hack/: where things are cached, how a step shows
# its progress, and how a Go program is built once and kept.
# shellcheck shell=bash

say() { printf '%s\n' "$*" >&2; }
die() { say "${0##*/}: $*"; exit 1; }

# Everything that is made once and kept lies here, outside the tree. A relative
# name means the same directory to the scripts and programs that this one starts
# elsewhere; down --all removes from here, which the root directory must not be.
surgewall_cache=$(realpath -m -- "${SURGEWALL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/surgewall}")
[ "$surgewall_cache" != / ] || die "SURGEWALL_CACHE is ${SURGEWALL_CACHE@Q}, the root directory: want a directory of its own"
[ -z "${SURGEWALL_CACHE:-}" ] || export SURGEWALL_CACHE=$surgewall_cache

# step TEXT COMMAND… runs the command with its output in a log, says how long it
# took if that was over two seconds, and shows the end of the log if it failed.
# The standard output of the command is not kept apart: use it for what is done,
# not for what is printed.
step() {
	local text=$1 log since=$SECONDS rc=0
	shift
	log=$(mktemp "${TMPDIR:-/tmp}/surgewall-step.XXXXXX")
	# A process group of its own, so that an interrupt reaches all of it.
	set -m
	"$@" >"$log" 2>&1 </dev/null &
	set +m
	job=$!
	local spent=0 shown=0
	# Asked often at first, so that a quick step stays quick and silent.
	while kill -0 "$job" 2>/dev/null; do
		spent=$((SECONDS - since))
		if [ "$spent" -lt 2 ]; then sleep 0.1; continue; fi
		if [ -t 2 ]; then
			printf '\r  %s … %d s ' "$text" "$spent" >&2
		elif [ "$shown" = 0 ] || [ "$((spent - shown))" -ge 30 ]; then
			printf '  %s … %d s\n' "$text" "$spent" >&2
			shown=$spent
		fi
		sleep 0.5
	done
	wait "$job" || rc=$?
	spent=$((SECONDS - since))
	[ -t 2 ] && [ "$spent" -ge 2 ] && printf '\r\033[K' >&2
	if [ "$rc" != 0 ]; then
		say "  $text: failed after $spent s:"
		tail -n 40 "$log" | sed 's/^/    /' >&2
	elif [ "$spent" -ge 2 ]; then
		say "  $text: $spent s"
	fi
	job=
	rm -f "$log"
	return "$rc"
}

# An interrupted script takes the step that it is in with it.
job=
trap '[ -z "$job" ] || kill -- "-$job" 2>/dev/null; exit 130' INT TERM HUP

# hash_of FILE… prints a short hash of the files' contents, their order and the
# Go release, which decides what comes out as much as the sources do.
hash_of() {
	{ go env GOVERSION GOOS GOARCH; cat -- "$@"; } | sha256sum | cut -c1-16
}

# go_build MODULE-DIR PACKAGE OUTPUT LDFLAGS builds a static program beside its
# place and moves it there, so that an interrupted build leaves nothing half.
go_build() {
	local temporary=$3.$$
	(
		# The compiler allocates much and lives for seconds: half as many collections save a fifth of its time.
		cd "$1" && env CGO_ENABLED=0 GOWORK=off GOFLAGS=-buildvcs=false GOGC="${GOGC:-200}" \
			go build -trimpath -ldflags "-s -w $4" -o "$temporary" "$2"
	) && mv -f "$temporary" "$3" || { rm -f "$temporary"; return 1; }
}

# locked NAME holds the named lock of the cache until the script ends. The
# children that outlive it must close descriptor 9.
locked() {
	mkdir -p "$surgewall_cache"
	exec 9>"$surgewall_cache/$1.lock"
	flock -n 9 && return
	say "  another process holds $surgewall_cache/$1.lock, waiting for it"
	flock 9
}
