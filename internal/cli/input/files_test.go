package input_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/cli/input"
)

// repository is a directory with a patch that reads a script, beside a secret that is not
// part of it.
func repository(t *testing.T) (dir, secret string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "repository")
	must.NoError(t, os.Mkdir(dir, 0o700))
	secret = filepath.Join(filepath.Dir(dir), "secret")
	must.NoError(t, os.WriteFile(secret, []byte("hunter2"), 0o600))
	must.NoError(t, os.WriteFile(filepath.Join(dir, "p.hcl"), []byte(`patch "p" {
  apply "script" {
    task   = "vm"
    script = file("fix.sh")
  }
}`), 0o600))
	return dir, secret
}

func TestWithFiles_FollowsNoLinkOutOfTheDirectory(t *testing.T) {
	t.Parallel()
	dir, secret := repository(t)
	fix := filepath.Join(dir, "fix.sh")
	for _, to := range []string{secret, "../secret"} {
		must.NoError(t, os.Symlink(to, fix))
		_, err := input.WithFiles(filepath.Join(dir, "p.hcl"), nil)
		must.ErrorContains(t, err, fix+": a link must not lead out of the directory")
		must.StrNotContains(t, err.Error(), "hunter2")
		must.NoError(t, os.Remove(fix))
	}
	must.NoError(t, os.WriteFile(filepath.Join(dir, "real.sh"), []byte("echo fixed"), 0o600))
	must.NoError(t, os.Symlink("real.sh", fix))
	file, err := input.WithFiles(filepath.Join(dir, "p.hcl"), nil)
	must.NoError(t, err)
	must.EqOp(t, "echo fixed", file.Files["fix.sh"])
	must.NoError(t, os.Remove(fix))
	_, err = input.WithFiles(filepath.Join(dir, "p.hcl"), nil)
	must.ErrorContains(t, err, fix+": no such file")
}

func TestExpand_TakesNoLinkOutOfTheDirectory(t *testing.T) {
	t.Parallel()
	dir, secret := repository(t)
	must.NoError(t, os.Symlink("p.hcl", filepath.Join(dir, "also.hcl")))
	paths, err := input.Expand([]string{dir}, ".hcl", "")
	must.NoError(t, err)
	must.Len(t, 2, paths)
	must.NoError(t, os.Symlink(secret, filepath.Join(dir, "z.hcl")))
	_, err = input.Expand([]string{dir}, ".hcl", "")
	must.ErrorContains(t, err, filepath.Join(dir, "z.hcl")+": a link must not lead out of the directory")
	must.False(t, strings.Contains(err.Error(), "hunter2"))
}
