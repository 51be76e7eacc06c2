#!/usr/bin/env bash
# Runs commands beside each other, marks each line with the command's name, and
# fails when one of them did. Then it says again which tests failed. Who ends it ends
# all of them.
#
#   internal/tools/beside.sh NAME=COMMAND...
#
# make -j can't do it: .NOTPARALLEL holds in every make that reads the Makefile.
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
set -m # a process group for each command, so that all it started is ended with it

if [ $# -eq 0 ]; then
	echo "usage: $0 NAME=COMMAND..." >&2
	exit 1
fi

end() {
	trap '' INT TERM
	for group in $(jobs -p); do # of all, also of one that was started just now
		kill -TERM -- "-$group" 2>/dev/null
	done
	wait
	exit 1
}
trap end INT TERM
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

pids=()
for named in "$@"; do
	(
		eval "${named#*=}" 2>&1 | tee "$logs/${named%%=*}" | sed -u "s/^/${named%%=*} | /"
	) &
	pids+=($!)
done

failed=()
for i in "${!pids[@]}"; do
	wait "${pids[$i]}" || failed+=("${@:$((i + 1)):1}")
done
if [ ${#failed[@]} -gt 0 ]; then
	for named in "${failed[@]}"; do
		echo "failed: ${named%%=*}" >&2
		awk -f "$here/failures.awk" "$logs/${named%%=*}" >&2
	done
	exit 1
fi
