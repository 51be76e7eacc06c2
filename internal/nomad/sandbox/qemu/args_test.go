package qemu

import (
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// forward is what every machine needs to have a twin.
const forward = "user,id=n0,hostfwd=tcp::${NOMAD_PORT_http}-:80"

// forwarded is what a twin has of it.
const forwarded = "user,restrict=on,ipv6=off,id=n0,hostfwd=tcp::${NOMAD_PORT_http}-:80"

// variables are variables of a job, as a test sets them.
type variables map[string]string

// writeOut puts values in their places, and looks twice, since a value may name another
// variable.
func (v variables) writeOut(text string) string {
	for range 2 {
		text = Variable().ReplaceAllStringFunc(text, func(m string) string {
			if value, ok := v[m[2:len(m)-1]]; ok {
				return value
			}
			return m
		})
	}
	return text
}

// read reads arguments as Read does.
func read(vars variables, words ...string) (Machine, error) {
	list := make([]any, len(words))
	for i, w := range words {
		list[i] = w
	}
	return readArguments(Task{Name: "vm", Config: map[string]any{"args": list}, Ports: []string{"http", "admin-ui"}, WriteOut: vars.writeOut})
}

func TestReadArguments_Refuses(t *testing.T) {
	cases := map[string]struct {
		words string // separated by spaces
		want  string
	}{
		// Networks.
		"two dashes":           {"--netdev bridge,id=n1", `args[0]: -netdev: type=bridge is not allowed in a twin (allowed: user)`},
		"tap":                  {"-nic tap,ifname=t0", `type=tap is not allowed`},
		"old tap":              {"-net tap", `type=tap is not allowed`},
		"socket":               {"-netdev socket,id=s,listen=:1234", `type=socket is not allowed`},
		"last type wins":       {"-netdev user,id=n1,type=tap", `property "type" is there twice`},
		"named type":           {"-netdev id=n1,type=tap", `its type must come first`},
		"restrict twice":       {"-netdev user,id=n1,restrict=on,restrict=off", `property "restrict" is there twice`},
		"short restrict":       {"-netdev user,id=n1,norestrict", `"norestrict" has no value`},
		"JSON":                 {`-netdev {"type":"tap","id":"n1"}`, `a value in JSON is not allowed in a twin`},
		"program behind":       {"-nic user,guestfwd=tcp:10.0.2.100:80-cmd:nc", `property "guestfwd" is not allowed in a twin (allowed: addr, dhcpstart,`},
		"files by tftp":        {"-nic user,tftp=/etc", `property "tftp" is not allowed`},
		"files by smb":         {"-nic user,smb=/etc", `property "smb" is not allowed`},
		"fixed port":           {"-nic user,hostfwd=tcp::2222-:22", `hostfwd=tcp::2222-:22 is not allowed in a twin`},
		"port of others":       {"-nic user,hostfwd=tcp::${NOMAD_PORT_db}-:22", `the group has no port "db"`},
		"script of a card":     {"-nic user,script=/tmp/a", `property "script" is not allowed`},
		"rom of a card":        {"-device virtio-net-pci,netdev=n0,romfile=/etc/shadow", `romfile=/etc/shadow is not allowed`},
		"vhost":                {"-device vhost-vsock-pci,guest-cid=3", `device "vhost-vsock-pci" is not allowed`},
		"comma in a variable":  {"-netdev user,id=${NOMAD_META_door}", `property "guestfwd" is not allowed`},
		"variable of the node": {"-netdev user,id=n1,hostname=${attr.unique.hostname}", `variable ${attr.unique.hostname} is not allowed`},
		"list of processors":   {"-append ${NOMAD_CPU_CORES}", `variable ${NOMAD_CPU_CORES} is not allowed`},
		"token":                {"-append t=${NOMAD_TOKEN}", `variable ${NOMAD_TOKEN} is not allowed`},
		"open variable":        {"-append ${NOMAD_PORT_http", `a variable has no end`},
		// Disks and files.
		"last readonly wins": {"-drive file=/data/prod.raw,format=raw,readonly=on,readonly=off", `property "readonly" is there twice`},
		"bare disk":          {"/data/prod.raw", `args[0]: /data/prod.raw: a disk without a flag`},
		"empty word":         {" -nographic", `args[0]: a disk without a flag`},
		"undeclared format":  {"-drive file=/images/a.img,readonly=on", `the format of /images/a.img is not declared`},
		"guessed format":     {"-drive file=/images/a,readonly=on,format=vmdk", `format=vmdk is not allowed in a twin (allowed: raw|qcow2)`},
		"protocol":           {"-drive file=nbd://10.0.0.1/a.raw,readonly=on", `it is no path, but a protocol`},
		"folder as a disk":   {"-drive file=fat:rw:/etc,format=raw,readonly=on", `it is no path, but a protocol`},
		"json name":          {`-drive file=json:{"driver":"file"}.raw,readonly=on`, `it is no path, but a protocol`},
		"above the task":     {"-drive file=../../../../etc/shadow,format=raw,readonly=on", `it leaves the task's folder`},
		"secrets":            {"-drive file=${NOMAD_SECRETS_DIR}/t.raw,readonly=on", `variable ${NOMAD_SECRETS_DIR} is not allowed`},
		"name with a break":  {"-drive file=/images/${NOMAD_META_break}.raw,readonly=on", `is not allowed`},
		"flash in qcow2":     {"-drive if=pflash,format=qcow2,file=/images/v.qcow2", `flash memory of format qcow2 is not allowed`},
		"block node":         {"-blockdev driver=file,node-name=f,filename=/data/prod.raw", `driver=file is not allowed`},
		"writable node":      {"-blockdev driver=raw,node-name=f,file.driver=file,file.filename=/a", `only as driver=raw|qcow2,read-only=on`},
		"backing of a node":  {"-blockdev driver=qcow2,node-name=f,read-only=on,file.driver=file,file.filename=/a,backing.driver=file", `property "backing.driver" is not allowed`},
		"remote node":        {"-blockdev driver=raw,node-name=f,read-only=on,file.driver=nbd,file.filename=/a", `file.driver=nbd is not allowed`},
		"folder":             {"-virtfs local,path=/data,mount_tag=d", `args[0]: -virtfs: it is not allowed in a twin (allowed: -M, -accel, -action,`},
		"device tree":        {"-dtb /etc/shadow", `it is not allowed`},
		"kernel by machine":  {"-machine pc,kernel=/etc/shadow", `property "kernel" is not allowed`},
		"written tree":       {"-M microvm,dumpdtb=/etc/passwd", `property "dumpdtb" is not allowed`},
		"memory file":        {"-mem-path /dev/hugepages", `it is not allowed`},
		"memory of others":   {"-object memory-backend-file,id=m,mem-path=/dev/shm/x,size=1G", `object "memory-backend-file" is not allowed`},
		"file as entropy":    {"-object rng-random,id=r,filename=/etc/shadow", `filename=/etc/shadow is not allowed`},
		"secret":             {"-object secret,id=s,file=/etc/shadow", `object "secret" is not allowed`},
		"firmware file":      {"-fw_cfg name=opt/a,file=/etc/shadow", `property "file" is not allowed in a twin (allowed: name, string)`},
		"smbios file":        {"-smbios file=/etc/shadow", `property "file" is not allowed`},
		"smbios path":        {"-smbios type=11,path=/etc/shadow", `property "path" is not allowed`},
		"boot splash":        {"-boot splash=/etc/shadow", `property "splash" is not allowed`},
		"configuration":      {"-readconfig /etc/q", `it is not allowed`},
		"loader":             {"-device loader,file=/etc/shadow", `device "loader" is not allowed`},
		// Devices and doors.
		"vfio":             {"-device vfio-pci,host=01:00.0", `device "vfio-pci" is not allowed`},
		"named driver":     {"-device driver=vfio-pci,host=01:00.0", `device "vfio-pci" is not allowed`},
		"driver last":      {"-device id=x,driver=vfio-pci", `device "vfio-pci" is not allowed`},
		"driver twice":     {"-device virtio-rng-pci,driver=vfio-pci", `property "driver" is there twice`},
		"shared memory":    {"-device ivshmem-plain,memdev=m", `device "ivshmem-plain" is not allowed`},
		"usb of the host":  {"-device usb-host,vendorid=0x1", `device "usb-host" is not allowed`},
		"scsi passthrough": {"-device scsi-generic,drive=d", `device "scsi-generic" is not allowed`},
		"global rom":       {"-global virtio-net-pci.romfile=/etc/shadow", `romfile=/etc/shadow is not allowed`},
		"global driver":    {"-global driver=vfio-pci,property=host,value=01:00.0", `device "vfio-pci" is not allowed`},
		"serial":           {"-serial tcp:127.0.0.1:4444", `"tcp:127.0.0.1:4444" is not allowed in a twin (allowed: none, null, stdio)`},
		"chardev":          {"-chardev socket,id=c,path=/run/docker.sock", `backend=socket is not allowed`},
		"monitor":          {"-monitor unix:/tmp/m,server", `is not allowed`},
		"qmp":              {"-qmp tcp:0:4444", `it is not allowed`},
		"gdb":              {"-s", `it is not allowed`},
		"incoming":         {"-incoming exec:id", `it is not allowed`},
		"log":              {"-D /etc/passwd", `it is not allowed`},
		"plugin":           {"-plugin /tmp/a.so", `it is not allowed`},
		"daemon":           {"-daemonize", `it is not allowed`},
		"other user":       {"-runas root", `it is not allowed`},
		"vnc":              {"-vnc :0", `it is not allowed`},
		"display":          {"-display vnc=:0", `"vnc=:0" is not allowed in a twin (allowed: none)`},
		"abbreviation":     {"-netd user", `it is not allowed`},
		"three dashes":     {"---netdev user", `it is not allowed`},
		"value in flag":    {"-netdev=user", `it is not allowed`},
		"processor":        {"-cpu host,x=/etc/shadow", `is not allowed`},
		"accelerator":      {"-accel kvm,device=/dev/x", `property "device" is not allowed`},
		"no value":         {"-m", `args[0]: -m: it lacks its value`},
	}
	vars := variables{"NOMAD_META_door": "n1,guestfwd=tcp:10.0.2.100:80-cmd:nc", "NOMAD_META_break": "a\nroot /"}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			words := strings.Split(c.words, " ")
			if words[len(words)-1] != "-m" {
				words = append(words, "-netdev", forward)
			}
			_, err := read(vars, words...)
			must.ErrorContains(t, err, c.want)
			must.True(t, api.IsCode(err, api.CodeInvalid))
		})
	}
	t.Run("no port", func(t *testing.T) {
		_, err := read(nil, "-no-reboot", "-nic", "user,hostfwd=udp::${NOMAD_PORT_http}-:80")
		must.ErrorContains(t, err, "a twin could not be reached")
	})
}

