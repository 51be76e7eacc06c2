package weigh_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oakumhq/oakum/examples/shop/weigh"
	"github.com/shoenig/test/must"
)

// put writes a process as /proc shows it.
func put(t *testing.T, proc string, pid, user, system, pages int, argv ...string) {
	t.Helper()
	folder := filepath.Join(proc, fmt.Sprint(pid))
	must.NoError(t, os.MkdirAll(folder, 0o755))
	must.NoError(t, os.WriteFile(filepath.Join(folder, "cmdline"), []byte(strings.Join(argv, "\x00")+"\x00"), 0o644))
	stat := fmt.Sprintf("%d (a) b) S 1 2 3 4 5 6 7 8 9 10 %d %d 0 0 20 0 9 0 100 4096 %d 0\n", pid, user, system, pages)
	must.NoError(t, os.WriteFile(filepath.Join(folder, "stat"), []byte(stat), 0o644))
}

func TestSince(t *testing.T) {
	proc, began := t.TempDir(), time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	must.NoError(t, os.MkdirAll(filepath.Join(proc, "sys"), 0o755))
	put(t, proc, 10, 100, 50, 10, "/opt/bin/consul", "connect", "proxy")
	put(t, proc, 11, 0, 0, 20, "/opt/bin/consul", "connect", "proxy")
	put(t, proc, 12, 7, 0, 1, "/usr/bin/qemu-system-x86_64", "-m", "128M")
	put(t, proc, 13, 7, 0, 1, "/usr/bin/bash")
	put(t, proc, 14, 7, 0, 1, "/cache/nomad-v1.11.3-go1.26/nomad", "executor", "{}")
	before, err := weigh.Read(proc, began)
	must.NoError(t, err)

	put(t, proc, 10, 130, 70, 10, "/opt/bin/consul", "connect", "proxy")
	put(t, proc, 12, 107, 0, 1, "/usr/bin/qemu-system-x86_64", "-m", "128M")
	put(t, proc, 15, 10, 10, 3, "/opt/bin/shop", "serve")
	must.NoError(t, os.RemoveAll(filepath.Join(proc, "14")))
	after, err := weigh.Read(proc, began.Add(10*time.Second))
	must.NoError(t, err)

	page := int64(os.Getpagesize())
	must.Eq(t, []weigh.Share{
		{Class: weigh.Class{Name: "QEMU machines", Processes: 1, CPU: 1070 * time.Millisecond, Resident: page}, Processor: 0.1},
		{Class: weigh.Class{Name: "consul connect proxy", Processes: 2, CPU: 2 * time.Second, Resident: 30 * page}, Processor: 0.05},
		{Class: weigh.Class{Name: "shop serve", Processes: 1, CPU: 200 * time.Millisecond, Resident: 3 * page}, Processor: 0.02},
	}, after.Since(before))
}

func TestReadNeedsProc(t *testing.T) {
	_, err := weigh.Read(filepath.Join(t.TempDir(), "none"), time.Time{})
	must.ErrorContains(t, err, "read processes")
}
