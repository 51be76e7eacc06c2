#!/bin/busybox sh
# The first process of the appliance. It runs a patch in a disk image and switches
# the machine off. DISKS: one with the serial "image", which it changes, and one
# with the serial "patch", which holds
#
#   N/script    the script of step N, from 0
#   N/payload/  the files that the script may use
#   N/verify/M  a command that proves the fix, and M.expect, text of its output
#   oakum       reads manifests of languages; it may be missing
#   packages    names of packages whose versions are asked for, one a line
#   databases   the format of rpm's line for a package; its presence asks for the texts
#               of the package databases
#
# The second serial port gets the report, whose lines package appliance reads.

# What the patch's processes print goes to the console. They do not get the port.
tell() { printf '%s\n' "$*" >&3; }

# fault ends the machine for a reason that is not the patch's.
fault() {
	tell "fault $*"
	echo "appliance: $*"
	finish
}

finish() {
	# Processes that a script left behind keep file systems busy.
	kill -9 -1
	unmount || tell "fault $left can't be unmounted"
	tell end
	sync
	poweroff -f
	# The kernel has not switched off yet.
	while :; do sleep 60; done
}

# unmount ends all mounts below the root, the newest first. It removes the folders
# that it made for them. $left is what it could not unmount.
unmount() {
	[ -d "$root" ] || return 0
	while read -r _ point _; do
		point=$(printf %b "$point")
		case $point in "$root" | "$root"/*) echo "$point" ;; esac
	done </proc/mounts | tac >/mounts
	# The folders are on the root, which is the last.
	while read -r point; do
		[ "$point" = "$root" ] || umount "$point" || { left=${point#"$root"}; return 1; }
	done </mounts
	if [ -s /made ]; then
		tac /made | while read -r folder; do rmdir "$folder"; done
	fi
	grep -qxF "$root" /mounts || return 0
	umount "$root" || { left=/; return 1; }
}

# modules loads what a file system or the machine itself needs.
modules() {
	[ -f "/lib/modules/$1.order" ] || return 0
	while read -r module; do
		[ -d "/sys/module/$module" ] || insmod "/lib/modules/$module.ko" || return 1
	done <"/lib/modules/$1.order"
}

# disk waits for the disk of a serial and prints its name.
disk() {
	tries=0
	while [ $tries -lt 100 ]; do
		for at in /sys/block/vd*; do
			if [ "$(cat "$at/serial" 2>/dev/null)" = "$1" ]; then
				echo "${at##*/}"
				return
			fi
		done
		tries=$((tries + 1))
		usleep 100000
	done
	return 1
}

# volumes prints the names of what may hold a file system: the partitions of the
# image's disk, or the disk.
volumes() {
	if ls -d "/sys/block/$image/$image"?* >/dev/null 2>&1; then
		ls -d "/sys/block/$image/$image"?* | sed 's,.*/,,' | sort -V
	else
		echo "$image"
	fi
}

# bytes prints bytes of a device in hexadecimal. Arguments: name, offset, bytes.
bytes() { od -An -v -t x1 -j "$2" -N "$3" "/dev/$1" 2>/dev/null | tr -d ' \n'; }

# filesystem prints the kind of file system on a device, by its magic number.
# Linux's ext4 reads ext2 and ext3 too.
filesystem() {
	if [ "$(bytes "$1" 1080 2)" = 53ef ]; then
		echo ext4
	elif [ "$(bytes "$1" 0 4)" = 58465342 ]; then
		echo xfs
	elif [ "$(bytes "$1" 65600 8)" = 5f42485266535f4d ]; then
		echo btrfs
	elif [ "$(bytes "$1" 82 5)" = 4641543332 ] || [ "$(bytes "$1" 54 4)" = 46415431 ]; then
		echo vfat
	elif [ "$(bytes "$1" 32769 5)" = 4344303031 ]; then
		echo iso9660
	elif [ "$(bytes "$1" 0 4)" = 68737173 ]; then
		echo squashfs
	elif [ "$(bytes "$1" 536 8)" = 4c564d3220303031 ]; then
		echo LVM
	elif [ "$(bytes "$1" 0 4)" = 4c554b53 ]; then
		echo LUKS
	elif [ "$(bytes "$1" 4086 10)" = 53574150535041434532 ]; then
		echo swap
	else
		echo unknown
	fi
}

