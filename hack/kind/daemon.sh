# Starts and stops the private Docker daemon, and takes away what a daemon
# leaves behind: rules, forwarding, bridges, mounts, control groups.
# shellcheck shell=bash

settings='net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables net.bridge.bridge-nf-call-ip6tables'

# lacks_sys_resource: CAP_SYS_RESOURCE is bit 24 of the bounding set.
lacks_sys_resource() {
	local bounding
	bounding=$(awk '$1 == "CapBnd:" { print $2 }' /proc/self/status)
	[ $((0x$bounding >> 24 & 1)) = 0 ]
}

# remember notes the machine's rules and settings, unless an earlier daemon that
# has not been cleaned up after has noted them since the machine started.
remember() {
	if [ "$(cat "$before/boot" 2>/dev/null)" = "$(cat /proc/sys/kernel/random/boot_id)" ]; then return; fi
	rm -rf "$before" "$before.new"
	mkdir -p "$before.new"
	cat /proc/sys/kernel/random/boot_id >"$before.new/boot"
	iptables-save >"$before.new/rules"
	local setting
	for setting in $settings; do
		[ ! -e "/proc/sys/${setting//.//}" ] || echo "$setting $(cat "/proc/sys/${setting//.//}")"
	done >"$before.new/settings"
	mv "$before.new" "$before"
}

start_daemon() {
	local options=()
	sweep
	mkdir -p "$private" "$data"
	chmod 700 "$private"
	remember
	if lacks_sys_resource; then
		go_build "$kind_dir/../.." ./hack/kind/runtime-wrapper "$state/runtime-wrapper" ''
		options+=(--add-runtime "surgewall=$state/runtime-wrapper" --default-runtime surgewall)
	fi
	# Version 2 is systemd's to divide, and a group of our own would have to be
	# a slice of it.
	if [ ! -f /sys/fs/cgroup/cgroup.controllers ]; then options+=(--cgroup-parent /surgewall); fi
	rm -f "$pid_file" # a stale one keeps the daemon from starting
	echo '{}' >"$private/daemon.json" # not the system's
	mv -f "$state/docker.log" "$state/docker.log.1" 2>/dev/null || true
	# No default bridge: kind brings its own network. No descriptor 9: the
	# daemon outlives the lock.
	setsid dockerd --config-file "$private/daemon.json" --data-root "$data" \
		--exec-root "$private/exec" --pidfile "$pid_file" --host "unix://$socket" \
		--bridge none --ip6tables=false "${options[@]}" \
		</dev/null >"$state/docker.log" 2>&1 9>&- &
	disown
	await 180 private_answers || { tail -n 20 "$state/docker.log"; return 1; }
}

# docker_rules and docker_chains print those of iptables-save's lines that are a
# Docker daemon's or speak of our bridge.
docker_rules() { sed -n "/^-A.*\(DOCKER\|$bridge\)/p"; }
docker_chains() { sed -n 's/^:\(DOCKER[^ ]*\) .*/\1/p'; }
# new_to FILE passes on the lines that are not in the file.
new_to() { grep -vxFf "$1" || true; }

# other_daemon says whether a Docker daemon runs that is not the private one.
other_daemon() {
	local file
	for file in /proc/[0-9]*/cmdline; do
		if tr '\0' ' ' 2>/dev/null <"$file" | grep -E '^([^ ]*/)?dockerd( |$)' | grep -qvF "$private/"; then return 0; fi
	done
	return 1
}

# remove_bridge_rules takes away the rules that speak of our bridge, and leaves
# what another daemon has made or needs since ours was started.
remove_bridge_rules() {
	local table rule
	for table in filter nat; do
		iptables-save -t "$table" | sed -n "/^-A.*$bridge/p" | while read -r rule; do
			eval "iptables -t $table -D ${rule#-A }" || true
		done
	done
}

# remove_rules takes away every rule and chain of Docker's that was not there
# before, and gives FORWARD its policy back, which Docker turns to DROP.
remove_rules() {
	local table rule chain policy
	docker_rules <"$before/rules" >"$before/docker-rules"
	docker_chains <"$before/rules" >"$before/docker-chains"
	for table in filter nat; do
		# All rules first: a chain that one of them jumps to cannot go. A
		# rule may hold quotes, hence eval.
		iptables-save -t "$table" | docker_rules | new_to "$before/docker-rules" | while read -r rule; do
			eval "iptables -t $table -D ${rule#-A }" || true
		done
		iptables-save -t "$table" | docker_chains | new_to "$before/docker-chains" | while read -r chain; do
			iptables -t "$table" -F "$chain" && iptables -t "$table" -X "$chain" || true
		done
	done
	policy=$(sed -n 's/^:FORWARD \([A-Z]*\) .*/\1/p' "$before/rules" | tail -n 1)
	iptables -P FORWARD "${policy:-ACCEPT}"
}

# sweep ends and removes what a killed daemon has left: processes, mounts,
# interfaces and control groups. Containers that are kept start again with it.
sweep() {
	local pid mount link group
	for pid in $(offspring); do kill -KILL "$pid" 2>/dev/null || true; done
	# Containers whose shim is gone have nobody left to end them.
	for group in /sys/fs/cgroup/*/surgewall /sys/fs/cgroup/surgewall; do
		[ -d "$group" ] || continue
		find "$group" -name cgroup.procs -exec cat {} + 2>/dev/null | xargs -r kill -KILL 2>/dev/null || true
	done
	# The deepest first.
	awk -v a="$private/" -v b="$data/" 'index($5 "/", a) == 1 || index($5 "/", b) == 1 { print $5 }' /proc/self/mountinfo |
		sort -r | while read -r mount; do umount -l "$mount" || true; done
	for group in /sys/fs/cgroup/*/surgewall /sys/fs/cgroup/surgewall; do
		# A group is busy for a moment after its last process has ended.
		[ ! -d "$group" ] || await 5 remove_group "$group" || true
	done
	# A new daemon would forget the containers' ends of the bridge's interfaces,
	# and nobody else removes them.
	ip link show "$bridge" >/dev/null 2>&1 || return 0
	ip -o link show master "$bridge" | awk -F': ' '{ sub(/@.*/, "", $2); print $2 }' |
		while read -r link; do ip link delete "$link" || true; done
	ip link delete "$bridge"
}

# clean_up brings the machine back to what remember noted. It works as well
# after a daemon that was killed.
clean_up() {
	local setting value
	sweep
	if [ -d "$before" ] && other_daemon; then
		say '  another Docker daemon was started meanwhile: its rules and forwarding stay as they are'
		remove_bridge_rules
		rm -rf "$before"
	elif [ -d "$before" ]; then
		remove_rules
		while read -r setting value; do
			echo "$value" >"/proc/sys/${setting//.//}"
		done <"$before/settings"
		rm -rf "$before"
	fi
	rm -rf "$private"
}

remove_group() {
	find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
	[ ! -d "$1" ]
}

stop_daemon() {
	local pid
	if pid=$(daemon_pid); then
		kill -TERM "$pid"
		await 30 daemon_gone "$pid" || kill -KILL "$pid"
	fi
	clean_up
}

daemon_gone() { ! kill -0 "$1" 2>/dev/null; }
