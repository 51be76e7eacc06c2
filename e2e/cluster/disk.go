package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/oakumhq/oakum/e2e/daemon"
	"github.com/oakumhq/oakum/internal/wait"
)

// Disk is a small file system of its own, in a file on a loop device.
type Disk struct {
	Dir   string // where it is mounted
	image string
}

// disk makes and mounts a file system of some MiB for a member.
func (n *Network) disk(dir string, mebibytes int) (*Disk, error) {
	d := &Disk{Dir: filepath.Join(dir, n.name+"-disk"), image: filepath.Join(dir, "disk.img")}
	if err := os.MkdirAll(d.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make disk: %w", err)
	}
	for _, step := range [][]string{
		{"truncate", "-s", fmt.Sprintf("%dM", mebibytes), d.image},
		{"mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", d.image},
		{"mount", "-o", "loop", d.image, d.Dir},
	} {
		if err := run(step[0], step[1:]...); err != nil {
			return nil, fmt.Errorf("make disk: %w", err)
		}
	}
	return d, nil
}

// Fill takes all the space that is left.
func (d *Disk) Fill() error {
	file, err := os.Create(d.filler())
	if err != nil {
		return fmt.Errorf("fill disk: %w", err)
	}
	// Down to single bytes, so that not even a page of the log fits.
	for size := 1 << 20; size > 0; size /= 16 {
		block := make([]byte, size)
		for err == nil {
			_, err = file.Write(block)
		}
		err = nil
	}
	return file.Close()
}

// Free gives the space back.
func (d *Disk) Free() error { return os.Remove(d.filler()) }

func (d *Disk) filler() string { return filepath.Join(d.Dir, "filler") }

// Freeze has every write wait, as a disk that has stopped to answer; Thaw has
// them go on.
func (d *Disk) Freeze() error { return run("fsfreeze", "--freeze", d.Dir) }

// Thaw ends Freeze.
func (d *Disk) Thaw() error { return run("fsfreeze", "--unfreeze", d.Dir) }

// Disk is a member's own.
func (n *Network) Disk(i int) *Disk { return n.disks[i] }

// Slow lets a server write to its disk only so many times a second, by a control
// group of the kernel; 0 takes the limit away.
func (n *Network) Slow(s *daemon.Server, writes int) error {
	var info unix.Stat_t
	if err := unix.Stat(n.disks[s.Index].Dir, &info); err != nil {
		return fmt.Errorf("slow disk of %s: %w", s.Name, err)
	}
	device := fmt.Sprintf("%d:%d", unix.Major(info.Dev), unix.Minor(info.Dev))
	group, limit, value := groupOf(n.namespace(s.Index)), "io.max", device+" wiops=max"
	if writes > 0 {
		value = fmt.Sprintf("%s wiops=%d", device, writes)
	}
	if legacy() {
		limit, value = "blkio.throttle.write_iops_device", fmt.Sprintf("%s %d", device, writes)
	} else if err := os.WriteFile(filepath.Join(groups, "cgroup.subtree_control"), []byte("+io"), 0); err != nil {
		return fmt.Errorf("slow disk of %s: %w", s.Name, err)
	}
	if err := os.MkdirAll(group, 0o755); err != nil {
		return fmt.Errorf("slow disk of %s: %w", s.Name, err)
	}
	return errors.Join(
		os.WriteFile(filepath.Join(group, limit), []byte(value), 0),
		os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(s.PID())), 0),
	)
}

// groups is where the kernel's control groups are, of either version.
const groups = "/sys/fs/cgroup"

// legacy reports whether block devices belong to the first version.
func legacy() bool {
	_, err := os.Stat(filepath.Join(groups, "blkio"))
	return err == nil
}

func groupOf(name string) string {
	if legacy() {
		return filepath.Join(groups, "blkio", name)
	}
	return filepath.Join(groups, name)
}

// ungroup removes the control group of a namespace when its processes are gone.
func ungroup(ns string) error {
	group := groupOf(ns)
	if _, err := os.Stat(group); err != nil {
		return nil // it never had one
	}
	return wait.Until(context.Background(), wait.Patience, func() bool { return os.Remove(group) == nil })
}

// unmountBelow unmounts the disks of a network.
func unmountBelow(name string) error {
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return fmt.Errorf("list mounts: %w", err)
	}
	var errs []error
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) > 1 && filepath.Base(fields[1]) == name+"-disk" {
			_ = run("fsfreeze", "--unfreeze", fields[1]) // most are not frozen
			errs = append(errs, run("umount", "-l", fields[1]))
		}
	}
	return errors.Join(errs...)
}