func TestReadArguments_Keeps(t *testing.T) {
	cases := map[string]struct{ words, want string }{
		"plain flags":      {"-no-reboot --nographic -nodefaults", "-no-reboot -nographic -nodefaults"},
		"own filter":       {"-sandbox off -snapshot", ""},
		"sizes":            {"-m 512,slots=2,maxmem=1G -smp 2,sockets=1", "-m 512,slots=2,maxmem=1G -smp 2,sockets=1"},
		"machine":          {"-M q35,smm=on -cpu qemu64,+ssse3,-svm", "-M q35,smm=on -cpu qemu64,+ssse3,-svm"},
		"console":          {"-serial mon:stdio -monitor none -display none -vga none", "-serial stdio -monitor none -display none -vga none"},
		"card":             {"-device virtio-net-pci,netdev=n0,romfile=,mac=52:54:00:00:00:01", "-device virtio-net-pci,netdev=n0,romfile=,mac=52:54:00:00:00:01"},
		"nvme":             {"-device nvme,drive=image0,serial=s0", "-device nvme,drive=image0,serial=s0"},
		"entropy":          {"-object rng-random,id=r,filename=/dev/urandom -device virtio-rng-pci,rng=r", "-object rng-random,id=r,filename=/dev/urandom -device virtio-rng-pci,rng=r"},
		"comma in a value": {"-smbios type=1,serial=ds=nocloud,,x", "-smbios type=1,serial=ds=nocloud,,x"},
		"metadata":         {"-append root=${NOMAD_META_ROOT}", "-append root=/dev/vda"},
		"metadata in a list": {"-smbios type=1,serial=${NOMAD_META_serial},uuid=${NOMAD_ALLOC_ID}",
			"-smbios type=1,serial=s-1,uuid=${NOMAD_ALLOC_ID}"},
		"global":         {"-global PIIX4_PM.disable_s3=1", "-global driver=PIIX4_PM,property=disable_s3,value=1"},
		"secure boot":    {"-global driver=cfi.pflash01,property=secure,value=on", "-global driver=cfi.pflash01,property=secure,value=on"},
		"kernel":         {"-kernel /images/vmlinuz -initrd /images/initrd", "-kernel D/oakum-file-0 -initrd D/oakum-file-1"},
		"seed":           {"-drive file=/images/seed.iso,media=cdrom", "-drive file=D/oakum-file-0,format=raw,readonly=on,media=cdrom"},
		"disc":           {"-cdrom /images/seed.img", "-drive file=D/oakum-file-0,format=raw,readonly=on,media=cdrom,index=2"},
		"read-only disk": {"-drive file=/images/a.qcow2,if=virtio,readonly=on,cache=none", "-drive file=D/oakum-file-0,format=qcow2,readonly=on,if=virtio,cache=none"},
		"comma in a name": {"-drive file=/images/a,,readonly=off.raw,if=virtio,readonly=on",
			"-drive file=D/oakum-file-0,format=raw,readonly=on,if=virtio"},
		"disk that forgets": {"-snapshot -drive file=/images/a.raw,if=virtio", "-drive file=D/oakum-file-0,format=qcow2,if=virtio"},
		"data disk":         {"-drive file=/data/a.raw,if=virtio,format=raw,cache=none", "-drive file=D/" + DataName("/data/a.raw") + ",format=qcow2,if=virtio,cache=none"},
		"old data disk":     {"-hdb /data/a.raw", "-drive file=D/" + DataName("/data/a.raw") + ",format=qcow2,index=1,media=disk"},
		"disk of its own":   {"-drive file=${NOMAD_ALLOC_DIR}/data/a.qcow2,if=virtio", "-drive file=D/oakum-file-0,format=qcow2,if=virtio"},
		"firmware":          {"-drive if=pflash,unit=0,readonly=on,file=/usr/share/OVMF/C.fd -drive if=pflash,unit=1,format=raw,file=/images/v.fd", "-drive file=D/oakum-file-0,format=raw,readonly=on,if=pflash,unit=0 -drive file=D/oakum-file-1,format=raw,if=pflash,unit=1"},
		"node": {"-blockdev driver=qcow2,node-name=d,read-only=on,file.driver=file,file.filename=/images/a -device virtio-blk-pci,drive=d",
			"-blockdev driver=qcow2,read-only=on,file.driver=file,file.filename=D/oakum-file-0,node-name=d -device virtio-blk-pci,drive=d"},
		"no card":       {"-nic none -net nic,model=e1000", "-nic none -net nic,model=e1000"},
		"open network":  {"-nic user,model=e1000,restrict=off,ipv6=on", "-nic user,restrict=on,ipv6=off,id=oakum-net-0,model=e1000"},
		"second port":   {"-nic user,hostfwd=tcp:127.0.0.1:${NOMAD_PORT_admin_ui}-10.0.2.15:22,hostfwd=tcp:${NOMAD_ADDR_http}-:81", "-nic user,restrict=on,ipv6=off,id=oakum-net-0,hostfwd=tcp:127.0.0.1:${NOMAD_PORT_admin_ui}-10.0.2.15:22,hostfwd=tcp:${NOMAD_ADDR_http}-:81"},
		"guest strings": {"-fw_cfg name=opt/x,string=a=b", "-fw_cfg opt/x,string=a=b"},
	}
	vars := variables{"NOMAD_META_ROOT": "/dev/vda", "NOMAD_META_serial": "${SERIAL}", "SERIAL": "s-1"}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := read(vars, append(strings.Fields(c.words), "-netdev", forward)...)
			must.NoError(t, err)
			want := append(strings.Fields(strings.ReplaceAll(c.want, "D/", Folder+"/")), "-netdev", forwarded)
			must.Eq(t, want, got.Args)
			must.SliceContains(t, got.Ports, "http")
		})
	}
	got, err := read(nil, "-nic", "user,hostfwd=tcp:127.0.0.1:${NOMAD_PORT_admin_ui}-:22,hostfwd=udp::${NOMAD_PORT_http}-:53")
	must.NoError(t, err)
	must.Eq(t, []string{"admin-ui"}, got.Ports)
	must.Eq(t, []string{"oakum-net-0"}, got.Networks)
}

