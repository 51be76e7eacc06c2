package guestagent

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/twin"
	"github.com/oakumhq/oakum/internal/wait"
)

func TestArguments_AreTakenByNomadAsTheyAre(t *testing.T) {
	args, err := Arguments("/a/fifos", "/a/file", []string{"echo ${NOMAD_ADDR} $HOME \"'"})
	must.NoError(t, err)
	must.StrNotContains(t, strings.Join(args, " "), "${")
	var r struct{ Arguments struct{ Arg []string } }
	must.NoError(t, json.Unmarshal([]byte(args[len(args)-1]), &r))
	must.Eq(t, []string{"-c", inGuest, "oakum", "echo ${NOMAD_ADDR} $HOME \"'"}, r.Arguments.Arg)

	_, err = Arguments("/a/fifos", "/a/file", []string{strings.Repeat("x", requestMax)})
	must.True(t, api.IsCode(err, api.CodeInvalid))
}

func TestInGuest_KeepsTheEndAndTheStatus(t *testing.T) {
	for name, c := range map[string]struct {
		command, output string
		status          int
	}{
		"both streams":  {"echo out; echo err >&2", "out\nerr\n", 0},
		"status":        {"echo no; exit 3", "no\n", 3},
		"signal":        {"kill -9 $$", "", 137},
		"not there":     {"/no/such/program 2>/dev/null", "", 127},
		"much":          {"head -c 100000 /dev/zero | tr '\\0' x; echo end", strings.Repeat("x", 4092) + "end\n", 0},
		"no input":      {"cat", "", 0},
		"syntax is bad": {"if; 2>/dev/null", "", 2},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", inGuest, "oakum", c.command)
			out, err := cmd.Output()
			if c.output != "" || c.status == 0 { // what a shell says of an end has no standard
				must.Eq(t, c.output, string(out))
			}
			if ended, ok := errors.AsType[*exec.ExitError](err); ok {
				must.Eq(t, c.status, ended.ExitCode())
				return
			}
			must.NoError(t, err)
			must.Eq(t, 0, c.status)
		})
	}
}

func TestParse_RepeatsLittleOfWhatCannotBeRead(t *testing.T) {
	number := strings.Repeat("9", AnswersMax/2)
	_, err := Parse("{\"return\": 79627}\n{\"return\": {\"exited\": true, \"exitcode\": "+number+"}}\n\nend\n", 1)
	must.ErrorContains(t, err, "can't be read")
	must.Less(t, 400, len(err.Error()))
}

func TestParse_ReadsWhatTheAgentSays(t *testing.T) {
	const sync = "garbage\n{\"return\": 79627}\n"
	done := func(code int, output string) string {
		return fmt.Sprintf("{\"return\": {\"pid\": 5}}\n{\"return\": {\"exited\": false}}\n{\"return\": {\"exitcode\": %d, \"out-data\": %q, \"exited\": true}}\n",
			code, base64.StdEncoding.EncodeToString([]byte(output)))
	}
	for name, c := range map[string]struct {
		text string
		want []twin.Exit
		code api.ErrorCode
		why  string
	}{
		"all":              {sync + done(0, "3.0.16\n") + done(1, "no"), []twin.Exit{{Output: "3.0.16\n"}, {Status: 1, Output: "no"}}, "", ""},
		"more than asked":  {sync + done(0, "a") + done(0, "b") + done(0, "c"), []twin.Exit{{Output: "a"}, {Output: "b"}}, "", ""},
		"a signal":         {sync + done(0, "") + "{\"return\": {\"signal\": 9, \"exited\": true}}\n", []twin.Exit{{}, {Status: 137}}, "", ""},
		"nobody":           {"", nil, api.CodeNotFound, "no guest agent answers"},
		"somebody else":    {"login: \n{\"return\": 1}\n", nil, api.CodeNotFound, "no guest agent answers"},
		"it may not":       {sync + `{"error": {"class": "CommandNotFound", "desc": "Command guest-exec has been disabled"}}` + "\n", nil, api.CodeUnavailable, "guest-exec has been disabled"},
		"no end":           {sync + done(0, "a") + "{\"return\": {\"pid\": 6}}\n{\"return\": {\"exited\": false}}\n", []twin.Exit{{Output: "a"}}, api.CodeUnavailable, "it has not ended after 120 s"},
		"it went silent":   {sync + done(0, "a"), []twin.Exit{{Output: "a"}}, api.CodeUnavailable, "does not answer any more"},
		"no base64":        {sync + "{\"return\": {\"exited\": true, \"out-data\": \"%\"}}\n", nil, api.CodeUnavailable, "can't be read"},
		"no object":        {sync + "{\"return\": 7}\n", nil, api.CodeUnavailable, "can't be read"},
		"bytes of no text": {sync + done(0, "\xff") + done(0, ""), []twin.Exit{{Output: "\uFFFD"}, {}}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(c.text+"\nend\n", 2)
			must.Eq(t, c.want, got)
			if c.why == "" {
				must.NoError(t, err)
				return
			}
			must.ErrorContains(t, err, c.why)
			must.True(t, api.IsCode(err, c.code), must.Sprint(err))
		})
	}
}

// FuzzParse: whatever a guest says, no more is kept than was asked for, and each of it is
// bounded text.
func FuzzParse(f *testing.F) {
	f.Add("{\"return\": 79627}\n{\"return\": {\"pid\": 1}}\n{\"return\": {\"exited\": true, \"exitcode\": 0, \"out-data\": \"YQ==\"}}\n")
	f.Add("{\"return\": 79627}\n{\"error\": {\"desc\": \"no\"}}\n")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Parse(text, 1)
		must.LessEq(t, 1, len(got))
		must.True(t, err != nil || len(got) == 1)
		for _, a := range got {
			must.LessEq(t, 3*outputMax, len(a.Output)) // a byte that is no text becomes three
		}
	})
}

