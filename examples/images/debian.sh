#!/usr/bin/env bash
# Makes two machines with real Debian packages, one of them with a package that is out of
# date, and the packages that bring it up to date.
#
#   examples/images/debian.sh OUT
#
# OUT/debian-1.0.qcow2 boots by itself and serves as the store does (see build.sh). It
# has a partition table, /boot of its own by PARTUUID and / by UUID in fstab, and
# Debian's packages with dpkg's database: enough for a script that runs dpkg. Its
# openssl is the oldest that Debian's archive offers this machine. OUT/debian-1.1.qcow2 is
# the same with the newest. OUT/debian/ gets the newest openssl as packages, and the file
# "versions" with both versions. Both machines have QEMU's guest agent.
#
# Call build.sh and appliance.sh first: their kernel, initrd, shop and modules are used.
# What is made is kept in the user's cache by a hash of what goes into it.
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
[ -s "$out/key" ] || die "$out has no images of the store: call $here/build.sh $1 first"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/oakum/images"
made="$cache/debian"
exec 9>"$cache/lock"
flock 9
module=$(find "$cache/linux/modules" -name virtio_console.ko -print -quit 2>/dev/null || true)
[ -n "$module" ] || die "$cache has no kernel with its modules: call $here/appliance.sh first"
key=$(cat "$out/key" "$0" "$module" | sha256sum | cut -d' ' -f1)
[ "$(cat "$out/debian/key" 2>/dev/null)" = "$key" ] && [ -s "$out/debian-1.0.qcow2" ] && [ -s "$out/debian-1.1.qcow2" ] && exit 0

deliver() {
	rm -rf "$out/debian"
	cp --sparse=always "$made"/debian-1.[01].qcow2 "$out/"
	mkdir "$out/debian"
	cp "$made"/*.deb "$made/versions" "$out/debian/"
	cp "$made/key" "$out/debian/key" # last: without it nothing is complete
	exit 0
}
[ "$(cat "$made/key" 2>/dev/null)" = "$key" ] && deliver
[ "$(df --output=avail -m "$cache" | tail -1)" -ge 1000 ] || die "the disk of $cache is full: make room for 1 GB there"
for tool in mke2fs sfdisk qemu-img extlinux apt-get dpkg-deb; do
	command -v $tool >/dev/null || die "missing: $tool: apt-get install e2fsprogs fdisk qemu-utils extlinux"
done
[ "$(id -u)" -eq 0 ] || die "extlinux needs a loop mount: run as root"

work=$(mktemp -d "$cache/.work-XXXXXX")
cleanup() {
	umount "$work/mount" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
mkdir "$work"/{deb,old,set,boot,mount}

# versions lists what the archive offers of a package, the oldest first.
versions() { apt-cache madison "$1" 2>/dev/null | awk '{print $3}' | sort -Vu; }
[ -n "$(versions openssl)" ] || apt-get -qq update || true # a fresh machine may know no packages yet
old=$(versions openssl | head -1)
new=$(versions openssl | tail -1)
[ -n "$old" ] || die "apt-get knows no openssl package: connect this machine to its Debian mirror"

say "download Debian's packages (20 MB)"
download() { # FOLDER PACKAGE...: root's own download, the _apt user may not write here
	local folder=$1
	shift
	(cd "$folder" && apt-get -qq -o APT::Sandbox::User=root download "$@") ||
		die "$* could not be downloaded: connect this machine to its Debian mirror"
}
download "$work/deb" base-files base-passwd dash coreutils dpkg tar sed grep gzip findutils diffutils debianutils \
	libc6 libc-bin libgcc-s1 gcc-12-base libselinux1 libpcre2-8-0 libzstd1 liblzma5 libmd0 zlib1g libbz2-1.0 libacl1 \
	libattr1 libgmp10 libcrypt1 perl-base \
	qemu-guest-agent init-system-helpers libglib2.0-0 libffi8 libmount1 libblkid1 libnuma1 libudev1 liburing2
download "$work/old" "libssl3=$old" "openssl=$old"
download "$work/set" "libssl3=$new" "openssl=$new"
if [ "$old" = "$new" ]; then
	# Debian offers one version just now. The newer one is the same with another number.
	new="$old+oakum1"
	for package in "$work"/set/*.deb; do
		dpkg-deb -R "$package" "$work/again"
		sed -i "s/^Version: .*/Version: $new/; s/(= [^)]*)/(= $new)/" "$work/again/DEBIAN/control"
		rm "$package"
		dpkg-deb -b "$work/again" "$work/set/$(dpkg-deb -f "$work/again/DEBIAN/control" Package)_${new}_amd64.deb" >/dev/null
		rm -rf "$work/again"
	done
fi
printf '%s %s\n' "$old" "$new" >"$work/set/versions"

root_uuid=5f0c9f3e-9f0a-4a55-8b06-0a6b75d1c001
disk_id=0a4b1c2d

