# What a node checks of an image before a program opens it. QEMU opens by itself what
# an image is laid over, and the file that holds its data: who writes an image, or the
# path of one, could have it read any file of the host.
#
# It is put before bake.sh and prepare.sh, and wants of them: roots, the folders that
# images may come from, one a line and without links; the exit codes absent, refused
# and broken. Nomad interpolates a brace after a dollar sign, so there is none here.

die() { # CODE WORDS...
	code=$1
	shift
	printf '%s\n' "$*" >&2
	exit "$code"
}

newline='
'

# root_at is a folder without links, as a line of roots: root. It is empty where there
# is no such folder.
root_at() { # FOLDER
	root=$(realpath -e -- "$1" 2>/dev/null) || root=
	[ -z "$root" ] || root=$root$newline
}

# below reports whether a path without links lies in one of the folders.
below() { # PATH FOLDERS
	while IFS= read -r allowed; do
		[ -n "$allowed" ] || continue # nothing would be the folder of everything
		case $1 in "$allowed"/*) return 0 ;; esac
	done <<FOLDERS
$2
FOLDERS
	return 1
}

# resolve follows every link of a path to the file itself: real. It must lie in one
# of the folders. Of what lies elsewhere it does not even tell whether it exists.
resolve() { # PATH FOLDERS
	real=$(realpath -m -- "$1")
	below "$real" "$2" || die $refused "$1 leads to $real, which is outside of the folders that images may come from:" $2
	[ -e "$real" ] || die $absent "$1 is not on this node"
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
# images may come from. It leaves the first of them in next, its format, and the size
# of all in MiB in size.
chain() { # FORMAT FILE
	next= next_format= of=$1 file=$2 depth=0 size=0
	while :; do
		size=$((size + $(du -k --apparent-size -- "$file" | cut -f1) / 1024 + 1))
		[ "$of" = qcow2 ] || break
		depth=$((depth + 1))
		[ "$depth" -le "16" ] || die $refused "$2 is laid over more than 16 images"
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

# is_held reports whether a machine that runs writes to an image. Whoever reads a raw one
# shares it with who writes, so QEMU does not tell: who may write to it holds a lock on its
# byte 101, which the kernel lists with the number of its inode.
is_held() { # FORMAT FILE
	timeout 60 qemu-img info -f "$1" "$2" >/dev/null 2>&1 || return 0
	[ "$1" = raw ] || return 1
	inode=$(stat -c %i -- "$2")
	while read -r _ kind _ _ _ at first last; do
		[ "$kind" = OFDLCK ] && [ "$first" -le 101 ] || continue
		[ "$last" = EOF ] || [ "$last" -ge 101 ] || continue
		case $at in *:"$inode") return 0 ;; esac
	done </proc/locks
	return 1
}

# unlocked names an image so that what is laid over it takes no lock on it: a machine of
# production that starts later must get its own.
unlocked() { # FORMAT FILE
	case $2 in
	*[\"\\]*) die $refused "$2 has a name that is no plain path" ;;
	/*) printf 'json:{"driver":"%s","file":{"driver":"file","filename":"%s","locking":"off"}}' "$1" "$2" ;;
	*) printf %s "$2" ;; # a clone, which nobody else has
	esac
}

# state changes when a file does: size, and the times of the last change of its
# content and of its inode, in nanoseconds.
state() { stat -c '%s %Y %Z %y %z' -- "$1"; }
