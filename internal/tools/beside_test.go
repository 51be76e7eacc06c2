package tools_test

import (
	"bufio"
	"errors"
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
