//go:build e2e

package sandbox

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/nomad/sandbox/qemu"
)

// TestPrepare_LeavesProductionItsLocks lays a twin's disk over one that a machine of
// production has, and starts that machine while the twin runs: after a crash, say.
func TestPrepare_LeavesProductionItsLocks(t *testing.T) {
	for _, op := range []string{qemu.OpDisk, qemu.OpOverlay, qemu.OpData} {
		for _, format := range []string{qemu.FormatRaw, qemu.FormatQcow2} {
			t.Run(op+" "+format, func(t *testing.T) {
				dir, out := t.TempDir(), t.TempDir()
				disk := filepath.Join(dir, "disk."+format)
				run(t, "qemu-img", "create", "-q", "-f", format, disk, "8M")
				run(t, "/bin/sh", "-c", imageScript+prepareScript, "prepare", "", out, "root", dir, op, "twin.qcow2", format, disk)
				boot(t, filepath.Join(out, "twin.qcow2"), qemu.FormatQcow2)
				boot(t, disk, format)
			})
		}
	}
}

// boot starts a machine that holds its disk and runs nothing, until the test ends.
func boot(t *testing.T, disk, format string) {
	t.Helper()
	machine := exec.CommandContext(t.Context(), "qemu-system-x86_64", "-machine", "pc", "-S", "-display", "none", "-nodefaults",
		"-qmp", "stdio", "-drive", "file="+disk+",if=virtio,format="+format)
	said, err := machine.StdoutPipe()
	must.NoError(t, err)
	_, err = machine.StdinPipe() // open for as long as the machine runs
	must.NoError(t, err)
	must.NoError(t, machine.Start())
	t.Cleanup(func() {
		must.NoError(t, machine.Process.Kill())
		_ = machine.Wait()
	})
	greeting, err := bufio.NewReader(said).ReadString('\n')
	must.NoError(t, err, must.Sprintf("the machine of %s has not started", disk))
	must.StrContains(t, greeting, "QMP")
}
