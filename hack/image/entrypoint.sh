#!/bin/sh
# Starts RabbitMQ as whoever the container runs as: Debian's own wrapper wants root or its user, and logs to files.
set -eu

if [ "${1:-}" = rabbitmq-server ]; then
	shift
	# All that is written lies below HOME, so that the root file system can be read-only.
	: "${RABBITMQ_LOG_BASE:=$HOME/log}" "${RABBITMQ_GENERATED_CONFIG_DIR:=$HOME/config}"
	export RABBITMQ_LOG_BASE RABBITMQ_GENERATED_CONFIG_DIR
	# A crash dump is larger than the volume, and the log has the reason.
	export ERL_CRASH_DUMP_BYTES="${ERL_CRASH_DUMP_BYTES:-0}"
	exec /usr/lib/rabbitmq/bin/rabbitmq-server "$@"
fi
exec "$@"
