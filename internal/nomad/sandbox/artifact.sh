# Tells of which packages of programming languages the artifact of a task is made. This is
# the part on the Nomad client, which has fetched it by its checksum. Nothing of it runs: a
# reader opens it, as nobody and without a network.
#
# Usage: READER READER-SHA256 ARTIFACT DIGEST REPORT. The report has the lines that package
# appliance reads; its last line is the digest, which is that of the artifact. databases.sh
# lies beside this script.
set -eu
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
reader=$1 want=$2 artifact=$3 digest=$4 report=$5
work=$NOMAD_TASK_DIR/work
mkdir -p "$work"
. "$NOMAD_TASK_DIR/databases.sh"

for program in sha256sum gzip base64 unshare setpriv; do
	command -v $program >/dev/null || die "this node has no $program"
done
have=$(sha256sum <"$reader" | cut -c1-64) || have=
[ "$have" = "$want" ] || die "appliance: $reader has the checksum $have, not $want"
# The folders above those of the task may be closed to others, so that it works from here.
cd "$NOMAD_TASK_DIR"
cp "$reader" reader
chmod 755 reader
ulimit -f 131072 # no file gets larger than 64 MiB
ulimit -v 4194304
ulimit -t 600
alone=
if [ "$(id -u)" = 0 ]; then
	chmod -R a+rX "$artifact"
	alone='unshare --net setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs'
fi
$alone ./reader appliance manifests "$artifact" >"$work/languages" || die "the artifact can't be read"
echo 'oakum 1' >"$report"
database languages <"$work/languages"
printf 'proved\nend\nimage %s\n' "$digest" >>"$report"