// agent is a guest agent behind two FIFOs that runs commands on this machine, as QEMU's
// does in its own.
type agent struct {
	requests *os.File
	answers  io.Writer
	ran      map[int]string
}

// serve answers requests until they end.
func (a *agent) serve(refuse string) {
	lines := bufio.NewScanner(a.requests)
	for lines.Scan() {
		var r struct {
			Execute   string
			Arguments struct {
				ID, PID int
				Path    string
				Arg     []string
			}
		}
		if json.Unmarshal(lines.Bytes(), &r) != nil {
			return
		}
		switch r.Execute {
		case refuse:
			_, _ = fmt.Fprintln(a.answers, `{"error": {"class": "CommandNotFound", "desc": "it has been disabled"}}`)
		case "guest-sync":
			_, _ = fmt.Fprintf(a.answers, "{\"return\": %d}\n", r.Arguments.ID)
		case "guest-exec":
			cmd := exec.Command(r.Arguments.Path, r.Arguments.Arg...)
			out, _ := cmd.Output()
			a.ran[len(a.ran)+1] = fmt.Sprintf(`{"return": {"exitcode": %d, "out-data": %q, "exited": true}}`,
				cmd.ProcessState.ExitCode(), base64.StdEncoding.EncodeToString(out))
			_, _ = fmt.Fprintf(a.answers, "{\"return\": {\"pid\": %d}}\n", len(a.ran))
		case "guest-exec-status":
			_, _ = fmt.Fprintln(a.answers, a.ran[r.Arguments.PID])
		}
	}
}

// What the script is given in tests: how often it looks for an answer that never comes,
// and how many bytes of answers it keeps.
const (
	looksOfATest = "2"
	mostOfATest  = 16 << 10
)

// conversation runs the script with whoever is behind the FIFOs, and returns the answers
// that it leaves. A looks of "" waits for each answer as long as it takes.
func conversation(t *testing.T, guest func(requests, answers *os.File), looks string, commands ...string) string {
	t.Helper()
	folder := t.TempDir()
	fifos, file := filepath.Join(folder, "agent"), filepath.Join(folder, "answers")
	var ends [2]*os.File
	for i, end := range []string{".in", ".out"} {
		must.NoError(t, syscall.Mkfifo(fifos+end, 0o600))
		f, err := os.OpenFile(fifos+end, os.O_RDWR, 0) // as QEMU does
		must.NoError(t, err)
		t.Cleanup(func() { _ = f.Close() })
		ends[i] = f
	}
	go guest(ends[0], ends[1])
	args, err := Arguments(fifos, file, commands)
	must.NoError(t, err)
	args[5], args[6] = strconv.Itoa(mostOfATest), cmp.Or(looks, "100000")
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, "/bin/sh", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	must.NoError(t, cmd.Start())
	defer func() { cancel(); must.Error(t, cmd.Wait()) }()
	text := ""
	wait.For(t, "the script has asked the agent", func() bool {
		content, err := os.ReadFile(file)
		if err == nil {
			text = string(content)
			return true
		}
		// It takes no signal before its trap is set, which nobody sees from outside: the
		// kernel lists the signals that a process handles.
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		must.NoError(t, err)
		for line := range strings.Lines(string(status)) {
			if mask, ok := strings.CutPrefix(line, "SigCgt:"); ok {
				caught, err := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
				must.NoError(t, err)
				if caught&(1<<(syscall.SIGHUP-1)) != 0 {
					must.NoError(t, cmd.Process.Signal(syscall.SIGHUP))
				}
			}
		}
		return false
	})
	return text
}

// working is a guest with an agent that refuses a request.
func working(refuse string) func(requests, answers *os.File) {
	return func(requests, answers *os.File) {
		(&agent{requests: requests, answers: answers, ran: map[int]string{}}).serve(refuse)
	}
}

func TestScript_AsksAnAgent(t *testing.T) {
	t.Parallel()
	text := conversation(t, working(""), "", "echo first", "echo second; exit 3", "printf '%s' \"$0 $PPID\" >/dev/null")
	must.True(t, Whole(text))
	got, err := Parse(text, 3)
	must.NoError(t, err)
	must.Eq(t, []twin.Exit{{Output: "first\n"}, {Status: 3, Output: "second\n"}, {}}, got)
}

func TestScript_StopsWhereTheAgentRefuses(t *testing.T) {
	t.Parallel()
	_, err := Parse(conversation(t, working("guest-exec"), "", "echo first"), 1)
	must.ErrorContains(t, err, "it has been disabled")
}

func TestScript_GivesUpWithoutAnAgent(t *testing.T) {
	t.Parallel()
	_, err := Parse(conversation(t, func(*os.File, *os.File) {}, looksOfATest, "echo first"), 1)
	must.True(t, api.IsCode(err, api.CodeNotFound), must.Sprint(err))
}

// TestScript_BoundsWhatAGuestSays that writes without an end.
func TestScript_BoundsWhatAGuestSays(t *testing.T) {
	t.Parallel()
	text := conversation(t, func(_, answers *os.File) {
		for err := error(nil); err == nil; {
			_, err = answers.Write(bytes.Repeat([]byte("x"), 4096))
		}
	}, looksOfATest, "echo first")
	must.True(t, Whole(text))
	must.LessEq(t, mostOfATest+len("\nend\n"), len(text))
	_, err := Parse(text, 1)
	must.True(t, api.IsCode(err, api.CodeNotFound), must.Sprint(err))
}