# number prints an unsigned little-endian number of the image's disk. Arguments:
# offset, bytes.
number() { od -An -t "u$2" -j "$1" -N "$2" "/dev/$image" | tr -d ' '; }

# partuuid prints the PARTUUID of a partition, which Linux 6.1 does not tell: from
# the GPT, or from the MBR's disk signature.
partuuid() {
	n=$(cat "/sys/class/block/$1/partition" 2>/dev/null) || return 0
	if [ "$(bytes "$image" 512 8)" = 4546492050415254 ]; then
		bytes "$image" $(($(number 584 4) * 512 + (n - 1) * $(number 596 4) + 16)) 16 | awk '{
			print substr($0,7,2) substr($0,5,2) substr($0,3,2) substr($0,1,2) "-" substr($0,11,2) substr($0,9,2) \
				"-" substr($0,15,2) substr($0,13,2) "-" substr($0,17,4) "-" substr($0,21)
		}'
	else
		printf '%08x-%02x\n' "$(number 440 4)" "$n"
	fi
}

# device prints the name of the volume that a line of fstab means.
device() {
	what=$(echo "$1" | tr -d '"')
	case $what in
	/dev/disk/by-uuid/*) what=UUID=${what##*/} ;;
	/dev/disk/by-label/*) what=LABEL=${what##*/} ;;
	/dev/disk/by-partuuid/*) what=PARTUUID=${what##*/} ;;
	/dev/disk/by-partlabel/*) what=PARTLABEL=${what##*/} ;;
	esac
	case $what in
	UUID=* | LABEL=*)
		found=$(findfs "$(printf %b "$what")" 2>/dev/null) && echo "${found#/dev/}"
		return
		;;
	esac
	value=${what#*=}
	for v in $(volumes); do
		case $what in
		PARTUUID=*) [ "$(partuuid "$v")" = "$(echo "$value" | tr A-Z a-z)" ] || continue ;;
		PARTLABEL=*) grep -qxF "PARTNAME=$(printf %b "$value")" "/sys/class/block/$v/uevent" || continue ;;
		/dev/*)
			# The first disk has other names on other buses.
			own=$(echo "$what" | sed -E 's,^/dev/(sda|hda|vda|xvda|nvme0n1p?|mmcblk0p?),'"$image"',')
			[ "$own" = "$v" ] || continue
			;;
		*) continue ;;
		esac
		echo "$v"
		return
	done
	return 1
}

# likeness says how much the file system at /probe looks like a root: 0 to 3.
likeness() {
	if [ -e "/probe/$1/etc/fstab" ]; then
		echo 3
	elif [ -e "/probe/$1/etc/os-release" ] || [ -e "/probe/$1/usr/lib/os-release" ]; then
		echo 2
	elif [ -e "/probe/$1/bin/sh" ] || [ -L "/probe/$1/bin/sh" ] || [ -e "/probe/$1/usr/bin/sh" ]; then
		echo 1
	else
		echo 0
	fi
}

# find_root sets $volume, $type and $subvolume of the root file system. Several that
# look alike are a fault: nobody can say which one boots.
find_root() {
	best=0 like='' seen=''
	mkdir -p /probe
	for v in $(volumes); do
		kind=$(filesystem "$v")
		seen="$seen $v:$kind"
		case $kind in ext4 | xfs | btrfs) ;; *) continue ;; esac
		modules "$kind" || fault "the modules of $kind can't be loaded"
		mount -t "$kind" -o ro "/dev/$v" /probe || fault "/dev/$v ($kind) can't be mounted: the image is damaged"
		subvolumes=.
		[ "$kind" != btrfs ] || subvolumes='. @ root'
		for s in $subvolumes; do
			score=$(likeness "$s")
			if [ "$score" -gt "$best" ]; then
				best=$score volume=$v type=$kind subvolume=$s like=$v
			elif [ "$score" = "$best" ] && [ "$score" != 0 ]; then
				like="$like $v"
			fi
		done
		umount /probe || fault "/dev/$v can't be unmounted"
	done
	[ "$best" != 0 ] || fault "the image has no root file system that can be read:$seen (LVM, RAID and encrypted volumes can't)"
	[ "$like" = "$volume" ] || fault "the image has several root file systems: $like"
}

# mount_root mounts the root, and what a program expects to find in it.
mount_root() {
	options=rw
	[ "$subvolume" = . ] || options=rw,subvol=$subvolume
	mkdir "$root"
	mount -t "$type" -o "$options" "/dev/$volume" "$root" || fault "/dev/$volume ($type) can't be mounted"
	awk -v at="$root" '$2 == at && $4 ~ /^rw/ { found = 1 } END { exit !found }' /proc/mounts || fault "the root file system can't be written to"
	for folder in dev proc sys run; do
		[ ! -L "$root/$folder" ] || fault "/$folder of the image is a symbolic link"
		if [ ! -d "$root/$folder" ]; then
			mkdir "$root/$folder" || fault "/$folder can't be made"
			echo "$root/$folder" >>/made
		fi
	done
	mount -o bind /dev "$root/dev" && mount -o bind /dev/pts "$root/dev/pts" && mount -o bind /dev/shm "$root/dev/shm" &&
		mount -t proc proc "$root/proc" && mount -t sysfs sys "$root/sys" && mount -t tmpfs -o mode=755 run "$root/run" ||
		fault "/dev, /proc, /sys and /run can't be mounted"
	if [ ! -e "$root/tmp" ] && [ ! -L "$root/tmp" ]; then
		mkdir "$root/tmp" && echo "$root/tmp" >>/made && mount -t tmpfs -o mode=1777 tmp "$root/tmp" || fault "/tmp can't be mounted"
	fi
	mkdir -p "$root/run/lock" "$root/run/oakum/patch" "$root/run/oakum/payload"
	cp /bin/busybox "$root/run/oakum/busybox"
	mount -t ext4 -o ro "/dev/$patch" "$root/run/oakum/patch" || fault "the patch's disk can't be mounted"
}

# mount_fstab mounts what the image's fstab says. A path is resolved in the image,
# by a busybox that runs there.
mount_fstab() {
	[ -f "$root/etc/fstab" ] || return 0
	grep -v '^[[:space:]]*#' "$root/etc/fstab" | awk 'NF >= 3 { print $2, $1, $3, ($4 == "" ? "defaults" : $4) }' | sort >/fstab
	while read -r point what kind options; do
		case $point in / | none | swap | /proc | /proc/* | /sys | /sys/* | /dev | /dev/* | /run | /run/*) continue ;; /*) ;; *) continue ;; esac
		case $kind in swap | nfs* | cifs | smb* | ceph | glusterfs | 9p | virtiofs | fuse* | autofs | proc | sysfs | devpts) continue ;; esac
		case ,$options, in *,noauto,* | *,_netdev,*) continue ;; esac
		mount_one "$point" "$what" "$kind" "$options" && continue
		case ,$options, in *,nofail,*) continue ;; esac
		fault "$point of the image's fstab can't be mounted: $why"
	done </fstab
}

# mount_one mounts one line of fstab. $why is the reason when it fails.
mount_one() {
	kept=$(echo "$4" | tr , '\n' | grep -vxE 'defaults|nofail|auto|users?|owner|group|x-.*|comment=.*' | tr '\n' , | sed 's/,$//')
	inner=$(printf %b "$1")
	case ,$4, in
	*,bind,* | *,rbind,*) source=$2 kind= ;;
	*)
		kind=$3 source=$2
		if [ "$kind" != tmpfs ]; then
			why="the image has no volume $2"
			v=$(device "$2") || return 1
			[ "$kind" != auto ] || kind=$(filesystem "$v")
			source=/dev/$v
		fi
		;;
	esac
	why="the modules of $kind can't be loaded"
	[ -z "$kind" ] || modules "$kind" || return 1
	why="$(chroot "$root" /run/oakum/busybox mkdir -p "$inner" 2>&1 3>&-)" || return 1
	why="$(chroot "$root" /run/oakum/busybox mount ${kind:+-t "$kind"} ${kept:+-o "$kept"} "$source" "$inner" 2>&1 3>&-)"
}

# inside runs a program in the image. A step with a payload finds it in the folder in
# which it runs.
inside() {
	env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LANG=C \
		DEBIAN_FRONTEND=noninteractive OAKUM_PAYLOAD=/run/oakum/payload \
		chroot "$root" /bin/sh -c 'cd "$0" && exec "$@"' "$where" "$@" </dev/null 3>&-
}

# payload shows the payload of a step.
payload() {
	umount "$root/run/oakum/payload" 2>/dev/null
	mount -o bind "$root/run/oakum/patch/$1/payload" "$root/run/oakum/payload" || fault "the payload can't be mounted"
	where=/
	[ -z "$(ls "$root/run/oakum/payload")" ] || where=/run/oakum/payload
}

# killed tells how many processes the kernel has killed for lack of memory.
killed() { tell "killed $(awk '$1 == "oom_kill" { print $2 }' /proc/vmstat)"; }

run_scripts() {
	step=0
	while [ -d "$root/run/oakum/patch/$step" ]; do
		payload $step
		tell "script $step"
		status=0
		inside /bin/sh /run/oakum/patch/$step/script 2>&1 || status=$?
		killed
		tell "status $status"
		[ $status = 0 ] || finish
		step=$((step + 1))
	done
}

# run_verifies runs the commands that prove the fix. It keeps the first 16 KiB of
# what a command prints.
run_verifies() {
	step=0
	while [ -d "$root/run/oakum/patch/$step" ]; do
		payload $step
		verify=0
		while [ -f "$root/run/oakum/patch/$step/verify/$verify" ]; do
			tell "verify $step $verify"
			{
				inside /bin/sh /run/oakum/patch/$step/verify/$verify 2>&1
				echo $? >/status
			} | { head -c 16384 >/output; cat >/dev/null; }
			cat /output
			killed
			tell "output $(base64 -w 0 /output)"
			tell "status $(cat /status)"
			[ "$(cat /status)" = 0 ] || finish
			if [ -f "$root/run/oakum/patch/$step/verify/$verify.expect" ]; then
				case $(cat /output) in
				*"$(cat "$root/run/oakum/patch/$step/verify/$verify.expect")"*) ;;
				*)
					tell missing
					finish
					;;
				esac
			fi
			verify=$((verify + 1))
		done
		step=$((step + 1))
	done
}

# image_rpm prints where the image's own rpm is. By its name alone, a shell that is a busybox
# would run its own.
image_rpm() {
	for at in /usr/bin/rpm /bin/rpm; do
		[ ! -x "$root$at" ] || { echo "$at"; return; }
	done
	return 1
}

# rpm_database prints where the image's database of rpm is: of Berkeley DB, ndb or SQLite.
rpm_database() {
	for folder in var/lib/rpm usr/lib/sysimage/rpm usr/share/rpm; do
		for file in Packages Packages.db rpmdb.sqlite; do
			[ ! -s "$root/$folder/$file" ] || { echo "$root/$folder/$file"; return; }
		done
	done
	return 1
}

# read_packages tells the versions of the packages that were asked for and are
# installed. dpkg and apk keep them in text; rpm's database is read by the image's
# own rpm. Argument: the first word of the lines, before or after.
read_packages() {
	wanted=$root/run/oakum/patch/packages
	[ -s "$wanted" ] || return 0
	if [ -f "$root/var/lib/dpkg/status" ]; then
		awk -v when="$1" 'NR == FNR { want[$0]; next }
			/^Package: / { name = $2; version = ""; installed = 0 }
			/^Status: / { installed = ($NF == "installed") }
			/^Version: / { version = $2 }
			/^$/ { put() }
			END { put() }
			function put() { if (installed && version != "" && name in want) print when, name, version; version = "" }' \
			"$wanted" "$root/var/lib/dpkg/status" >&3
	fi
	if [ -f "$root/lib/apk/db/installed" ]; then
		awk -v when="$1" 'NR == FNR { want[$0]; next }
			/^P:/ { name = substr($0, 3) }
			/^V:/ { if (name in want) print when, name, substr($0, 3) }' \
			"$wanted" "$root/lib/apk/db/installed" >&3
	fi
	if rpm=$(image_rpm); then
		while read -r name; do
			inside "$rpm" -q --qf "$1 %{NAME} %|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\\n" "$name" >/output 2>/dev/null && cat /output >&3
		done <"$wanted"
	fi
}

# read_kernels tells the versions of the kernels in /boot.
read_kernels() {
	for at in "$root"/boot/vmlinuz-*; do
		[ ! -f "$at" ] || tell "kernel ${at##*/vmlinuz-}"
	done
}

