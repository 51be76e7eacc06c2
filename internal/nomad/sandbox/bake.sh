# Runs a patch in a copy of an image, inside the appliance, and stores the result
# beside the image. This is the part on the Nomad client.
# It parses nothing of the image but the header of a qcow2. ENVIRONMENT:
#
#   OAKUM_IMAGE, OAKUM_FORMAT          the image, and its declared format
#   OAKUM_RESULT                       the path of the result; empty keeps nothing
#   OAKUM_HASH                         yes tells the digest of the image itself
#   OAKUM_ROOTS                        folders that both must lie in, one a line
#   OAKUM_KERNEL, OAKUM_KERNEL_SHA256  the appliance's kernel, and
#   OAKUM_INITRD, OAKUM_INITRD_SHA256  its initramfs
#   OAKUM_READER, OAKUM_READER_SHA256  oakum for the appliance; empty for none
#   OAKUM_MEMORY                       of the machine, MiB
#   OAKUM_ACCELERATOR                  of QEMU: kvm or tcg
#   OAKUM_TIMEOUT                      of the patch's scripts and commands, in seconds
#   OAKUM_PATCH, OAKUM_PATCH_SHA256    folder of the patch's disk, as init.sh wants
#                                      it, and a tar of what is to be put there, in
#                                      base64
#   OAKUM_WORK                         folder for the machine's disks
#   OAKUM_REPORT                       gets what the machine reports
#
# The machine's console is the standard output. The standard error has what is wrong
# here. image.sh is put before it. The digest of the result, or of the image, is the last
# line of the report.
# Exit codes, which package sandbox reads:
proved_not=80 # the report says why
timeout=81    # the report says what ran
no_room=82    # on this node
absent=83     # the image, on this node
broken=83
bad_appliance=84
no_machine=85 # QEMU, or a program that is needed
refused=86    # the image may not be read
held=87       # a machine that runs writes to it

set -eu
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"

# The floor of free space in MiB that stays for the node's own use.
floor=128

free() { df -Pk "$1" | awk 'NR == 2 { print int($4 / 1024) }'; }

# undamaged opens an image with all that it is laid over, so chain comes first.
undamaged() { # FORMAT FILE
	[ "$1" = qcow2 ] || return 0
	checked=0
	qemu-img check -q -U -f qcow2 "$2" >/dev/null 2>&1 || checked=$?
	# 3 says that clusters are in use by nobody, which harms nobody.
	case $checked in 0 | 3) ;; *) die $broken "$2 is damaged (qemu-img check ended with status $checked)" ;; esac
}

