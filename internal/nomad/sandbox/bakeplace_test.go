package sandbox

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"
)

// TestBakeScript_ReadsOnlyWhatLiesInARoot: the script runs as root, and whoever writes a
// patch names the image.
func TestBakeScript_ReadsOnlyWhatLiesInARoot(t *testing.T) {
	dir := t.TempDir()
	roots := filepath.Join(dir, "images")
	must.NoError(t, os.MkdirAll(filepath.Join(dir, "other"), 0o755))
	must.NoError(t, os.MkdirAll(roots, 0o755))
	must.NoError(t, os.Symlink(filepath.Join(dir, "other", "secret.raw"), filepath.Join(roots, "link.raw")))
	must.NoError(t, os.Symlink(roots, filepath.Join(dir, "other", "detour")))
	for name, c := range map[string]struct {
		image, result string
		refused       bool
	}{
		"in a root":            {"images/web.raw", "images/web+1.qcow2", false},
		"below a root":         {"images/team/web.raw", "images/team/web+1.qcow2", false},
		"by a link to a root":  {"other/detour/web.raw", "other/detour/web+1.qcow2", false},
		"elsewhere":            {"other/secret.raw", "other/secret+1.qcow2", true},
		"beside a root":        {"images-of-others/web.raw", "images-of-others/web+1.qcow2", true},
		"by a link":            {"images/link.raw", "images/link+1.qcow2", true},
		"by a detour":          {"images/../other/secret.raw", "images/../other/secret+1.qcow2", true},
		"a result by a detour": {"images/web.raw", "images/../other/web+1.qcow2", true},
	} {
		t.Run(name, func(t *testing.T) {
			command := exec.CommandContext(t.Context(), "/bin/sh", "-c", imageScript+bakeScript)
			command.Env = []string{
				"PATH=" + t.TempDir() + ":/usr/bin:/bin", "OAKUM_ROOTS=\n" + roots, "OAKUM_IMAGE=" + dir + "/" + c.image,
				"OAKUM_RESULT=" + dir + "/" + c.result, "OAKUM_WORK=" + t.TempDir() + "/work", "OAKUM_REPORT=" + t.TempDir() + "/report",
				"OAKUM_KERNEL=/absent", "OAKUM_KERNEL_SHA256=0", "OAKUM_INITRD=/absent", "OAKUM_INITRD_SHA256=0",
			}
			said, err := command.CombinedOutput()
			exit, ok := errors.AsType[*exec.ExitError](err)
			must.True(t, ok)
			if c.refused {
				must.EqOp(t, codeRefused, exit.ExitCode(), must.Sprint(string(said)))
				must.StrContains(t, string(said), "is outside of the folders that images may come from")
			} else { // there is no appliance, or no QEMU: the image was not looked at
				must.NotEq(t, codeRefused, exit.ExitCode(), must.Sprint(string(said)))
			}
		})
	}
}

func TestImageRoots_AreThoseOfTheAgentElseTheTargetsOwn(t *testing.T) {
	job := production()
	vm := job.TaskGroups[0].Tasks[1]
	must.Eq(t, []string{"/images"}, (&Sandbox{}).imageRoots(job, *job.TaskGroups[0].Name, vm))
	must.Eq(t, []string{"/srv"}, (&Sandbox{options: Options{ImageRoots: []string{"/srv"}}}).imageRoots(job, *job.TaskGroups[0].Name, vm))
}