# partly notes, in the pipeline of a database, that the text is not whole.
partly() { : >"$scratch/partly"; }

# every asks the image's rpm of all packages, with a format. One that skips what is damaged
# ends well, and complains.
every() {
	inside "$rpm" -qa --qf "$1" 2>"$scratch/said" || partly
	! grep -qiE '^error|: error' "$scratch/said" || partly
}

# database tells one text of the image, packed. One that is too large or not whole is told
# as empty, so that nobody takes a part for the whole. Argument: its name; the text is the
# input.
database() {
	{ head -c 8388608 >"$scratch/text" || partly; cat >/dev/null; }
	[ ! -e "$scratch/partly" ] && [ "$(wc -c <"$scratch/text")" -lt 8388608 ] || : >"$scratch/text"
	rm -f "$scratch/partly"
	gzip -c "$scratch/text" >"$scratch/packed"
	[ "$(wc -c <"$scratch/packed")" -le 196608 ] || : >"$scratch/packed"
	tell "database $1 $(base64 -w 0 "$scratch/packed")"
}

# read_databases tells the texts in which the patched image says what is installed:
# of dpkg and apk only the fields that package inventory reads.
read_databases() {
	format=$root/run/oakum/patch/databases
	[ -s "$format" ] || return 0
	for at in etc/os-release usr/lib/os-release; do
		[ ! -f "$root/$at" ] || { database system <"$root/$at"; break; }
	done
	if [ -d "$root/var/lib/dpkg" ]; then
		for at in "$root/var/lib/dpkg/status" "$root"/var/lib/dpkg/status.d/*; do
			case $at in *.md5sums) continue ;; esac
			[ ! -f "$at" ] || { cat "$at" || partly; echo; }
		done | grep -E '^(Package|Status|Version|Architecture|Source):|^$' | database dpkg
	fi
	if [ -f "$root/lib/apk/db/installed" ]; then
		{ cat "$root/lib/apk/db/installed" || partly; } | grep -E '^[PVAo]:|^$' | database apk
	fi
	if at=$(rpm_database); then
		rpm=$(image_rpm) || partly
		every "$(cat "$format")" | { head -c 8388608 >"$scratch/rpm"; cat >/dev/null; }
		# An rpm that does not know a format of databases says that there is no package. A
		# program rpm on another system makes an empty database of SQLite by itself.
		case $at in */rpmdb.sqlite) empty=yes ;; *) empty= ;; esac
		if [ -s "$scratch/rpm" ] || [ -e "$scratch/partly" ] || [ -z "$empty" ]; then
			database rpm <"$scratch/rpm"
		fi
		rm -f "$scratch/rpm"
	fi
	[ ! -f "$root/run/oakum/patch/oakum" ] || read_manifests | database languages
}