# system unpacks packages, and writes the database that dpkg would have written. Then comes
# the store's own part: busybox for what the packages lack, init, the shop, the exporter.
system() { # FOLDER ENV PACKAGE...
	local disk=$1 env=$2 package name file applet
	local info="$disk/var/lib/dpkg/info"
	shift 2
	mkdir -p "$info" "$disk"/var/lib/dpkg/{updates,triggers}
	: >"$disk/var/lib/dpkg/available"
	for package in "$@"; do
		dpkg-deb -x "$package" "$disk"
		dpkg-deb -f "$package" | sed 's/^Package: .*/&\nStatus: install ok installed/' >>"$disk/var/lib/dpkg/status"
		echo >>"$disk/var/lib/dpkg/status"
		name=$(dpkg-deb -f "$package" Package)
		[ "$(dpkg-deb -f "$package" Multi-Arch)" != same ] || name="$name:$(dpkg-deb -f "$package" Architecture)"
		dpkg-deb -c "$package" | awk '{print $6}' | sed 's/^\.//; s/\/$//; s/^$/\/./' >"$info/$name.list"
		dpkg-deb -e "$package" "$work/control"
		rm "$work/control/control"
		for file in "$work"/control/*; do
			[ ! -e "$file" ] || cp "$file" "$info/$name.$(basename "$file")"
		done
		rm -rf "$work/control"
	done
	cp "$disk/usr/share/base-passwd/passwd.master" "$disk/etc/passwd"
	cp "$disk/usr/share/base-passwd/group.master" "$disk/etc/group"
	rm -rf "$disk"/usr/share/{doc,locale,man,i18n}

	cp "$(command -v busybox)" "$disk/bin/busybox"
	for applet in mount ip poweroff ps; do
		ln -sf busybox "$disk/bin/$applet"
	done
	install -m 755 "$here/guest/init" "$disk/sbin/init"
	install -m 755 "$out/shop" "$disk/usr/bin/shop"
	cp -r "$cache/exporter/usr/bin/." "$disk/usr/bin/"
	mkdir -p "$disk/lib/modules"
	cp "$module" "$disk/lib/modules/virtio_console.ko" # the agent's port
	cp "$here/store/$env" "$disk/etc/shop.env"
	cat >"$disk/etc/fstab" <<FSTAB
UUID=$root_uuid / ext4 rw,noatime 0 1
PARTUUID=$disk_id-01 /boot ext2 rw 0 2
FSTAB
}

boot="$work/boot"
qemu-img convert -f qcow2 -O raw "$out/store-1.0.qcow2" "$work/store.raw"
mount -o loop,ro "$work/store.raw" "$work/mount"
cp "$work/mount/boot/vmlinuz" "$work/mount/boot/initrd" "$boot/"
sed 's,/boot/,/,; s,root=/dev/vda,root=/dev/vda2,' "$work/mount/boot/extlinux.conf" >"$boot/extlinux.conf"
umount "$work/mount"

say "make the disks"
mke2fs -q -t ext2 -b 4096 -m 0 -F -d "$boot" "$work/boot.raw" 40M >/dev/null
mount -o loop "$work/boot.raw" "$work/mount"
extlinux --install "$work/mount" >/dev/null 2>&1
umount "$work/mount"
disk() { # FOLDER IMAGE
	rm -f "$work/root.raw" "$work/disk.raw"
	mke2fs -q -t ext4 -m 0 -U "$root_uuid" -F -d "$1" "$work/root.raw" 180M >/dev/null
	truncate -s 224M "$work/disk.raw"
	sfdisk -q "$work/disk.raw" <<TABLE
label: dos
label-id: 0x$disk_id
start=1MiB, size=40MiB, type=83, bootable
start=42MiB, size=180MiB, type=83
TABLE
	dd if=/usr/lib/EXTLINUX/mbr.bin of="$work/disk.raw" bs=440 count=1 conv=notrunc status=none
	dd if="$work/boot.raw" of="$work/disk.raw" bs=1M seek=1 conv=notrunc,sparse status=none
	dd if="$work/root.raw" of="$work/disk.raw" bs=1M seek=42 conv=notrunc,sparse status=none
	qemu-img convert -f raw -O qcow2 "$work/disk.raw" "$2"
}
system "$work/disk-1.0" 1.0.env "$work"/deb/*.deb "$work"/old/*.deb
system "$work/disk-1.1" 1.1.env "$work"/deb/*.deb "$work"/set/*.deb
disk "$work/disk-1.0" "$work/set/debian-1.0.qcow2"
disk "$work/disk-1.1" "$work/set/debian-1.1.qcow2"
echo "$key" >"$work/set/key"
rm -rf "$made"
mv "$work/set" "$made"
say "debian-1.0.qcow2 with openssl $old and debian-1.1.qcow2 with $new are ready, and the packages of $new"
deliver
