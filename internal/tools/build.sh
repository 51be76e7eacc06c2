#!/usr/bin/env bash
# Builds a program of this module, and says in one sentence what to do when this
# machine is why it can't be built.
#
#   internal/tools/build.sh OUT PACKAGE [FLAG...]
set -euo pipefail

if [ $# -lt 2 ]; then
	echo "usage: $0 OUT PACKAGE [FLAG...]" >&2
	exit 1
fi
out=$1 package=$2
shift 2
go=${GO:-go}

die() {
	echo "build: $*" >&2
	exit 1
}
command -v "$go" >/dev/null || die "there is no $go on PATH: install Go from https://go.dev/dl"
mkdir -p "$(dirname "$out")"
[ -e "$out" ] || echo "building $out: minutes the first time, seconds afterwards"

# What is downloaded is told at once, and complaints when all of them are known.
if said=$("$go" build "$@" -o "$out" "$package" 2>&1 | while IFS= read -r line; do
	case $line in
	"go: downloading "*) echo "$line" >&2 ;;
	*) echo "$line" ;;
	esac
done); then
	exit 0
fi
case $said in
*"no space left on device"*)
	die "the disk of $("$go" env GOCACHE GOMODCACHE | paste -sd, | sed 's/,/, /'), ${TMPDIR:-/tmp} or $(dirname "$out") is full: make room for 2 GB, or set GOCACHE, GOMODCACHE or TMPDIR to a folder of another disk"
	;;
*"GOPROXY=off"* | *"dial tcp"* | *"no such host"* | *"proxyconnect"* | *"i/o timeout"*)
	die "Oakum's modules can't be had: connect this machine to the module proxy that go env GOPROXY names ($("$go" env GOPROXY))"
	;;
esac
printf '%s\n' "$said" >&2
exit 1