check_appliance() {
	for part in "$OAKUM_KERNEL $OAKUM_KERNEL_SHA256" "$OAKUM_INITRD $OAKUM_INITRD_SHA256"; do
		file=${part% *} want=${part##* }
		[ -f "$file" ] || die $bad_appliance "appliance: this node has no $file"
		have=$(sha256sum "$file" | cut -c1-64)
		[ "$have" = "$want" ] || die $bad_appliance "appliance: $file has the checksum $have, not $want"
	done
	[ -n "$OAKUM_READER" ] || return 0
	have=$(sha256sum <"$OAKUM_READER" | cut -c1-64) || have=
	[ "$have" = "$OAKUM_READER_SHA256" ] || die $bad_appliance "appliance: $OAKUM_READER has the checksum $have, not $OAKUM_READER_SHA256"
}

# make_patch makes the disk of the patch from the files that were sent and fetched,
# and from nothing else.
make_patch() {
	have=$(sha256sum "$OAKUM_PATCH.tar.b64" | cut -c1-64)
	[ "$have" = "$OAKUM_PATCH_SHA256" ] || die $no_machine "the patch did not arrive as it was sent: it has the checksum $have, not $OAKUM_PATCH_SHA256"
	mkdir -p "$OAKUM_PATCH"
	base64 -d "$OAKUM_PATCH.tar.b64" | tar -x -C "$OAKUM_PATCH" || die $no_room "the patch can't be unpacked"
	chmod -R a+rX "$OAKUM_PATCH"
	if [ -n "$OAKUM_READER" ]; then
		cp "$OAKUM_READER" "$OAKUM_PATCH/oakum" || die $no_room "the appliance's oakum can't be copied"
		chmod 755 "$OAKUM_PATCH/oakum"
	fi
	disk=$(($(du -sk --apparent-size "$OAKUM_PATCH" | cut -f1) * 5 / 4096 + 8))
	room "$OAKUM_WORK" $disk
	mke2fs -q -t ext4 -O ^has_journal -m 0 -E root_owner=0:0 -d "$OAKUM_PATCH" "$OAKUM_WORK/patch.raw" ${disk}M >/dev/null ||
		die $no_room "the patch's disk can't be made"
}

# room fails when a folder has less free space than is needed. Arguments: folder, MiB.
room() {
	have=$(free "$1")
	[ "$have" -ge $(($2 + floor)) ] || die $no_room "the disk of $1 has $have MiB free, and $(($2 + floor)) MiB are needed"
}

# The boot has ten minutes of its own, so that a slow node takes none from the patch.
boot=600

# guard ends the machine at its deadline, and before it fills the node's disk.
guard() {
	read -r now _ </proc/uptime
	end=$((${now%.*} + boot)) works=
	while kill -0 "$1" 2>/dev/null; do
		read -r now _ </proc/uptime
		if [ -z "$works" ] && grep -q '^root' "$OAKUM_REPORT"; then
			end=$((${now%.*} + OAKUM_TIMEOUT)) works=yes
		fi
		if [ "${now%.*}" -ge $end ]; then
			echo $timeout >"$OAKUM_WORK/ended"; kill -9 "$1"
		elif [ "$(free "$OAKUM_WORK")" -lt $((floor / 2)) ]; then
			echo $no_room >"$OAKUM_WORK/ended"; kill -9 "$1"
		fi
		sleep 1
	done
}

# run_machine runs the appliance until it switches itself off. The report is cut
# where the machine says too much.
run_machine() {
	mkfifo "$OAKUM_WORK/report"
	# dd keeps nothing back.
	{ dd bs=1 count=1048576 of="$OAKUM_REPORT" 2>/dev/null; cat >/dev/null; } <"$OAKUM_WORK/report" &
	reader=$!
	accelerator=$OAKUM_ACCELERATOR
	[ "$accelerator" != tcg ] || accelerator=tcg,tb-size=64
	qemu-system-x86_64 -machine pc -accel "$accelerator" -cpu max,la57=off -m "$OAKUM_MEMORY" -smp 1 \
		-nodefaults -no-user-config -no-reboot -display none -monitor none \
		-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny \
		-kernel "$OAKUM_KERNEL" -initrd "$OAKUM_INITRD" \
		-append "console=ttyS0 quiet loglevel=3 panic=-1 no_timer_check tsc=reliable mitigations=off nokaslr cryptomgr.notests random.trust_cpu=on" \
		-chardev stdio,id=console,signal=off -serial chardev:console \
		-chardev file,id=report,path="$OAKUM_WORK/report" -serial chardev:report \
		-drive file="$OAKUM_WORK/image.qcow2",if=none,id=image,format=qcow2,cache=unsafe,discard=unmap \
		-device virtio-blk-pci,drive=image,serial=image \
		-drive file="$OAKUM_WORK/patch.raw",if=none,id=patch,format=raw,readonly=on \
		-device virtio-blk-pci,drive=patch,serial=patch </dev/null &
	machine=$!
	guard $machine &
	guard=$!
	status=0
	wait $machine || status=$?
	machine=
	kill $guard 2>/dev/null || true
	wait $reader || true
	[ ! -s "$OAKUM_WORK/ended" ] || status=0
}

# judge reads whether the machine has done all.
judge() {
	if [ -s "$OAKUM_WORK/ended" ]; then
		code=$(cat "$OAKUM_WORK/ended")
		[ "$code" != $no_room ] || die $no_room "the machine filled the disk of $OAKUM_WORK on this node"
		die $timeout "the machine did not boot within $boot s, or was not done $OAKUM_TIMEOUT s later"
	fi
	[ $status = 0 ] || die $no_machine "QEMU ended with status $status"
	said=$(tr -d '\r' <"$OAKUM_REPORT" | tail -n 2 | tr '\n' ' ')
	[ "$said" = "proved end " ] || exit $proved_not
}

# keep stores the result.
keep() {
	[ "$(state "$top")" = "$was" ] || die $held "$top changed while the patch ran"
	room "$folder" $((size + $(du -k "$OAKUM_WORK/image.qcow2" | cut -f1) / 1024))
	part=$OAKUM_RESULT.part
	qemu-img convert -f qcow2 -O qcow2 "$OAKUM_WORK/image.qcow2" "$part" || die $no_room "the result can't be written to $folder"
	digest=$(sha256sum "$part" | cut -c1-64)
	chmod --reference="$OAKUM_IMAGE" "$part"
	mv "$part" "$OAKUM_RESULT"
	printf 'image %s\n' "$digest" >>"$OAKUM_REPORT"
}

# hash tells the digest of the image that was read: of the file alone, as prepare.sh does.
hash() {
	digest=$(sha256sum <"$top" | cut -c1-64)
	[ "$(state "$top")" = "$was" ] || die $held "$top changed while it was read"
	printf 'image %s\n' "$digest" >>"$OAKUM_REPORT"
}

part='' machine=''
leave() {
	[ -z "$machine" ] || kill -9 "$machine" 2>/dev/null || true
	[ -z "$part" ] || rm -f "$part"
	rm -rf "$OAKUM_WORK"
}
trap leave EXIT
trap 'exit 1' INT TERM

mkdir -p "$OAKUM_WORK"
: >"$OAKUM_REPORT"
roots=
while IFS= read -r line; do
	root_at "$line"
	roots=$roots$root
done <<ROOTS
$OAKUM_ROOTS
ROOTS
if [ -n "$OAKUM_RESULT" ]; then
	folder=$(realpath -m -- "$(dirname "$OAKUM_RESULT")")
	below "$folder/" "$roots" || die $refused "$OAKUM_RESULT is outside of the folders that images may come from:" $roots
fi
resolve "$OAKUM_IMAGE" "$roots"
for program in qemu-system-x86_64 qemu-img mke2fs base64 tar od; do
	command -v $program >/dev/null || die $no_machine "this node has no $program"
done
check_appliance
image "$OAKUM_FORMAT" "$OAKUM_IMAGE"
base=$format
! is_held "$base" "$top" || die $held "a machine that runs writes to $top"
was=$(state "$top")
undamaged "$base" "$top"
if [ -n "$OAKUM_RESULT" ]; then
	[ -w "$folder" ] || die $refused "$folder can't be written to"
	room "$folder" $size
fi
room "$OAKUM_WORK" $size
make_patch
qemu-img create -q -f qcow2 -b "$(unlocked "$base" "$top")" -F "$base" "$OAKUM_WORK/image.qcow2" >&2 || die $broken "image $OAKUM_IMAGE: QEMU can't read it"
run_machine
judge
[ -z "$OAKUM_RESULT" ] || keep
[ -z "$OAKUM_HASH" ] || hash
