package tools_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"
)

func beside(t *testing.T, commands ...string) *exec.Cmd {
	t.Helper()
	script, err := filepath.Abs("beside.sh")
	must.NoError(t, err)
	command := exec.CommandContext(t.Context(), script, commands...)
	command.Dir = t.TempDir()
	return command
}

func TestBeside_RunsThemAtTheSameTime(t *testing.T) {
	// A FIFO opens when both of its ends are there.
	command := beside(t, "writer=echo met >meeting", "reader=cat meeting")
	must.NoError(t, syscall.Mkfifo(filepath.Join(command.Dir, "meeting"), 0o600))
	said, err := command.CombinedOutput()
	must.NoError(t, err, must.Sprint(string(said)))
	must.EqOp(t, "reader | met\n", string(said))
}

func TestBeside_FailsWithAnyOfThem(t *testing.T) {
	said, err := beside(t, "good=echo fine", "bad=echo broken >&2; false").CombinedOutput()
	var exit *exec.ExitError
	must.True(t, errors.As(err, &exit))
	must.EqOp(t, 1, exit.ExitCode())
	must.StrContains(t, string(said), "good | fine\n")
	must.StrContains(t, string(said), "bad | broken\n")
	must.StrHasSuffix(t, "failed: bad\n", string(said))
}

func TestBeside_RepeatsWhatFailedTestsSaid(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	must.NoError(t, os.WriteFile(log, []byte(`=== RUN   TestGood
    good_test.go:3: fine
--- PASS: TestGood (0.00s)
=== RUN   TestBad
=== RUN   TestBad/case
    bad_test.go:7: expected 1; got 2
--- FAIL: TestBad (0.10s)
    --- FAIL: TestBad/case (0.10s)
    --- PASS: TestBad/other (0.10s)
FAIL
FAIL	example.org/bad	0.2s
`), 0o600))
	said, err := beside(t, "good=echo fine", "bad=cat "+log+"; false").CombinedOutput()
	must.Error(t, err)
	must.StrHasSuffix(t, `failed: bad
    bad_test.go:7: expected 1; got 2
--- FAIL: TestBad (0.10s)
    --- FAIL: TestBad/case (0.10s)
FAIL	example.org/bad	0.2s
`, string(said))
}

func TestBeside_TellsWhereATestHung(t *testing.T) {
	said, err := beside(t, `hung=printf '=== RUN   TestHung\npanic: test timed out after 1h0m0s\n\trunning tests:\n\t\tTestHung (59m0s)\n'; false`).CombinedOutput()
	must.Error(t, err)
	must.StrHasSuffix(t, "failed: hung\npanic: test timed out after 1h0m0s\n\trunning tests:\n\t\tTestHung (59m0s)\n", string(said))
}

func TestBeside_EndsAllWithItself(t *testing.T) {
	command := beside(t, "first=echo up; cat wait", "second=echo up; cat wait")
	must.NoError(t, syscall.Mkfifo(filepath.Join(command.Dir, "wait"), 0o600))
	out, err := command.StdoutPipe()
	must.NoError(t, err)
	must.NoError(t, command.Start())
	lines := bufio.NewScanner(out)
	for range 2 {
		must.True(t, lines.Scan())
		must.True(t, strings.HasSuffix(lines.Text(), " | up"))
	}
	must.NoError(t, command.Process.Signal(syscall.SIGTERM))
	must.False(t, lines.Scan()) // the pipe closes with the last of the commands
	must.Error(t, command.Wait())
}
