# Tells what is installed in the image of a container that runs. This is the part on the
# Nomad client, which asks its Docker. It makes a container of the same image, copies the
# package databases out of it and removes it. The container is never started, except to
# have the image's own rpm print its database, without a network and without rights.
#
# Usage: CONTAINER IMAGE-DIGEST RPM-FORMAT-FILE REPORT NODE THIS-NODE, where the digest is the
# one that the job says, or empty. The report has the lines that package appliance reads; its
# last line is the digest of the image in its registry, or its own ID where it comes from none.
# REPORT.images has the images of all containers that run. On nodes other than NODE, nothing
# else is told.
set -eu
export LC_ALL=C PATH="$PATH:/usr/local/bin:/usr/sbin:/sbin"
ulimit -f 131072 # no file gets larger than 64 MiB, whatever the image holds or prints
want=$2 format=$(cat "$3") report=$4 work=$NOMAD_TASK_DIR/work
. "$NOMAD_TASK_DIR/databases.sh"
own=oakum-twin-$NOMAD_ALLOC_ID
[ -z "$OAKUM_DOCKER_HOST" ] || export DOCKER_HOST="$OAKUM_DOCKER_HOST"

leave() { docker rm -f "$own" >/dev/null 2>&1 || true; }
trap leave EXIT
trap 'exit 1' INT TERM

# there copies a path of the image, as an archive. It fails when the path is not there. That
# Docker did not answer is no reason to believe so. Arguments: the path, and where to.
there() {
	docker cp "$own:$1" - >"$2" 2>"$work/said" && return
	grep -qiE 'could not find the file|no such container:path|could not be found on container' "$work/said" || die "Docker can't copy $1: $(tail -n 1 "$work/said")"
	return 1
}

# files prints the regular files at a path of the image, with an empty line after each. A
# path that is not there prints nothing. In a pipeline nobody would see that it fails.
files() {
	if there "$1" "$work/tar"; then
		tar -x -f "$work/tar" --exclude='*.md5sums' --to-command='cat; echo' || die "what Docker copied of $1 is not whole"
	fi
}

for program in docker tar gzip base64 xargs; do
	command -v $program >/dev/null || die "this node has no $program"
done
mkdir -p "$work"
docker ps --no-trunc -q >"$work/ids" || die "Docker does not list its containers"
: >"$report.images"
if [ -s "$work/ids" ]; then
	# One that has ended meanwhile makes Docker fail, and is left out.
	xargs docker inspect --type container --format 'container {{.Name}} {{.Image}}' <"$work/ids" >>"$report.images" 2>"$work/said" || true
	cut -d ' ' -f 3 <"$report.images" | sort -u >"$work/ids"
	xargs docker image inspect --format 'image {{.Id}}{{range .RepoDigests}} {{.}}{{end}}' <"$work/ids" >"$work/images" 2>"$work/said" || true
	cat "$work/images" >>"$report.images"
fi
echo 'oakum 1' >"$report"
[ "$5" = "$6" ] || exit 0
id=$(docker inspect --type container --format '{{.Image}}' "$1") || die "Docker has no container $1"
known=$(docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$id") || die "Docker has the image $id no more"
if [ -n "$want" ]; then
	case "$id $known" in *"$want"*) digest=$want ;; *) die "the container $1 has the image $id, and not $want, which its job says" ;; esac
else
	digest=$(printf '%s\n' "$known" | sed -n 's/^.*@\(sha256:[0-9a-f]*\)$/\1/p' | head -n 1)
	[ -n "$digest" ] || digest=$id
fi
# Nomad removes containers with this label that no allocation has, so that one is gone too
# whose task was killed.
docker create --name "$own" --log-driver none --label "com.hashicorp.nomad.alloc_id=$NOMAD_ALLOC_ID" --network none --cap-drop ALL \
	--security-opt no-new-privileges --memory 256m --pids-limit 64 --pull never \
	--entrypoint rpm "$id" -qa --qf "$format" >/dev/null || die "Docker can't make a container of $id"

for at in /etc/os-release /usr/lib/os-release; do
	files "$at" >"$work/system"
	[ ! -s "$work/system" ] || { database system <"$work/system"; break; }
done
files /var/lib/dpkg/status >"$work/all"
files /var/lib/dpkg/status.d >>"$work/all"
lines '^(Package|Status|Version|Architecture|Source):|^$' "$work/all" >"$work/dpkg"
! grep -q ^Package: "$work/dpkg" || database dpkg <"$work/dpkg"
files /lib/apk/db/installed >"$work/all"
lines '^[PVAo]:|^$' "$work/all" >"$work/apk"
! grep -q ^P: "$work/apk" || database apk <"$work/apk"
for at in /var/lib/rpm /usr/lib/sysimage/rpm; do
	there "$at" /dev/null || continue
	timeout 120 docker start -a "$own" >"$work/rpm" 2>"$work/said" || die "the rpm of the image can't tell its database: $(tail -n 1 "$work/said")"
	! complained "$work/said" || die "the rpm of the image has told a part of its database: $(tail -n 1 "$work/said")"
	[ -s "$work/rpm" ] || die "the rpm of the image tells of no package"
	database rpm <"$work/rpm"
	break
done
printf 'proved\nend\nimage %s\n' "${digest#sha256:}" >>"$report"