# read_manifests prints what oakum reads of manifests. It runs in the appliance and not in
# the image. What rpm has installed, it says itself: a list of the files that may be manifests.
read_manifests() {
	owned=-owned=$scratch/owned
	if rpm=$(image_rpm); then
		every '[%{FILENAMES}\n]' |
			grep -E '/(package\.json|METADATA|PKG-INFO|pom\.properties|[^/]*\.(egg-info|gemspec|[a-z]ar|[jh]pi|lpkg|egg|pex|pyz|shiv|lock|json|lockb|cjs|js|yaml))$' |
			{ head -c 8388608 >"$scratch/owned"; cat >/dev/null; }
	fi
	# Without a list, oakum finds out whether there is a database of rpm.
	[ -s "$scratch/owned" ] && [ ! -e "$scratch/partly" ] && [ "$(wc -c <"$scratch/owned")" -lt 8388608 ] || owned=
	rm -f "$scratch/partly"
	"$root/run/oakum/patch/oakum" appliance manifests $owned "$root" 3>&- || partly
	rm -f "$scratch/owned"
}

export PATH=/bin
root=/image left= where=/ scratch=
/bin/busybox mkdir -p /proc /sys /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
stty -F /dev/ttyS1 raw -echo
exec 3>/dev/ttyS1
rm /dev/ttyS1
tell "oakum 1"
: >/made
modules machine || fault "the machine's modules can't be loaded"
image=$(disk image) || fault "the image's disk does not appear"
patch=$(disk patch) || fault "the patch's disk does not appear"
find_root
mount_root
mount_fstab
tell "root /dev/$volume $type"
read_packages before
run_scripts
run_verifies
read_packages after
read_kernels
read_databases
tell proved
finish
