//go:build e2e

package sandbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/appliance"
	"github.com/oakumhq/oakum/internal/inventory"
	"github.com/oakumhq/oakum/internal/twin"
)

// images is where the Makefile puts the appliance and the images of the examples.
const images = "../../../.stack/images"

// oven runs bakes as a Nomad client would, on this machine.
type oven struct {
	dir       string // with the images
	appliance appliance.Appliance
	size      string            // of the file systems that whole makes
	disk      map[string]string // files of the patch's disk beside the job's own, as Nomad fetches them
}

func newOven(t *testing.T) *oven {
	t.Helper()
	o := &oven{dir: t.TempDir(), appliance: appliance.Appliance{Memory: 256, Within: 10 * time.Minute}, size: "16M", disk: map[string]string{}}
	for name, file := range map[string]*appliance.File{appliance.KernelFile: &o.appliance.Kernel, appliance.InitrdFile: &o.appliance.Initrd} {
		path, err := filepath.Abs(filepath.Join(images, "appliance", name))
		must.NoError(t, err)
		content, err := os.ReadFile(path)
		must.NoError(t, err, must.Sprint("make images"))
		sum := sha256.Sum256(content)
		*file = appliance.File{Source: path, Checksum: "sha256:" + hex.EncodeToString(sum[:])}
	}
	return o
}

// bake runs a patch in an image of the folder.
func (o *oven) bake(t *testing.T, image string, steps ...twin.Step) (twin.Image, error) {
	t.Helper()
	spec := twin.BakeSpec{
		Job: "oakum-twin-s-1-bake", Target: api.TargetRef{Namespace: "prod", Job: "store", Group: "store"}, Node: "n1", Steps: steps, Packages: []string{"openssl", "absent"}, RPMFormat: inventory.RPMFormat,
		Image: filepath.Join(o.dir, image), Result: filepath.Join(o.dir, "result.qcow2"),
	}
	must.NoError(t, os.RemoveAll(spec.Result)) // of the bake before
	job, err := bakeJob(production(), spec, o.appliance, machineOf(production()), []string{o.dir})
	must.NoError(t, err)
	end := o.run(t, spec, job)
	must.FileNotExists(t, spec.Result+twin.PartSuffix)
	got, err := end.image()
	if err != nil {
		must.FileNotExists(t, spec.Result)
		return got, err
	}
	content, err := os.ReadFile(spec.Result)
	must.NoError(t, err)
	sum := sha256.Sum256(content)
	must.EqOp(t, hex.EncodeToString(sum[:]), got.Digest)
	return got, nil
}

// run runs the job of a bake as a Nomad client would.
func (o *oven) run(t *testing.T, spec twin.BakeSpec, job *nomadapi.Job) bakeEnd {
	t.Helper()
	alloc := t.TempDir()
	replace := strings.NewReplacer("${NOMAD_TASK_DIR}", alloc+"/local", "${NOMAD_ALLOC_DIR}", alloc+"/alloc")
	must.NoError(t, os.MkdirAll(alloc+"/alloc/data", 0o755))
	task := job.TaskGroups[0].Tasks[0]
	for _, tmpl := range task.Templates {
		write(t, filepath.Join(alloc, *tmpl.DestPath), *tmpl.EmbeddedTmpl)
	}
	for name, content := range o.disk {
		write(t, filepath.Join(alloc, "local/patch", name), content)
	}
	command := exec.CommandContext(t.Context(), "/bin/sh", alloc+"/local/bake.sh")
	command.Env = []string{"PATH=" + os.Getenv("PATH")}
	for name, value := range task.Env {
		command.Env = append(command.Env, name+"="+replace.Replace(value))
	}
	var console, said bytes.Buffer
	command.Stdout, command.Stderr = &console, &said
	// Whatever ends the test ends QEMU too.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	end := bakeEnd{spec: spec, within: o.appliance.Within}
	if err := command.Run(); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		must.True(t, ok, must.Sprint(err))
		end.code = exit.ExitCode()
	}
	report, err := os.ReadFile(alloc + "/alloc/data/oakum-bake.report")
	must.NoError(t, err)
	end.report, end.why = string(report), strings.TrimSpace(said.String())
	end.console = console.String()[max(0, console.Len()-consoleTail):]
	t.Logf("exit %d\n%s%s", end.code, end.console, end.why)
	must.DirNotExists(t, alloc+"/local/work")
	return end
}

