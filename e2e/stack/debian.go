package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// debianPackage is something that the virtual machines, their images and the
// networks of the cluster tests need.
type debianPackage struct{ command, name string }

func debianPackages() []debianPackage {
	return []debianPackage{
		{"qemu-system-x86_64", "qemu-system-x86"},
		{"qemu-img", "qemu-utils"},
		{"busybox", "busybox-static"},
		{"mke2fs", "e2fsprogs"},
		{"extlinux", "extlinux"},
		{"depmod", "kmod"},
		{"cpio", "cpio"},
		{"ip", "iproute2"},
		{"git", "git"},
		{"pkill", "procps"},
	}
}

// debian checks for what comes from Debian and installs what lacks when it may.
func (b builder) debian(ctx context.Context) error {
	var missing []string
	for _, p := range debianPackages() {
		if !onPath(p.command) {
			missing = append(missing, p.name)
		}
	}
	if len(missing) == 0 {
		b.say("%-16s qemu and the image tools are installed", "debian")
		return nil
	}
	install := append([]string{"install", "-y", "--no-install-recommends"}, missing...)
	if os.Geteuid() != 0 {
		return fmt.Errorf("missing Debian packages; as root: apt-get %s", strings.Join(install, " "))
	}
	b.say("%-16s installing %s", "debian", strings.Join(missing, " "))
	if err := b.apt(ctx, "", "update"); err != nil {
		return err
	}
	return b.apt(ctx, "", install...)
}

// onPath also looks into the system folders, which a person's PATH may lack.
func onPath(command string) bool {
	if _, err := exec.LookPath(command); err == nil {
		return true
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if info, err := os.Stat(filepath.Join(dir, command)); err == nil && !info.IsDir() {
			return true
		}
	}
	return false
}

// prometheus unpacks Debian's package below .stack, so that no service starts
// on the host; one that is installed is taken as it is.
func (b builder) prometheus(ctx context.Context) error {
	program := filepath.Join(b.bin, "prometheus")
	if _, err := os.Stat(program); err == nil {
		b.say("%-16s is there", "prometheus")
		return nil
	}
	if installed, err := exec.LookPath("prometheus"); err == nil {
		b.say("%-16s %s is installed", "prometheus", installed)
		return relink(installed, program)
	}
	folder := filepath.Join(b.root, ".stack", "debian")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("get prometheus: %w", err)
	}
	b.say("%-16s downloading Debian's package", "prometheus")
	if err := b.apt(ctx, folder, "download", "prometheus"); err != nil {
		// A fresh machine may know no packages yet.
		if os.Geteuid() != 0 {
			return fmt.Errorf("get prometheus (as root: apt-get update): %w", err)
		}
		if err := errors.Join(b.apt(ctx, folder, "update"), b.apt(ctx, folder, "download", "prometheus")); err != nil {
			return fmt.Errorf("get prometheus: %w", err)
		}
	}
	packages, err := filepath.Glob(filepath.Join(folder, "prometheus_*.deb"))
	if err != nil || len(packages) == 0 {
		return errors.Join(errors.New("get prometheus: apt-get left no package"), err)
	}
	into := filepath.Join(folder, "prometheus")
	unpack := exec.CommandContext(ctx, "dpkg", "-x", packages[len(packages)-1], into)
	if text, err := unpack.CombinedOutput(); err != nil {
		return fmt.Errorf("unpack prometheus: %w: %s", err, text)
	}
	return relink(filepath.Join("..", "debian", "prometheus", "usr", "bin", "prometheus"), program)
}

func relink(to, at string) error {
	if err := os.Remove(at); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("link %s: %w", at, err)
	}
	if err := os.Symlink(to, at); err != nil {
		return fmt.Errorf("link %s: %w", at, err)
	}
	return nil
}

func (b builder) apt(ctx context.Context, dir string, args ...string) error {
	command := exec.CommandContext(ctx, "apt-get", args...)
	command.Dir, command.Env = dir, append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if err := b.follow(ctx, "apt-get "+args[0], command); err != nil {
		return fmt.Errorf("run apt-get %s: %w", args[0], err)
	}
	return nil
}
