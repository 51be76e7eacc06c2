#!/bin/sh
# An upgrade keeps the server running: it takes the new program at its next start.
set -e
case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now oakum.service
	fi
	;;
esac
