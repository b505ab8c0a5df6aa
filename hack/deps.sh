#!/usr/bin/env bash
# Installs the Debian packages that working on Surgewall needs and the machine
# lacks. As root it installs them; otherwise it prints the command and ends with 1.
#
#   hack/deps.sh [cluster] [test] [bench] [all]     (none named: cluster test)
#
# A package that runs a service is installed with that service stopped and
# disabled: the tests and the demo start processes of their own.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/lib.sh
. "$here/tools/lib.sh"

# What each purpose needs. The comments say what for.
declare -A packages=(
	# The kind cluster: a Docker daemon and its rules; the node's file system.
	[cluster]='docker.io iptables iproute2 mmdebstrap procps util-linux curl ca-certificates'
	# The broker that the tests start for themselves; the image of it; the race detector is C.
	[test]='rabbitmq-server mmdebstrap gcc libc6-dev ca-certificates'
	# The load generator and the caches that Surgewall is measured against.
	[bench]='wrk nginx varnish'
)
services='docker.service docker.socket containerd.service rabbitmq-server.service epmd.service epmd.socket
	nginx.service varnish.service varnishncsa.service'

[ $# -gt 0 ] || set -- cluster test
wanted=
for purpose; do
	case $purpose in
	all) wanted="${packages[cluster]} ${packages[test]} ${packages[bench]}" ;;
	cluster | test | bench) wanted+=" ${packages[$purpose]}" ;;
	-h | --help) sed -n '2,8s/^# \?//p' "$0"; exit 0 ;;
	*) die "unknown purpose $purpose: cluster, test, bench or all" ;;
	esac
done
# Docker from elsewhere is as good, and would conflict with Debian's.
if [[ $wanted == *docker.io* ]] && { command -v dockerd || docker info; } >/dev/null 2>&1; then wanted=${wanted//docker.io/}; fi

# dpkg asks policy-rc.d whether a service may be started: no. What was there
# before comes back afterwards, also after an interrupt.
policy=/usr/sbin/policy-rc.d
# Ours is in force, or the one from before is put aside and none is in force.
ours() { grep -qs 'surgewall hack/deps.sh' "$policy" || { [ ! -e "$policy" ] && [ -e "$policy.surgewall" ]; }; }
forbid_services() {
	if ! ours; then
		rm -f "$policy.surgewall"
		[ ! -e "$policy" ] || mv "$policy" "$policy.surgewall"
	fi
	printf '#!/bin/sh\n# surgewall hack/deps.sh: no service is started while it installs\nexit 101\n' >"$policy"
	chmod 755 "$policy"
}
allow_services() {
	ours || return 0
	rm -f "$policy"
	[ ! -e "$policy.surgewall" ] || mv "$policy.surgewall" "$policy"
}

# One that was killed while it installed could not take its own away. One that
# still installs holds the lock.
if ours; then
	if [ "$(id -u)" = 0 ]; then
		locked deps
		allow_services
	else
		say "$policy is left from an installation that was killed, or one is under way: sudo hack/deps.sh takes it away"
	fi
fi

# One question for all packages, because it is asked before every test run.
installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' 2>/dev/null | awk '$2 == "installed" { print $1 }') ||
	die "this machine has no dpkg; install by your own means:$wanted"
missing=$(comm -13 <(sort -u <<<"$installed") <(tr -s ' ' '\n' <<<"$wanted" | sed '/^$/d' | sort -u) | paste -sd' ')
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
	say "Missing Debian packages. Install them with:"
	say "  sudo apt-get update && sudo apt-get install --no-install-recommends $missing"
	say "or run: sudo hack/deps.sh $*"
	exit 1
fi

locked deps
was_there=$(for s in $services; do [ -e "/lib/systemd/system/$s" ] && echo "$s"; done || true)

trap allow_services EXIT
forbid_services
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of words
install() { apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 $missing; }

# Package lists that are there are tried first: fetching them takes longer than
# many an installation.
if ! apt-get install -y -q --no-install-recommends --dry-run $missing >/dev/null 2>&1; then
	step 'updating the package lists' apt-get update -q -o DPkg::Lock::Timeout=300
fi
if ! step "installing $missing" install; then
	step 'updating the package lists' apt-get update -q -o DPkg::Lock::Timeout=300
	step "installing $missing" install
fi

# A service that came with this installation shall not start with the machine.
if command -v systemctl >/dev/null; then
	for s in $services; do
		[ -e "/lib/systemd/system/$s" ] || continue
		grep -qx "$s" <<<"$was_there" || systemctl disable -q "$s" 2>/dev/null || true
	done
fi
