# What a node does before the programs of a group's twin start: it makes the folders
# that stand for volumes. In an allocation that replaces another one it checks that
# Nomad has moved the data here, and removes what production would not have moved.
#
# Usage: [witness FILE] [empty -] [local TASK]... [folder NAME]...
set -eu
data=$NOMAD_ALLOC_DIR/data tasks=$NOMAD_ALLOC_DIR/.. again=
while [ $# -gt 0 ]; do
	case $1 in
	witness) # the former allocation wrote it, and Nomad moved it with the data
		[ -f "$tasks/$2" ] || { echo "Nomad did not carry the data of the former allocation over" >&2; exit 85; }
		again=yes
		;;
	empty) find "$data" -mindepth 1 -maxdepth 1 ! -name 'oakum-volume-*' -exec rm -rf -- {} + ;;
	local) [ ! -d "$tasks/$2/local" ] || find "$tasks/$2/local" -mindepth 1 -delete ;;
	folder) # whatever user the container runs as
		# The former program may have put a link to the host in its place, or have taken it
		# away: a container mounts what the link leads to.
		[ ! -L "$data/$2" ] || { echo "$2 is a link" >&2; exit 85; }
		[ -d "$data/$2" ] || [ -z "$again" ] || { echo "$2 is gone" >&2; exit 85; }
		[ -d "$data/$2" ] || mkdir -m 777 -- "$data/$2"
		;;
	esac
	shift 2
done