func TestReadArguments_NamesTheFilesToCheck(t *testing.T) {
	got, err := read(variables{"NOMAD_META_image": "data"},
		"-netdev", forward, "-kernel", "local/vmlinuz", "-bios", "/usr/share/seabios/bios.bin", "-snapshot", "-hdb", "/images/${NOMAD_META_image}.qcow2",
		"-drive", "if=pflash,file=${meta.images}/vars.fd", "-drive", "file=/images/a,,b.raw,readonly=on")
	must.NoError(t, err)
	must.Eq(t, []File{
		{OpFile, "oakum-file-0", FormatRaw, "local/vmlinuz"},
		{OpFirmware, "oakum-file-1", FormatRaw, "/usr/share/seabios/bios.bin"},
		{OpOverlay, "oakum-file-2", FormatQcow2, "/images/data.qcow2"},
		{OpCopy, "oakum-file-3", FormatRaw, "${meta.images}/vars.fd"},
		{OpReadOnly, "oakum-file-4", FormatRaw, "/images/a,b.raw"},
	}, got.Files)

	got, err = read(nil, "-netdev", forward, "-drive", "file=/data/a.raw", "-drive", "file=/images/b.qcow2,snapshot=on", "-drive", "file=${NOMAD_ALLOC_DIR}/data/c.raw")
	must.NoError(t, err)
	must.Eq(t, []File{
		{OpData, DataName("/data/a.raw"), FormatRaw, "/data/a.raw"},
		{OpOverlay, "oakum-file-1", FormatQcow2, "/images/b.qcow2"},
		{OpOverlay, "oakum-file-2", FormatRaw, "${NOMAD_ALLOC_DIR}/data/c.raw"},
	}, got.Files)
}

