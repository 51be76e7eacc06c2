#!/usr/bin/env bash
# Makes an image of the store with QEMU's guest agent in it.
#
#   examples/images/agent.sh OUT
#
# OUT/agent-1.0.qcow2 is store-1.0.qcow2 with Debian's qemu-guest-agent, the libraries of
# this machine that it is linked to, and the kernel's module for its serial port.
#
# Call build.sh and appliance.sh first: their image and their kernel are used. The package
# is downloaded and unpacked, never installed.
set -euo pipefail
export LC_ALL=C

if [ $# -ne 1 ]; then
	echo "usage: $0 OUT" >&2
	exit 1
fi
here=$(cd "$(dirname "$0")" && pwd)
out=$(cd "$1" && pwd)
PATH="$PATH:/usr/sbin:/sbin"

say() { printf 'images: %s\n' "$*"; }
die() {
	say "$*" >&2
	exit 1
}
cache="${XDG_CACHE_HOME:-$HOME/.cache}/oakum/images"
exec 9>"$cache/lock"
flock 9
[ -s "$out/key" ] || die "$out has no images of the store: call $here/build.sh $1 first"
module=$(find "$cache/linux/modules" -name virtio_console.ko -print -quit)
[ -n "$module" ] || die "$cache has no kernel with its modules: call $here/appliance.sh first"
key=$(cat "$out/key" "$0" "$module" | sha256sum | cut -d' ' -f1)
[ "$(cat "$out/agent-1.0.key" 2>/dev/null)" = "$key" ] && [ -s "$out/agent-1.0.qcow2" ] && exit 0
[ "$(df --output=avail -m "$out" | tail -1)" -ge 200 ] || die "the disk of $out is full: make room for 200 MB there"
[ "$(id -u)" -eq 0 ] || die "the image is changed by a loop mount: run as root"

work=$(mktemp -d "$cache/.work-XXXXXX")
cleanup() {
	umount "$work/mount" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
mkdir "$work"/{deb,mount}

say "download Debian's qemu-guest-agent (1 MB)"
apt-cache show qemu-guest-agent >/dev/null 2>&1 || apt-get -qq update || true # a fresh machine may know no packages yet
# Root's own download: the _apt user may not write here.
(cd "$work/deb" && apt-get -qq -o APT::Sandbox::User=root download qemu-guest-agent) ||
	die "qemu-guest-agent could not be downloaded: connect this machine to its Debian mirror"
dpkg -x "$work"/deb/*.deb "$work/unpacked"
agent="$work/unpacked/usr/sbin/qemu-ga"
! ldd "$agent" | grep -q 'not found' || die "this machine lacks libraries of the agent: apt-get install qemu-system-x86"

qemu-img convert -f qcow2 -O raw "$out/store-1.0.qcow2" "$work/disk.raw"
mount -o loop "$work/disk.raw" "$work/mount"
mkdir -p "$work/mount/usr/sbin" "$work/mount/lib/modules"
cp "$agent" "$work/mount/usr/sbin/qemu-ga"
cp "$module" "$work/mount/lib/modules/virtio_console.ko"
ldd "$agent" | grep -o '/[^ ]*' | while read -r library; do
	mkdir -p "$work/mount$(dirname "$library")"
	cp -L "$library" "$work/mount$library"
done
for applet in tail uname; do
	ln -sf busybox "$work/mount/bin/$applet" # what commands of an agent need
done
umount "$work/mount"
rm -f "$out/agent-1.0.key"
qemu-img convert -f raw -O qcow2 "$work/disk.raw" "$out/agent-1.0.qcow2"
echo "$key" >"$out/agent-1.0.key" # last: without it nothing is complete
say "agent-1.0.qcow2 is ready"
