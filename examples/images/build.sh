#!/usr/bin/env bash
# Makes the qcow2 images of the store, one per file in store/.
#
#   examples/images/build.sh OUT
#
# An image boots by itself (extlinux, Debian's cloud kernel, busybox, the shop
# binary, Prometheus' node_exporter) with QEMU's drive interface virtio, takes
# 10.0.2.15 in QEMU's user network and serves on port 8080, and its exporter on
# port 9100. The images differ in /etc/shop.env only.
#
# The packages of the kernel and the exporter are downloaded and unpacked, never
# installed. They and the images are kept in the user's cache, images by a hash
# of what goes into them, and OUT gets copies: another checkout downloads and
# makes nothing. When nothing has changed since the last call, the call returns
# at once.
set -euo pipefail
export LC_ALL=C

if [ $# -ne 1 ]; then
	echo "usage: $0 OUT" >&2
	exit 1
fi
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
# Whatever goes wrong leaves no empty folders behind.
leave() { rmdir -p --ignore-fail-on-non-empty "$out" || true; }
trap leave EXIT

# What the images are made from; test files don't count.
# The shop imports the standard library only, so go.mod has no say.
key=$(cd "$root" && {
	find examples/images examples/shop -type f ! -path "*/deploy/*" ! -path "*/weigh/*" ! -path "*/shopctl/*" ! -name '*_test.go' ! -name '*.md' -print0 | sort -z | xargs -0 sha256sum
	go env GOVERSION
} | sha256sum | cut -d' ' -f1)
complete() { # FOLDER: has it all the images of this key?
	[ -x "$1/shop" ] && [ "$(cat "$1/key" 2>/dev/null)" = "$key" ] || return 1
	for variant in "$here"/store/*.env; do
		[ -s "$1/store-$(basename "$variant" .env).qcow2" ] || return 1
	done
}
complete "$out" && exit 0

say() { printf 'images: %s\n' "$*"; }
die() {
	say "$*" >&2
	exit 1
}
room() { # FOLDER: a set of images takes 250 MB, and as much while it is made
	[ "$(df --output=avail -m "$1" | tail -1)" -ge 600 ] || die "the disk of $1 is full: make room for 600 MB there"
}
# deliver copies a set of the cache, since whoever writes to OUT must not write
# to the cache. The key comes last: without it a set is not complete.
deliver() {
	room "$out"
	touch "$made"
	rm -f "$out/key"
	cp --sparse=always "$made/shop" "$made"/store-*.qcow2 "$out/" && cp "$made/key" "$out/key" && exit 0
	rm -f "$out/shop" "$out"/store-*.qcow2 "$out/key"
	die "the images could not be copied to $out: make room for 600 MB there"
}

: "${HOME:=}"
[ -n "${XDG_CACHE_HOME:-$HOME}" ] || die "there is no folder for the cache: set HOME or XDG_CACHE_HOME"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/oakum/images"
made="$cache/sets/$key"
mkdir -p "$cache/sets"
exec 9>"$cache/lock"
flock 9
complete "$made" && deliver

missing=""
for tool in mke2fs debugfs qemu-img extlinux busybox cpio go apt-get dpkg; do
	PATH="$PATH:/usr/sbin:/sbin" command -v $tool >/dev/null || missing="$missing $tool"
done
if [ -n "$missing" ]; then
	echo "images: missing:$missing" >&2
	echo "images: apt-get install e2fsprogs qemu-utils extlinux busybox-static cpio (and Go from https://go.dev/dl)" >&2
	exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "images: extlinux needs a loop mount: run as root" >&2
	exit 1
fi
PATH="$PATH:/usr/sbin:/sbin"

room "$cache"
for left in "$cache"/.work-*; do # by somebody who was killed
	umount "$left/mount" 2>/dev/null || true
	rm -rf "$left"
done
work=$(mktemp -d "$cache/.work-XXXXXX")
cleanup() {
	umount "$work/mount" 2>/dev/null || true
	rm -rf "$work"
	leave
}
trap cleanup EXIT

# fetch unpacks the newest package that a function names into a folder.
fetch() {
	local package
	package=$("$1")
	if [ -z "$package" ]; then
		apt-get -qq update || true # a fresh machine may know no packages yet
		package=$("$1")
	fi
	[ -n "$package" ] || die "apt-get knows no ${1%_package} package: connect this machine to its Debian mirror"
	rm -rf "$work/deb"
	mkdir "$work/deb"
	# Root's own download: the _apt user may not write here.
	(cd "$work/deb" && apt-get -qq -o APT::Sandbox::User=root download "$package") ||
		die "$package could not be downloaded: connect this machine to its Debian mirror"
	dpkg -x "$work"/deb/*.deb "$2"
}
kernel_package() { apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image/ {print $2; exit}'; }
exporter_package() { apt-cache pkgnames prometheus-node-exporter | grep -x prometheus-node-exporter || true; }

# The kernel stays in the cache; remove its folder there to get a newer one.
kernel="$cache/kernel"
if [ ! -s "$kernel/vmlinuz" ]; then
	say "download Debian's cloud kernel (27 MB)"
	fetch kernel_package "$work/unpacked"
	mkdir "$work/kernel"
	cp "$work"/unpacked/boot/vmlinuz-* "$work/kernel/vmlinuz"
	for module in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci failover net_failover virtio_net virtio_blk; do
		cp "$(find "$work/unpacked/lib/modules" -name "$module.ko" -print -quit)" "$work/kernel/"
		echo $module >>"$work/kernel/order" # insmod resolves nothing: this order does
	done
	rm -rf "$kernel"
	mv "$work/kernel" "$kernel"
fi

# So does the exporter, with the libraries of this machine that it is linked to.
exporter="$cache/exporter"
if [ ! -x "$exporter/usr/bin/prometheus-node-exporter" ]; then
	say "download Debian's prometheus-node-exporter (4 MB)"
	fetch exporter_package "$work/package"
	mkdir -p "$work/exporter/usr/bin"
	cp "$work/package/usr/bin/prometheus-node-exporter" "$work/exporter/usr/bin/"
	ldd "$work/exporter/usr/bin/prometheus-node-exporter" | grep -o '/[^ ]*' | while read -r library; do
		mkdir -p "$work/exporter$(dirname "$library")"
		cp -L "$library" "$work/exporter$library"
	done
	rm -rf "$exporter"
	mv "$work/exporter" "$exporter"
fi

say "build the shop"
(cd "$root" && CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o "$work/shop" ./examples/shop/cmd/shop)

set="$work/set"
mkdir "$set"
cp "$work/shop" "$set/shop" # the jobs run the same binary on the host

say "make the base disk"
busybox=$(command -v busybox)
initrd="$work/initrd"
mkdir -p "$initrd"/{bin,dev,proc,root,modules}
cp "$busybox" "$initrd/bin/busybox"
cp "$kernel"/*.ko "$kernel/order" "$initrd/modules/"
install -m 755 "$here/guest/initramfs-init" "$initrd/init"
(cd "$initrd" && find . | cpio --quiet -o -H newc) | gzip -1 >"$work/initrd.gz"

disk="$work/disk"
mkdir -p "$disk"/{bin,sbin,usr/bin,etc,dev,proc,sys,tmp,boot}
cp "$busybox" "$disk/bin/busybox"
for applet in sh mount ip poweroff echo cat ls ps; do
	ln -s busybox "$disk/bin/$applet"
done
install -m 755 "$here/guest/init" "$disk/sbin/init"
cp "$work/shop" "$disk/usr/bin/shop"
cp -r "$exporter/." "$disk/"
cp "$kernel/vmlinuz" "$disk/boot/vmlinuz"
cp "$work/initrd.gz" "$disk/boot/initrd"
cat >"$disk/boot/extlinux.conf" <<'CONF'
DEFAULT shop
PROMPT 0
LABEL shop
  LINUX /boot/vmlinuz
  INITRD /boot/initrd
  APPEND console=ttyS0 quiet loglevel=3 panic=-1 no_timer_check tsc=reliable mitigations=off nokaslr cryptomgr.notests random.trust_cpu=on root=/dev/vda rw
CONF
mke2fs -q -t ext2 -b 4096 -m 0 -F -d "$disk" "$work/base.raw" 64M >/dev/null # extlinux can't read a new ext4
mkdir "$work/mount"
mount -o loop "$work/base.raw" "$work/mount"
extlinux --install "$work/mount/boot" >/dev/null 2>&1
umount "$work/mount"

for variant in "$here"/store/*.env; do
	name="store-$(basename "$variant" .env)"
	debugfs -w -R "write $variant /etc/shop.env" "$work/base.raw" >/dev/null 2>&1
	qemu-img convert -f raw -O qcow2 "$work/base.raw" "$set/$name.qcow2"
	debugfs -w -R "rm /etc/shop.env" "$work/base.raw" >/dev/null 2>&1
	say "$name.qcow2 is ready"
done
echo "$key" >"$set/key"
rm -rf "$made"
mv "$set" "$made"

# Three sets stay, those that were used last: each change of the shop makes one.
ls -td "$cache"/sets/* | tail -n +4 | xargs -r rm -rf --
deliver
