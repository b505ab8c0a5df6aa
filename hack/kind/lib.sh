# Shared by up, down, load, status, env and test: the cluster's name, where its
# state lies, and the private Docker daemon.
# shellcheck shell=bash
kind_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../tools/lib.sh
. "$kind_dir/../tools/lib.sh"

cluster=${SURGEWALL_CLUSTER:-surgewall}
state=$surgewall_cache/kind
kubeconfig=$state/$cluster.kubeconfig
nodes="$cluster-control-plane $cluster-worker"

# A network of our own, so that kind's usual one, if there is one, stays as it is.
network=surgewall
bridge=surgewall0
export KIND_EXPERIMENTAL_DOCKER_NETWORK=$network

# The private daemon. What must not outlive a restart of the machine is in /run,
# where paths are also short enough for sockets; images are kept in the cache.
private=${SURGEWALL_RUN:-/run/surgewall}
pid_file=$private/docker.pid
socket=$private/docker.sock
data=$surgewall_cache/docker
before=$state/before # what the machine was like before the daemon ran

# daemon_pid prints the private daemon's process id if that process runs and is
# it: after a crash the number in the file may be anybody's.
daemon_pid() {
	local pid
	pid=$(cat "$pid_file" 2>/dev/null) && [ -n "$pid" ] &&
		tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "--pidfile $pid_file " && echo "$pid"
}

# offspring prints the processes that the private daemon has left or started
# outside containers: its containerd and shims name the daemon's directory.
offspring() {
	local file
	for file in /proc/[0-9]*/cmdline; do
		if tr '\0' ' ' 2>/dev/null <"$file" | grep -qE "^[^ ]*(containerd|containerd-shim[^ ]*|docker-proxy|dockerd) .*$private/"; then
			basename "$(dirname "$file")"
		fi
	done
}

private_answers() {
	daemon_pid >/dev/null && DOCKER_HOST=unix://$socket timeout 30 docker version >/dev/null 2>&1
}

# choose_docker sets DOCKER_HOST to the private daemon if that runs, and leaves
# it to the user otherwise. False: no daemon answers.
choose_docker() {
	if private_answers; then
		export DOCKER_HOST=unix://$socket
		unset DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH
		return 0
	fi
	[ "${DOCKER_HOST-}" != "unix://$socket" ] || unset DOCKER_HOST
	command -v docker >/dev/null && timeout 30 docker version >/dev/null 2>&1
}

# use_tools puts the pinned kind, helm and kubectl before all others.
use_tools() {
	local tools kubernetes
	tools=$("$kind_dir/../tools/build" kind helm)
	kubernetes=$("$kind_dir/../kubernetes/build" node)
	# Of the node's programs only kubectl: the others are for nodes.
	mkdir -p "$state/bin"
	ln -sfn "$tools/kind" "$state/bin/kind"
	ln -sfn "$tools/helm" "$state/bin/helm"
	ln -sfn "$kubernetes/kubectl" "$state/bin/kubectl"
	export PATH=$state/bin:$PATH KUBECONFIG=$kubeconfig
}

# ready says whether all nodes run and are Ready. Kubernetes alone would take
# forty seconds to notice that one is gone.
ready() {
	local node
	[ -s "$kubeconfig" ] || return 1
	for node in $nodes; do
		[ "$(docker inspect -f '{{.State.Running}}' "$node" 2>/dev/null)" = true ] || return 1
	done
	[ "$(kubectl get nodes --request-timeout=10s \
		-o 'jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}' 2>/dev/null |
		grep -c True)" = "$(wc -w <<<"$nodes")" ]
}

# await SECONDS COMMAND… asks twice a second until the command succeeds.
await() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.5
	done
}
