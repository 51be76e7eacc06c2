# Tells what is installed on a Nomad client, by the package managers of the client itself.
#
# Usage: ROOT RPM-FORMAT-FILE REPORT, where the root is the folder in which the client's system
# lies, and empty for the one that runs. The report has the lines that package appliance reads.
set -eu
export LC_ALL=C PATH="$PATH:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
ulimit -f 131072 # no file gets larger than 64 MiB, whatever a package manager prints
root=$1 format=$(cat "$2") report=$3 work=$NOMAD_TASK_DIR/work
. "$NOMAD_TASK_DIR/databases.sh"

# ask has a package manager print its database into $work/all. One that complains may have
# printed a part. Arguments: a command.
ask() {
	command -v "$1" >/dev/null || die "this node has a database of $1, and no $1"
	timeout 300 "$@" >"$work/all" 2>"$work/said" || die "$1 can't tell its database: $(tail -n 1 "$work/said")"
	! complained "$work/said" || die "$1 has told a part of its database: $(tail -n 1 "$work/said")"
}

for program in gzip base64 timeout; do
	command -v $program >/dev/null || die "this node has no $program"
done
mkdir -p "$work"
echo 'oakum 1' >"$report"
for at in "$root/etc/os-release" "$root/usr/lib/os-release"; do
	[ ! -s "$at" ] || { database system <"$at"; break; }
done
if [ -s "$root/var/lib/dpkg/status" ]; then
	ask dpkg-query --admindir "$root/var/lib/dpkg" -W \
		-f 'Package: ${Package}\nStatus: ${Status}\nVersion: ${Version}\nArchitecture: ${Architecture}\nSource: ${source:Package} (${source:Version})\n\n'
	database dpkg <"$work/all"
fi
if [ -s "$root/lib/apk/db/installed" ]; then
	lines '^[PVAo]:|^$' "$root/lib/apk/db/installed" >"$work/all"
	database apk <"$work/all"
fi
for at in "$root/var/lib/rpm" "$root/usr/lib/sysimage/rpm"; do
	[ -s "$at/rpmdb.sqlite" ] || [ -s "$at/Packages.db" ] || [ -s "$at/Packages" ] || continue
	ask rpm --dbpath "$at" -qa --qf "$format"
	database rpm <"$work/all"
	break
done
printf 'proved\nend\n' >>"$report"