func TestWordsOf_RefusesWhatIsNoListOfStrings(t *testing.T) {
	_, err := Words("vm", map[string]any{"args": "-s"})
	must.ErrorContains(t, err, "args is no list")
	_, err = Words("vm", map[string]any{"args": []any{"-m", 512}})
	must.ErrorContains(t, err, "args[1]: it is no string")
}

func TestTask_BoundsItsVariables(t *testing.T) {
	task := Task{WriteOut: variables{"a": strings.Repeat("${b}", 1000), "b": strings.Repeat("x", 1000), "loop": "${loop}"}.writeOut}
	_, err := task.expand(argument{path: "p", value: "${a}"}, plainVariables)
	must.ErrorContains(t, err, "longer than")
	_, err = task.expand(argument{path: "p", value: "${loop}"}, plainVariables)
	must.ErrorContains(t, err, "${loop} is not allowed")
}

// FuzzReadArguments: whatever a job says, its twin has flags of a short list, no
// network that is not restricted, and no file but those that the node checks.
func FuzzReadArguments(f *testing.F) {
	for _, seed := range []string{
		"-netdev\n" + forward, "--nic\nuser,restrict=off", "-drive\nfile=/a,,b.raw,readonly=on", "-device\nvirtio-net-pci,romfile=",
		"-smbios\ntype=1,serial=a,,b", "-global\nPIIX4_PM.disable_s3=1", "-append\n${NOMAD_META_x}", "-M\nq35,accel=kvm", "-blockdev\nraw,read-only=on,file.driver=file,file.filename=/a",
		"-pflash\n/a\n-snapshot\n-hda\n/b.raw\n-cdrom\nc\n-kernel\nk", "-chardev\nnull,id=c", "-fw_cfg\nopt/a,string=,,file=/x",
	} {
		f.Add(seed, "x,restrict=off", "${NOMAD_META_y}")
	}
	allowed := strings.Fields("-nographic -no-reboot -no-shutdown -nodefaults -no-user-config -no-acpi -no-hpet -no-fd-bootchk -enable-kvm -usb" +
		" -display -vga -monitor -parallel -serial -uuid -name -append -cpu -smp -m -accel -rtc -boot -action -smbios -fw_cfg -audiodev -chardev" +
		" -object -global -device -netdev -nic -net -drive -blockdev -kernel -initrd -bios -machine -M")
	bare := strings.Fields("-nographic -no-reboot -no-shutdown -nodefaults -no-user-config -no-acpi -no-hpet -no-fd-bootchk -enable-kvm -usb")
	f.Fuzz(func(t *testing.T, text, x, y string) {
		vars := variables{"NOMAD_META_x": x, "NOMAD_META_y": y}
		got, err := read(vars, append(strings.Split(text, "\n"), "-netdev", forward)...)
		if err != nil {
			must.True(t, api.IsCode(err, api.CodeInvalid))
			return
		}
		files := 0
		for i := 0; i < len(got.Args); i++ {
			flag := got.Args[i]
			must.SliceContains(t, allowed, flag)
			if slices.Contains(bare, flag) {
				continue
			}
			i++
			must.Less(t, len(got.Args), i)
			value := got.Args[i]
			for _, path := range strings.Split(value, Folder+"/")[1:] {
				must.StrHasPrefix(t, "oakum-file-", path)
				files++
			}
			switch flag {
			case "-netdev", "-nic", "-net":
				if strings.HasPrefix(value, "user") {
					must.StrHasPrefix(t, "user,restrict=on,ipv6=off", value)
				}
				must.Eq(t, strings.HasPrefix(value, "user"), strings.Contains(value, "restrict="))
			case "-drive", "-blockdev", "-kernel", "-initrd", "-bios":
				must.True(t, strings.Contains(value, Folder+"/oakum-file-") || strings.Contains(value, "media=cdrom"), must.Sprint(value))
				must.StrNotContains(t, strings.ReplaceAll(value, Folder+"/", ""), "/")
			}
		}
		must.Eq(t, len(got.Files), files)
		for _, file := range got.Files {
			must.Eq(t, "", badPath(file.Path))
		}
	})
}
