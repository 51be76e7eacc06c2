package sandbox

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/appliance"
	"github.com/oakumhq/oakum/internal/inventory"
)

// scripted is a folder in which a script of a reading runs, with programs of the test's own
// in bin.
type scripted struct {
	t   *testing.T
	dir string
}

// newScripted makes a folder with a script, and with what all of them include.
func newScripted(t *testing.T, name, script string) scripted {
	t.Helper()
	s := scripted{t, t.TempDir()}
	s.put(name, script)
	s.put("databases.sh", databasesScript)
	s.put("rpm-format", inventory.RPMFormat)
	s.put("bin/none", "")
	return s
}

// put writes a file, which may be run.
func (s scripted) put(name, text string) {
	s.t.Helper()
	must.NoError(s.t, os.MkdirAll(filepath.Dir(s.path(name)), 0o755))
	must.NoError(s.t, os.WriteFile(s.path(name), []byte(text), 0o755))
}

func (s scripted) path(name string) string { return filepath.Join(s.dir, name) }

// run runs a script with further variables of the environment, and returns what it said.
func (s scripted) run(env []string, name string, args ...string) (said string, err error) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), "/bin/sh", append([]string{s.path(name)}, args...)...)
	cmd.Env = append([]string{"PATH=" + s.path("bin") + ":" + os.Getenv("PATH"), "NOMAD_TASK_DIR=" + s.dir}, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// reported reads a report, which must be whole, and the inventory that it makes.
func (s scripted) reported(report string) (*appliance.Report, api.Inventory) {
	s.t.Helper()
	text, err := os.ReadFile(report)
	must.NoError(s.t, err)
	r, err := appliance.Parse(string(text))
	must.NoError(s.t, err)
	must.True(s.t, r.Ended)
	inv, err := inventory.FromImage("app", r.Databases)
	must.NoError(s.t, err)
	return r, inv
}
