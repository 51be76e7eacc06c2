# What a node does before a twin's machine starts: it checks every file of the host
# that the machine opens, and puts what the machine may open into the twin's folder.
# Nomad interpolates a brace after a dollar sign, so there is none here.
#
# Usage: MONITOR OUT [again] [fifos PATH] [root FOLDER] [firmware-root FOLDER] [await FILE]
#        [OP NAME FORMAT PATH]... where OP is disk, overlay, data, empty, carried, readonly,
#        file, firmware or copy.
#
# With again, a twin's machine has left its files in OUT, and this one takes over its data
# disks alone.
#
# image.sh is put before it. The exit codes are those of image.go. The last line on
# standard error says why.
set -eu
umask 077
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
absent=81 refused=82 held=83 broken=84 lost=85
copy_max=67108864       # bytes of flash memory
cache=/var/cache/oakum-twin
monitor=$1 out=$2
shift 2

# lay lays a disk of the twin's own over an image. Of an image that a running machine
# writes to it takes a clone, which is the image at one moment. It leaves laid empty when
# that can't be done. A clone has a name beside the disk, since both may be moved.
lay() { # NAME
	laid=$top
	if is_held "$format" "$top"; then
		laid=
		cp --reflink=always -- "$top" "$out/$1.base" 2>/dev/null || {
			rm -f -- "$out/$1.base"
			return 0
		}
		top=$out/$1.base laid=$1.base
		[ -z "$next" ] || qemu-img rebase -q -u -f "$format" -b "$next" -F "$next_format" "$top"
	fi
	qemu-img create -q -f qcow2 -b "$(unlocked "$format" "$laid")" -F "$format" "$out/$1"
}

# overlay is lay for a disk that the machine needs.
overlay() { # NAME
	lay "$1"
	[ -n "$laid" ] || die $held "a machine that runs writes to $top, and its file system can't clone files"
}

# size_of is how many bytes a disk has. It opens nothing that the file leads to.
size_of() { # FORMAT FILE
	if [ "$1" = raw ]; then stat -c %s -- "$2"; else echo $((0x$(od -An -tx1 -j24 -N8 -- "$2" | tr -d ' \n'))); fi
}

# empty_disk makes a disk as large as a data disk.
empty_disk() { # NAME FILE
	qemu-img create -q -f qcow2 "$out/$1" "$(size_of "$format" "$2")"
}

# data_disk lays a disk of the twin's own over a data disk of production. Where a running
# machine writes to that, it makes an empty one, and says so.
data_disk() { # NAME FORMAT PATH
	image "$2" "$3"
	lay "$1"
	[ -z "$laid" ] || return 0
	empty_disk "$1" "$top"
	printf 'the data of %s (an empty disk of its size: a machine that runs writes to it)\n' "$3" >>"$out/oakum-lacks"
}

# digest computes the SHA-256 of a file, or remembers it: sum. A node that hashed an
# image once does not read its 20 GB again.
digest() { # FILE
	now=$(state "$1")
	note=
	if [ -n "$cache" ]; then
		note=$cache/$(stat -c %d-%i -- "$1")
		exec 9>>"$note"
		flock 9 # another twin may be hashing it
		if read -r sum known <"$note" && [ "$known" = "$now" ]; then return 0; fi
	fi
	sum=$(sha256sum <"$1")
	sum=$(printf %.64s "$sum")
	[ "$(state "$1")" = "$now" ] || die $held "$1 changes while it is hashed"
	[ -z "$note" ] || printf '%s %s\n' "$sum" "$now" >"$note"
}

# tell_digest writes the digest of the machine's image. It is that of the file alone, as
# sha256sum prints it, and not of what the image is laid over.
tell_digest() {
	mkdir -m 700 "$cache" 2>/dev/null || true
	if [ -L "$cache" ] || ! [ -d "$cache" ] || ! [ -O "$cache" ] || ! [ -w "$cache" ]; then cache=; fi
	digest "$top"
	printf %s "$sum" >"$out/oakum-twin.sha256.part"
	mv "$out/oakum-twin.sha256.part" "$out/oakum-twin.sha256"
}

if [ $# -gt 0 ] && [ "$1" = again ]; then
	rm -rf -- "$out"/oakum-*
	shift
fi
echo 'oakum lacks:' >"$out/oakum-lacks"
# fifo makes a FIFO. Where there can be none, an empty file lets QEMU start.
fifo() { # FILE
	[ -p "$1" ] || mkfifo -m 600 "$1" 2>/dev/null || : >"$1"
}
if [ -n "$monitor" ]; then
	fifo "$monitor.in"
	: >"$monitor.out"
fi
if [ $# -gt 0 ] && [ "$1" = fifos ]; then
	# What the guest says without an end must not fill the node's disk, so nobody but a
	# reader with a limit takes it out of the FIFO.
	fifo "$2.in"
	[ -p "$2.out" ] || mkfifo -m 600 "$2.out" 2>/dev/null || ln -s /dev/null "$2.out"
	shift 2
fi
roots= firmware=
while [ $# -gt 0 ]; do
	case $1 in
	root | firmware-root)
		root_at "$2"
		case $1 in root) roots=$roots$root ;; *) firmware=$firmware$root ;; esac
		shift 2
		continue
		;;
	await) # a task of the job that makes the disk has ended well
		while [ ! -e "$2" ]; do sleep 0.2; done
		shift 2
		continue
		;;
	disk)
		image "$3" "$4"
		overlay "$2"
		tell_digest
		;;
	overlay)
		image "$3" "$4"
		overlay "$2"
		;;
	data) data_disk "$2" "$3" "$4" ;;
	empty)
		image "$3" "$4"
		empty_disk "$2" "$top"
		;;
	carried) [ -f "$out/$2" ] || die $lost "Nomad did not carry $4 over, which the former machine had" ;;
	readonly)
		image "$3" "$4"
		! is_held "$format" "$top" || die $held "a machine that runs writes to $top"
		ln -s -- "$top" "$out/$2"
		;;
	file)
		resolve "$4" "$roots"
		ln -s -- "$real" "$out/$2"
		;;
	firmware)
		resolve "$4" "$roots$firmware"
		ln -s -- "$real" "$out/$2"
		;;
	copy)
		resolve "$4" "$roots$firmware"
		[ "$(stat -c %s -- "$real")" -le "$copy_max" ] || die $refused "$real is larger than $copy_max bytes, which no flash memory is"
		cp -- "$real" "$out/$2"
		chmod 600 "$out/$2"
		;;
	*) die $refused "no such word: $1" ;;
	esac
	shift 4
done