// read reads what is installed in an image of the folder, and keeps the image as it is.
func (o *oven) read(t *testing.T, image string) (twin.Image, error) {
	t.Helper()
	path := filepath.Join(o.dir, image)
	before := sumOf(t, path)
	spec := twin.BakeSpec{
		Job: "oakum-twin-inventory-1-read", Target: api.TargetRef{Namespace: "prod", Job: "store", Group: "store"}, Node: "n1",
		Image: path, RPMFormat: inventory.RPMFormat, Hash: true,
	}
	job, err := bakeJob(production(), spec, o.appliance, machineOf(production()), []string{o.dir})
	must.NoError(t, err)
	end := o.run(t, spec, job)
	must.EqOp(t, before, sumOf(t, path))
	return end.image()
}

func sumOf(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	must.NoError(t, err)
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func write(t *testing.T, path, content string) {
	t.Helper()
	must.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must.NoError(t, os.WriteFile(path, []byte(content), 0o644))
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	path, err := exec.LookPath(name)
	if err != nil {
		path = "/usr/sbin/" + name
	}
	command.Path, command.Err = path, nil
	text, err := command.CombinedOutput()
	must.NoError(t, err, must.Sprintf("%s %v: %s", name, args, text))
	return string(text)
}

// root is a folder with what a script needs.
func root(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	busybox, err := exec.LookPath("busybox")
	must.NoError(t, err)
	content, err := os.ReadFile(busybox)
	must.NoError(t, err)
	write(t, dir+"/bin/busybox", string(content))
	must.NoError(t, os.Chmod(dir+"/bin/busybox", 0o755))
	for _, applet := range []string{"sh", "cat", "dd", "mknod", "mount", "ls", "yes", "grep", "mkdir", "sleep", "poweroff", "rm"} {
		must.NoError(t, os.Symlink("busybox", dir+"/bin/"+applet))
	}
	write(t, dir+"/etc/os-release", "ID=test\n")
	return dir
}

// whole makes an image whose disk is one file system.
func (o *oven) whole(t *testing.T, image, root string) {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "disk.raw")
	run(t, "mke2fs", "-q", "-t", "ext4", "-m", "0", "-d", root, raw, o.size)
	run(t, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, filepath.Join(o.dir, image))
}

// content reads a file of a file system in the result, which begins at an offset.
func (o *oven) content(t *testing.T, path string, offset int64) string {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "disk.raw")
	run(t, "qemu-img", "convert", "-f", "qcow2", "-O", "raw", filepath.Join(o.dir, "result.qcow2"), raw)
	command := exec.CommandContext(t.Context(), "/usr/sbin/debugfs", "-R", "cat "+path, fmt.Sprintf("%s?offset=%d", raw, offset))
	text, err := command.Output()
	must.NoError(t, err)
	return string(text)
}

