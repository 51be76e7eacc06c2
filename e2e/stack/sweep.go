package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"syscall"
)

// leftovers lists the processes that belong to the stack in dir: those whose
// command line or environment names its data or configuration, or that work
// below its data. This process and its ancestors are never among them.
func leftovers(dir string) ([]*process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	spared := ancestors(os.Getpid())
	var found []*process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || slices.Contains(spared, pid) || !belongs(pid, dir) {
			continue
		}
		started, state, err := processStat(pid)
		if err != nil || state == "Z" {
			continue
		}
		found = append(found, &process{PID: pid, Started: started})
	}
	return found, nil
}

func belongs(pid int, dir string) bool {
	data, config := filepath.Join(dir, dataDir)+"/", filepath.Join(dir, configDir)+"/"
	if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err == nil && strings.HasPrefix(cwd, data) {
		return true
	}
	home := []byte("HOME=" + dir + "\x00") // all that a log monitor of Nomad keeps of where it belongs
	for _, name := range []string{"cmdline", "environ"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
		if err != nil {
			continue // it ended, or is not ours to read
		}
		if bytes.Contains(text, []byte(data)) || bytes.Contains(text, []byte(config)) || bytes.Contains(text, home) {
			return true
		}
	}
	return false
}

func ancestors(pid int) []int {
	var line []int
	for pid > 0 && !slices.Contains(line, pid) {
		line = append(line, pid)
		pid = parent(pid)
	}
	return line
}

func parent(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, "PPid:"); found {
			number, err := strconv.Atoi(strings.TrimSpace(value))
			if err != nil {
				return 0
			}
			return number
		}
	}
	return 0
}

// sweepProcesses kills what tasks and agents left behind. It looks again until
// it finds nothing, because a killed executor may have started one more child.
func sweepProcesses(ctx context.Context, dir string) error {
	return poll(ctx, "the end of leftover processes", func(context.Context) error {
		found, err := leftovers(dir)
		if err != nil {
			return &stopError{err}
		}
		if len(found) == 0 {
			return nil
		}
		var failed []error
		for _, p := range found {
			if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				failed = append(failed, fmt.Errorf("kill process %d: %w", p.PID, err))
			}
		}
		if len(failed) > 0 {
			return &stopError{errors.Join(failed...)}
		}
		return fmt.Errorf("%d processes are left", len(found))
	})
}

// mountsBelow lists the mount points below dir, the deepest first.
func mountsBelow(dir string) ([]string, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	const pointField = 4 // of proc_pid_mountinfo(5)
	escapes := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\134`, `\`)
	var points []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) <= pointField {
			continue
		}
		if point := escapes.Replace(fields[pointField]); strings.HasPrefix(point, dir+"/") {
			points = append(points, point)
		}
	}
	sort.Sort(sort.Reverse(sort.StringSlice(points)))
	return points, nil
}

// sweepCgroups removes the empty control groups that Nomad leaves for the
// allocations below dir; both layouts of the kernel are covered.
func sweepCgroups(dir string) {
	allocs, err := filepath.Glob(filepath.Join(dir, dataDir, "nomad-client-*", "alloc", "*"))
	if err != nil {
		return // only a malformed pattern fails
	}
	for _, alloc := range allocs {
		name := filepath.Base(alloc)
		for _, pattern := range []string{"/sys/fs/cgroup/*/nomad/" + name + ".*", "/sys/fs/cgroup/nomad.slice/*.slice/" + name + ".*"} {
			groups, err := filepath.Glob(pattern)
			if err != nil {
				continue
			}
			for _, group := range groups {
				_ = os.Remove(group) // one that is in use stays
			}
		}
	}
}

// weighTasks gives all tasks together the weight of a machine's main work.
// Nomad's group has that of one single process otherwise, so that a compiler
// running beside it starves the services. Where there is no such group, or no
// right to change it, nothing is lost but that.
func weighTasks() {
	const shares = "4096"                                                          // four times a process's 1024
	_ = os.WriteFile("/sys/fs/cgroup/cpu/nomad/cpu.shares", []byte(shares), 0o644) // best effort, see above
}

// sweepMounts detaches what Nomad mounted below dir for its allocations.
func sweepMounts(dir string) error {
	points, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	var failed []error
	for _, point := range points {
		if err := syscall.Unmount(point, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
			failed = append(failed, fmt.Errorf("unmount %s: %w", point, err))
		}
	}
	return errors.Join(failed...)
}
