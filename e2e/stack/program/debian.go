package program

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// debianPackage is something that the virtual machines, their images, the containers, the
// networks of the cluster tests and the test of the web page need. On a machine with systemd, docker.io starts
// a daemon as well. The stack uses one of its own.
type debianPackage struct{ command, name string }

func debianPackages() []debianPackage {
	return []debianPackage{
		{"qemu-system-x86_64", "qemu-system-x86"},
		{"qemu-img", "qemu-utils"},
		{"busybox", "busybox-static"},
		{"mke2fs", "e2fsprogs"},
		{"sfdisk", "fdisk"},
		{"mkfs.vfat", "dosfstools"},
		{"extlinux", "extlinux"},
		{"depmod", "kmod"},
		{"cpio", "cpio"},
		{"ip", "iproute2"},
		{"git", "git"},
		{"pkill", "procps"},
		{"dockerd", "docker.io"},
		{"iptables", "iptables"},
		{"loopback", "containernetworking-plugins"},
		{"chromium", "chromium"},
	}
}

// debian checks for what comes from Debian and installs what lacks when it may.
func (p provider) debian(ctx context.Context) error {
	var missing []string
	for _, d := range debianPackages() {
		if !anywhere(d.command) {
			missing = append(missing, d.name)
		}
	}
	if len(missing) > 0 {
		install := append([]string{"install", "-y", "--no-install-recommends"}, missing...)
		if os.Geteuid() != 0 {
			return fmt.Errorf("provide the image tools: they are missing: as root, apt-get %s", strings.Join(install, " "))
		}
		p.tell("debian", "installing %s", strings.Join(missing, " "))
		if err := errors.Join(p.apt(ctx, "", "update"), p.apt(ctx, "", install...)); err != nil {
			return p.explain(fmt.Errorf("provide the image tools: %w", err))
		}
	}
	want := qemu()
	at := onPath(ctx, want, p.Links)
	if ctx.Err() != nil { // it may have been about to tell its version
		return fmt.Errorf("provide %s: %w", want.Name, context.Cause(ctx))
	}
	if at == nil || !want.takes(at.version) {
		var is string
		if at != nil {
			is = fmt.Sprintf("%s is %s", at.path, known(at.version))
		} else {
			is = "PATH has none"
		}
		return fmt.Errorf("provide %s: %s, and the stack needs %s: install Debian's qemu-system-x86", want.Name, is, want.Range())
	}
	p.tell("qemu", "%s on PATH, and the image tools", at.version)
	return nil
}

// anywhere looks on PATH and into the system folders, which a person's PATH
// may lack, and where CNI's plugins are.
func anywhere(command string) bool {
	if _, err := exec.LookPath(command); err == nil {
		return true
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/lib/cni"} {
		if info, err := os.Stat(filepath.Join(dir, command)); err == nil && !info.IsDir() {
			return true
		}
	}
	return false
}

// debianSource tells from which release of Debian a program is.
func debianSource(program Program) (source, error) {
	text, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return source{}, fmt.Errorf("provide %s: which Debian is this: %w", program.Name, err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		fields[name] = strings.Trim(value, `"`)
	}
	release := fields["ID"] + fields["VERSION_ID"]
	return source{Program: program, version: "of " + release, key: fmt.Sprintf("%s-%s-%s", program.Name, release, runtime.GOARCH)}, nil
}

// unpack takes a program out of Debian's package, so that no service starts on
// the host.
func (p provider) unpack(ctx context.Context, s source, into string) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("there is no apt-get to get it by: put one of %s on PATH", s.Range())
	}
	folder := filepath.Join(into, "package")
	if err := os.Mkdir(folder, 0o755); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	p.tell(s.Name, "downloading Debian's package")
	// Root downloads for itself: the user _apt may not write here.
	get := []string{"-o", "APT::Sandbox::User=root", "download", s.Name}
	if err := p.apt(ctx, folder, get...); err != nil {
		if os.Geteuid() != 0 {
			return fmt.Errorf("%w: apt-get update as root, or put one of %s on PATH", err, s.Range())
		}
		// A fresh machine may know no packages yet.
		if err := errors.Join(p.apt(ctx, folder, "update"), p.apt(ctx, folder, get...)); err != nil {
			return fmt.Errorf("%w: connect this machine to its Debian mirror, or put one of %s on PATH", err, s.Range())
		}
	}
	packages, err := filepath.Glob(filepath.Join(folder, s.Name+"_*.deb"))
	if err != nil || len(packages) == 0 {
		return errors.Join(errors.New("apt-get left no package"), err)
	}
	text, err := exec.CommandContext(ctx, "dpkg", "-x", packages[0], folder).CombinedOutput()
	if err != nil {
		return fmt.Errorf("unpack %s: %w: %s", packages[0], err, text)
	}
	path := filepath.Join(into, s.Name)
	if err := os.Rename(filepath.Join(folder, "usr", "bin", s.Name), path); err != nil {
		return fmt.Errorf("unpack %s: %w", packages[0], err)
	}
	if got := told(ctx, path, s.tell); !s.takes(got) {
		return fmt.Errorf("debian's is %s: put one of %s on PATH", known(got), s.Range())
	}
	return os.RemoveAll(folder)
}

// apt runs apt-get and tells the first of its complaints.
func (p provider) apt(ctx context.Context, dir string, args ...string) error {
	command := exec.CommandContext(ctx, "apt-get", args...)
	command.Dir, command.Env = dir, append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	said, err := p.follow(ctx, "apt-get", command, nil)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("run apt-get: %w", context.Cause(ctx))
	}
	for line := range strings.Lines(said) {
		if strings.HasPrefix(line, "E: ") {
			return fmt.Errorf("run apt-get: %s", strings.TrimSpace(line))
		}
	}
	return fmt.Errorf("run apt-get: %w: %s", err, said)
}