// TestBake runs patches in the appliance, on this machine's QEMU and without Nomad.
func TestBake(t *testing.T) {
	o := newOven(t)
	dir := root(t)
	must.NoError(t, os.Symlink("/etc/target", dir+"/.oakum-patch"))
	write(t, dir+"/etc/target", "untouched")
	o.whole(t, "plain.qcow2", dir)

	t.Run("the bytes of a script arrive", func(t *testing.T) {
		// A megabyte, and what no text of HCL or JSON can hold.
		script := "cat >/etc/bytes <<'E'\ncaf\xe9 \xff {{ now }} ${HOME} $1\r\nE\n#" + strings.Repeat("x", 1<<20) + "\nexit 0\n\x00\x01\x02"
		image, err := o.bake(t, "plain.qcow2",
			twin.Step{Script: script},
			twin.Step{Script: "cat /etc/bytes >/etc/second", Verify: []api.Verify{{Command: "cat /etc/second; cat /etc/target", Expect: "{{ now }} ${HOME} $1"}}})
		must.NoError(t, err)
		must.StrContains(t, image.Proofs[0].Output, "untouched", must.Sprint("nothing was written through the image's symbolic link"))
		must.EqOp(t, "caf\xe9 \xff {{ now }} ${HOME} $1\r\n", o.content(t, "/etc/second", 0))
		must.MapEmpty(t, image.After)
		must.EqOp(t, "", o.content(t, "/run/lock", 0), must.Sprint("folders that were made for the machine are gone"))
	})

	t.Run("the host is nowhere", func(t *testing.T) {
		canary := filepath.Join(o.dir, "canary")
		write(t, canary, "host")
		var at syscall.Stat_t
		must.NoError(t, syscall.Stat(canary, &at))
		major, minor := at.Dev>>8&0xfff, at.Dev&0xff|at.Dev>>12&0xfff00
		image, err := o.bake(t, "plain.qcow2", twin.Step{
			Script: fmt.Sprintf("mkdir /mnt\nmknod /hostdisk b %d %d\nif mount /hostdisk /mnt && cat /mnt%s; then echo the host is here; exit 1; fi\n:", major, minor, canary),
			Verify: []api.Verify{{Command: "ls /sys/class/net /sys/block"}},
		})
		must.NoError(t, err)
		must.StrNotContains(t, image.Proofs[0].Output, "eth", must.Sprint("no network card"))
		must.StrContains(t, image.Proofs[0].Output, "vda")
		must.StrNotContains(t, image.Proofs[0].Output, "vdc", must.Sprint("two disks and no more"))
	})

	for name, c := range map[string]struct {
		step   twin.Step
		within time.Duration
		want   string
	}{
		"a script that fails":            {twin.Step{Script: "echo no such package >&2; exit 3"}, 0, "the script ended with status 3; the console's last lines: no such package"},
		"a script that never ends":       {twin.Step{Script: "while :; do sleep 1; done"}, 5 * time.Second, "the script has not ended after 5s"},
		"output that never ends":         {twin.Step{Script: "yes endless"}, 5 * time.Second, "the script has not ended after 5s; the console's last lines: "},
		"a script that fills the disk":   {twin.Step{Script: "dd if=/dev/zero of=/big bs=1M"}, 0, "the script ended with status 1"},
		"a script that ends the machine": {twin.Step{Script: "poweroff -f"}, 0, "the script ended the machine"},
		"a fix that is not there": {
			twin.Step{Script: ":", Verify: []api.Verify{{Command: "cat /etc/target", Expect: "patched"}}}, 0, `the command "cat /etc/target" did not print "patched"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			patient := *o
			if c.within != 0 {
				patient.appliance.Within = c.within
			}
			_, err := patient.bake(t, "plain.qcow2", c.step)
			must.ErrorContains(t, err, c.want)
			must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint("it is the patch's fault"))
		})
	}
}

// TestRead reads what is installed in an image, on this machine's QEMU and without Nomad.
func TestRead(t *testing.T) {
	o := newOven(t)
	dir := root(t)
	write(t, dir+"/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n")
	write(t, dir+"/var/lib/dpkg/status", "Package: libssl3\nStatus: install ok installed\nArchitecture: amd64\nSource: openssl\nVersion: 3.0.16-1~deb12u1\n\n")
	// The program that reads is one of those that are read.
	oakum := filepath.Join(t.TempDir(), "oakum")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-ldflags=-s -w", "-o", oakum, "../../../cmd/oakum")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	said, err := build.CombinedOutput()
	must.NoError(t, err, must.Sprint(string(said)))
	o.appliance.Reader = appliance.File{Source: oakum, Checksum: "sha256:" + sumOf(t, oakum)}
	program, err := os.ReadFile(oakum)
	must.NoError(t, err)
	write(t, dir+"/usr/bin/oakum", string(program))
	write(t, dir+"/srv/app/node_modules/lodash/package.json", `{"name": "lodash", "version": "4.17.20"}`)
	write(t, dir+"/usr/lib/python3/dist-packages/six.egg-info", "Name: six\nVersion: 1.16.0\n")
	write(t, dir+"/var/lib/dpkg/info/python3-six.list", "/usr/lib/python3/dist-packages/six.egg-info\n")
	o.size = "96M"
	o.whole(t, "plain.qcow2", dir)
	image, err := o.read(t, "plain.qcow2")
	must.NoError(t, err)
	must.EqOp(t, sumOf(t, filepath.Join(o.dir, "plain.qcow2")), image.Digest)
	inv, err := inventory.FromImage("plain.qcow2", image.Databases)
	must.NoError(t, err)
	must.Eq(t, []string{"Debian:12"}, inv.Releases)
	must.EqOp(t, "dpkg, go, npm", inv.Format)
	found := map[string]string{}
	for _, p := range inv.Packages {
		found[p.Ecosystem+":"+p.Name] = p.Version + " " + p.Source
	}
	must.EqOp(t, "3.0.16-1~deb12u1 openssl", found["deb:libssl3"])
	must.EqOp(t, "4.17.20 ", found["npm:lodash"])
	version, err := exec.CommandContext(t.Context(), "go", "version", "-m", oakum).Output()
	must.NoError(t, err)
	deps := 0
	for line := range strings.Lines(string(version)) {
		if fields := strings.Fields(line); fields[0] == "dep" {
			must.EqOp(t, strings.TrimPrefix(fields[2], "v")+" ", found["go:"+strings.ToLower(fields[1])], must.Sprint(fields[1]))
			deps++
		}
	}
	must.Len(t, deps+3, inv.Packages, must.Sprint("the modules, the standard library, libssl3 and lodash"))
	t.Logf("%d modules of Go", deps)

	write(t, filepath.Join(o.dir, "damaged.qcow2"), "no image")
	_, err = o.read(t, "damaged.qcow2")
	must.ErrorContains(t, err, "is no qcow2 image")
}

// TestBake_RefusesBadImages: nothing of such an image is run, and the patch has no
// part in it.
func TestBake_RefusesBadImages(t *testing.T) {
	o := newOven(t)
	o.whole(t, "plain.qcow2", root(t))
	good, err := os.ReadFile(filepath.Join(o.dir, "plain.qcow2"))
	must.NoError(t, err)
	elsewhere := filepath.Join(t.TempDir(), "other.raw")
	write(t, elsewhere, strings.Repeat("x", 1<<20))
	create := func(args ...string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			run(t, "qemu-img", append(append([]string{"create", "-q", "-f", "qcow2"}, args...), path)...)
		}
	}
	bytesOf := func(content string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) { write(t, path, content) }
	}
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		code api.ErrorCode
		want string
	}{
		"missing":                       {func(*testing.T, string) {}, api.CodeUnavailable, "is not on this node"},
		"garbage":                       {bytesOf("QFI\xfb\x00\x00\x00\x03" + strings.Repeat("\x00", 200)), api.CodeUnavailable, "can't be read"},
		"another version":               {bytesOf("QFI\xfb\x00\x00\x00\x09" + strings.Repeat("\x00", 200)), api.CodeUnavailable, "Unsupported qcow2 version 9"},
		"cut off":                       {bytesOf(string(good[:len(good)/8])), api.CodeUnavailable, "is damaged"},
		"raw by another name":           {bytesOf(strings.Repeat("\x00", 1<<20)), api.CodeUnavailable, "is no qcow2 image"},
		"backing file elsewhere":        {create("-F", "raw", "-b", elsewhere), api.CodeInvalid, "is outside of"},
		"backing file by a detour":      {create("-F", "raw", "-b", "../../../../.."+elsewhere), api.CodeInvalid, "is outside of"},
		"backing file over the network": {create("-u", "-F", "raw", "-b", "nbd://127.0.0.1:1/x", "-o", "size=1M"), api.CodeInvalid, "which is no path"},
		"backing file of no format": {func(t *testing.T, path string) {
			create("-F", "qcow2", "-b", filepath.Join(o.dir, "plain.qcow2"))(t, path)
			forget(t, path)
		}, api.CodeInvalid, "does not say that what it is laid over is raw or qcow2"},
		"data in another file": {create("-o", "data_file="+elsewhere+",data_file_raw=on,size=1M"), api.CodeInvalid, "keeps its data in another file"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(o.dir, "bad.qcow2")
			c.make(t, path)
			defer func() { must.NoError(t, os.RemoveAll(path)) }()
			_, err := o.bake(t, "bad.qcow2", twin.Step{Script: ":"})
			must.ErrorContains(t, err, c.want)
			must.EqOp(t, c.code, api.AsError(err).Code)
		})
	}
	t.Run("nothing to boot", func(t *testing.T) {
		write(t, filepath.Join(o.dir, "bad.raw"), strings.Repeat("\x00", 1<<20))
		_, err := o.bake(t, "bad.raw", twin.Step{Script: ":"})
		must.ErrorContains(t, err, "the image has no root file system")
		must.EqOp(t, api.CodeUnavailable, api.AsError(err).Code)
	})
	t.Run("a chain within its folder is read", func(t *testing.T) {
		create("-F", "qcow2", "-b", filepath.Join(o.dir, "plain.qcow2"))(t, filepath.Join(o.dir, "overlay.qcow2"))
		_, err := o.bake(t, "overlay.qcow2", twin.Step{Script: ":"})
		must.NoError(t, err)
	})
	t.Run("another kernel than was named", func(t *testing.T) {
		other := *o
		other.appliance.Kernel.Checksum = checksum
		_, err := other.bake(t, "plain.qcow2", twin.Step{Script: ":"})
		must.ErrorContains(t, err, "vmlinuz has the checksum")
		must.EqOp(t, api.CodeUnavailable, api.AsError(err).Code)
	})
}

// forget takes the format of the backing file out of a qcow2's header: the type of
// its first extension becomes one that nobody knows.
func forget(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	must.NoError(t, err)
	at := bytes.Index(content[:4096], []byte{0xe2, 0x79, 0x2a, 0xca})
	must.Positive(t, at)
	content[at] = 0x12
	must.NoError(t, os.WriteFile(path, content, 0o644))
}

// TestBake_MountsWhatFstabSays: partitions by PARTUUID, UUID, LABEL and PARTLABEL, one
// of them FAT, in a GPT.
func TestBake_MountsWhatFstabSays(t *testing.T) {
	o := newOven(t)
	dir, boot, data := root(t), t.TempDir(), t.TempDir()
	write(t, dir+"/etc/fstab", `# what the image says
PARTUUID=0FC63DAF-0000-4000-8000-00000000000B /boot ext4 rw,noatime 0 2
UUID=AB12-CD34 /boot/efi vfat umask=0077 0 1
LABEL=lots\040of /srv/data ext4 defaults,x-systemd.automount 0 0
/dev/sda1 /by/name ext4 defaults 0 0
PARTLABEL=spare /spare ext4 nofail 0 0
UUID=00000000-0000-4000-8000-000000000000 /gone ext4 nofail 0 0
10.0.0.1:/share /share nfs defaults 0 0
/dev/disk/by-uuid/5f0c9f3e-9f0a-4a55-8b06-0a6b75d1c001 / ext4 rw 0 1
/dev/vda9 none swap sw 0 0
`)
	write(t, boot+"/vmlinuz-6.1.0-9-amd64", "old")
	write(t, dir+"/var/lib/dpkg/status", "Package: openssl\nStatus: install ok installed\nVersion: 3.0.17-1\n\nPackage: absent\nStatus: deinstall ok config-files\nVersion: 1\n")
	disk := filepath.Join(t.TempDir(), "disk.raw")
	must.NoError(t, os.WriteFile(disk, nil, 0o644))
	must.NoError(t, os.Truncate(disk, 96<<20))
	table := exec.CommandContext(t.Context(), "/usr/sbin/sfdisk", "-q", disk)
	table.Stdin = strings.NewReader(`label: gpt
start=1MiB, size=16MiB, uuid=0FC63DAF-0000-4000-8000-00000000000B, name=boot
start=17MiB, size=16MiB, name=efi
start=33MiB, size=16MiB, name=data
start=49MiB, size=32MiB, name=root
`)
	text, err := table.CombinedOutput()
	must.NoError(t, err, must.Sprint(string(text)))
	const mib = 1 << 20
	put := func(at, size int, args ...string) {
		part := filepath.Join(t.TempDir(), "part.raw")
		must.NoError(t, os.WriteFile(part, nil, 0o644))
		must.NoError(t, os.Truncate(part, int64(size)*mib))
		run(t, args[0], append(args[1:], part)...)
		run(t, "dd", "if="+part, "of="+disk, "bs=1M", fmt.Sprintf("seek=%d", at), "conv=notrunc", "status=none")
	}
	put(1, 16, "mke2fs", "-q", "-t", "ext4", "-F", "-d", boot)
	put(17, 16, "mkfs.vfat", "-i", "AB12CD34")
	put(33, 16, "mke2fs", "-q", "-t", "ext4", "-F", "-L", "lots of", "-d", data)
	put(49, 32, "mke2fs", "-q", "-t", "ext4", "-F", "-U", "5f0c9f3e-9f0a-4a55-8b06-0a6b75d1c001", "-d", dir)
	run(t, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", disk, filepath.Join(o.dir, "gpt.qcow2"))

	image, err := o.bake(t, "gpt.qcow2", twin.Step{
		Script: `set -e
echo new >/boot/vmlinuz-6.1.0-57-amd64
echo efi >/boot/efi/loader
echo data >/srv/data/file
cat /by/name/vmlinuz-6.1.0-9-amd64
grep -q "/boot/efi vfat" /proc/mounts
! grep -q "/share\|/gone\|/spare" /proc/mounts
busybox sed -i s/3.0.17-1/3.0.22-1/ /var/lib/dpkg/status
sleep 600 &`,
		Verify: []api.Verify{{Command: "cat /boot/efi/loader /srv/data/file", Expect: "efi\ndata"}},
	})
	must.NoError(t, err)
	must.EqOp(t, "6.1.0-57-amd64", image.Kernel)
	must.Eq(t, map[string]string{"openssl": "3.0.17-1"}, image.Before)
	must.Eq(t, map[string]string{"openssl": "3.0.22-1"}, image.After)
	must.EqOp(t, "new\n", o.content(t, "/vmlinuz-6.1.0-57-amd64", 1*mib))
	must.EqOp(t, "data\n", o.content(t, "/file", 33*mib))

	t.Run("what is not there is the image's fault", func(t *testing.T) {
		dir := root(t)
		write(t, dir+"/etc/fstab", "UUID=00000000-0000-4000-8000-000000000000 /srv ext4 defaults 0 0\n")
		o.whole(t, "gone.qcow2", dir)
		_, err := o.bake(t, "gone.qcow2", twin.Step{Script: ":"})
		must.ErrorContains(t, err, "/srv of the image's fstab can't be mounted: the image has no volume UUID=00000000")
		must.EqOp(t, api.CodeUnavailable, api.AsError(err).Code)
	})
}

// TestBake_UpgradesARealPackage: Debian's openssl, from Debian's packages, on a disk
// with a /boot of its own.
func TestBake_UpgradesARealPackage(t *testing.T) {
	o := newOven(t)
	source, err := os.ReadFile(images + "/debian-1.0.qcow2")
	must.NoError(t, err, must.Sprint("make images"))
	write(t, filepath.Join(o.dir, "debian.qcow2"), string(source))
	packages, err := filepath.Glob(images + "/debian/*.deb")
	must.NoError(t, err)
	must.Len(t, 2, packages)
	for _, path := range packages {
		content, err := os.ReadFile(path)
		must.NoError(t, err)
		o.disk["0/payload/"+filepath.Base(path)] = string(content)
	}
	versions, err := os.ReadFile(images + "/debian/versions")
	must.NoError(t, err)
	old, want, _ := strings.Cut(strings.TrimSpace(string(versions)), " ")
	image, err := o.bake(t, "debian.qcow2", twin.Step{
		Script: "set -e\ndpkg -i *.deb", Verify: []api.Verify{{Command: "dpkg-query -W openssl", Expect: want}},
	})
	must.NoError(t, err)
	must.EqOp(t, old, image.Before["openssl"])
	must.EqOp(t, want, image.After["openssl"])

	d := image.Databases
	inv, err := inventory.FromDatabases("debian.qcow2", inventory.Databases{OSRelease: d["system"], Dpkg: d["dpkg"], APK: d["apk"], RPM: d["rpm"]})
	must.NoError(t, err)
	must.Eq(t, []string{"Debian:12"}, inv.Releases)
	found := slices.IndexFunc(inv.Packages, func(p api.Package) bool { return p.Name == "libssl3" })
	must.NotEq(t, -1, found)
	must.EqOp(t, want, inv.Packages[found].Version)
	must.EqOp(t, "openssl", inv.Packages[found].Source)
	t.Logf("%d packages", len(inv.Packages))
}
