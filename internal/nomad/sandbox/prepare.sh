# What a node does before a twin's machine starts: it checks every file of the host
# that the machine opens, and puts what the machine may open into the twin's folder.
# Nomad interpolates a brace after a dollar sign, so there is none here.
#
# Usage: MONITOR OUT [root FOLDER] [firmware-root FOLDER] [await FILE]
#        [OP NAME FORMAT PATH]... where OP is disk, overlay, readonly, file, firmware or copy.
#
# The exit codes are those of image.go. The last line on standard error says why.
set -eu
umask 077
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
absent=81 refused=82 held=83 broken=84
depth_max=16            # images laid over each other
copy_max=67108864       # bytes of flash memory
cache=/var/cache/oakum-twin
newline='
'
monitor=$1 out=$2
shift 2

die() { # CODE WORDS...
	code=$1
	shift
	printf '%s\n' "$*" >&2
	exit "$code"
}

# below reports whether a path without links lies in one of the folders.
below() { # PATH FOLDERS
	while IFS= read -r folder; do
		[ -n "$folder" ] || continue # nothing would be the folder of everything
		case $1 in "$folder"/*) return 0 ;; esac
	done <<FOLDERS
$2
FOLDERS
	return 1
}

# resolve follows every link of a path to the file itself: real. It must lie in one
# of the folders.
resolve() { # PATH FOLDERS
	real=$(realpath -e -- "$1" 2>/dev/null) || die $absent "$1 is not on this node"
	below "$real" "$2" || die $refused "$1 leads to $real, outside of the folders that images may come from:" $2
	[ -f "$real" ] || die $refused "$1 is no regular file"
	[ -r "$real" ] || die $absent "$1 can't be read by $(id -un)"
}

# declare_format says what an image is, never by its content: whoever writes to a raw
# image can make it look like another format, which names files of the host.
declare_format() { # FORMAT PATH
	case $1:$2 in
	raw:* | qcow2:*) format=$1 ;;
	:*.qcow2) format=qcow2 ;;
	:*.raw | :*.iso) format=raw ;;
	*) die $refused "the format of $2 is not declared: set meta oakum_image_format to raw or qcow2" ;;
	esac
}

# byte is one byte of a file, as a number.
byte() { od -An -tu1 -j"$1" -N1 -- "$2" | tr -d ' '; }

# chain follows an image to all that it is laid over. Each of those must be where
# images may come from. It leaves the first of them in next, and its format.
chain() { # FORMAT FILE
	next= next_format= of=$1 file=$2 depth=0
	while :; do
		[ "$of" = qcow2 ] || break
		depth=$((depth + 1))
		[ "$depth" -le "$depth_max" ] || die $refused "$2 is laid over more than $depth_max images"
		[ "$(od -An -tx1 -N4 -- "$file" | tr -d ' ')" = 514649fb ] || die $broken "$file is no qcow2 image"
		# Bit 2 of the features that a reader must know: the data is in another file.
		if [ "$(byte 7 "$file")" -ge 3 ] && [ "$(($(byte 79 "$file") & 4))" != 0 ]; then
			die $refused "$file keeps its data in another file"
		fi
		info=$(timeout 60 qemu-img info --output=json -U -f qcow2 "$file" 2>&1) || die $broken "$file can't be read: $(printf %s "$info" | tail -1)"
		# JSON keeps a line break of a name off its lines, so a line with this
		# indentation is a field of the image.
		below_it=$(printf '%s\n' "$info" | sed -n 's/^    "backing-filename": "\(.*\)",\{0,1\}$/\1/p')
		[ -n "$below_it" ] || break
		of=$(printf '%s\n' "$info" | sed -n 's/^    "backing-filename-format": "\(.*\)",\{0,1\}$/\1/p')
		case $of in raw | qcow2) ;; *) die $refused "$file does not say that what it is laid over is raw or qcow2" ;; esac
		case $below_it in
		*\\*) die $refused "$file is laid over $below_it, which is no plain path" ;;
		/*) ;;
		*:*) die $refused "$file is laid over $below_it, which is no path" ;;
		*) below_it=$(dirname "$file")/$below_it ;;
		esac
		resolve "$below_it" "$roots"
		file=$real
		[ -n "$next" ] || next=$file next_format=$of
	done
}

# image checks an image: real, format, and chain.
image() { # FORMAT PATH
	declare_format "$1" "$2"
	resolve "$2" "$roots"
	top=$real
	chain "$format" "$top"
}

# is_held reports whether a machine that runs writes to an image.
is_held() { ! timeout 60 qemu-img info -f "$1" "$2" >/dev/null 2>&1; }

# overlay lays a disk of the twin's own over an image. Of an image that a running
# machine writes to it takes a clone, which is the image at one moment.
overlay() { # NAME
	if is_held "$format" "$top"; then
		cp --reflink=always -- "$top" "$out/$1.base" 2>/dev/null ||
			die $held "a machine that runs writes to $top, and its file system can't clone files"
		top=$out/$1.base
		[ -z "$next" ] || qemu-img rebase -q -u -f "$format" -b "$next" -F "$next_format" "$top"
	fi
	qemu-img create -q -f qcow2 -b "$top" -F "$format" "$out/$1"
}

# state changes when a file does: size, and the times of the last change of its
# content and of its inode, in nanoseconds.
state() { stat -c '%s %Y %Z %y %z' -- "$1"; }

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

if [ -n "$monitor" ]; then
	# Where there can be no FIFO, an empty file lets QEMU start.
	[ -p "$monitor.in" ] || mkfifo -m 600 "$monitor.in" 2>/dev/null || : >"$monitor.in"
	: >"$monitor.out"
fi
roots= firmware=
while [ $# -gt 0 ]; do
	case $1 in
	root | firmware-root)
		folder=$(realpath -e -- "$2" 2>/dev/null) || folder=
		[ -z "$folder" ] || firmware="$firmware$folder$newline"
		[ -z "$folder" ] || [ "$1" = firmware-root ] || roots="$roots$folder$newline"
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
		resolve "$4" "$firmware"
		ln -s -- "$real" "$out/$2"
		;;
	copy)
		resolve "$4" "$firmware"
		[ "$(stat -c %s -- "$real")" -le "$copy_max" ] || die $refused "$real is larger than $copy_max bytes, which no flash memory is"
		cp -- "$real" "$out/$2"
		chmod 600 "$out/$2"
		;;
	*) die $refused "no such word: $1" ;;
	esac
	shift 4
done
