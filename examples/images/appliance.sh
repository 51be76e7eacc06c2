#!/usr/bin/env bash
# Makes the appliance in which patches' scripts run, out of Debian's cloud kernel and
# its busybox.
#
#   examples/images/appliance.sh OUT OAKUM
#
# OUT gets vmlinuz, initrd and oakum.hcl, the block of the agent's configuration that
# names them. OAKUM is the program that makes them. The kernel's package is downloaded
# and unpacked, never installed; it is kept in the user's cache.
set -euo pipefail
export LC_ALL=C

if [ $# -ne 2 ]; then
	echo "usage: $0 OUT OAKUM" >&2
	exit 1
fi
mkdir -p "$1"
out=$(cd "$1" && pwd)
oakum=$(realpath "$2")

say() { printf 'images: %s\n' "$*"; }
die() {
	say "$*" >&2
	exit 1
}
cache="${XDG_CACHE_HOME:-$HOME/.cache}/oakum/images"
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9

busybox=$(PATH="$PATH:/usr/sbin:/sbin" command -v busybox) || die "missing: busybox: apt-get install busybox-static"

# The kernel stays in the cache; remove its folder there to get a newer one.
kernel="$cache/linux"
if [ ! -s "$kernel/vmlinuz" ]; then
	work=$(mktemp -d "$cache/.work-XXXXXX")
	trap 'rm -rf "$work"' EXIT
	package() { apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image/ {print $2; exit}'; }
	[ -n "$(package)" ] || apt-get -qq update || true # a fresh machine may know no packages yet
	name=$(package)
	[ -n "$name" ] || die "apt-get knows no kernel package: connect this machine to its Debian mirror"
	say "download Debian's cloud kernel (27 MB)"
	# Root's own download: the _apt user may not write here.
	(cd "$work" && apt-get -qq -o APT::Sandbox::User=root download "$name") ||
		die "$name could not be downloaded: connect this machine to its Debian mirror"
	dpkg -x "$work"/*.deb "$work/unpacked"
	mkdir "$work/linux"
	cp "$work"/unpacked/boot/vmlinuz-* "$work/linux/vmlinuz"
	cp -r "$work/unpacked/lib/modules" "$work/linux/modules"
	rm -rf "$kernel"
	mv "$work/linux" "$kernel"
fi

# Nothing is made again while all that goes into it is as it was.
key=$(cat "$oakum" "$kernel/vmlinuz" "$busybox" | sha256sum | cut -d' ' -f1)
[ "$(cat "$out/key" 2>/dev/null)" = "$key" ] && [ -s "$out/vmlinuz" ] && [ -s "$out/initrd" ] && exit 0
rm -f "$out/key"
"$oakum" appliance build -kernel="$kernel/vmlinuz" -modules="$kernel/modules" -busybox="$busybox" -out="$out" >"$out/oakum.hcl"
echo "$key" >"$out/key"
say "the appliance is ready"
