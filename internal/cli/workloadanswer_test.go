package cli

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/cli/command"
)

// TestWorkloadAnswer_AnswersUntilItIsInterrupted runs the command as a twin's task does.
func TestWorkloadAnswer_AnswersUntilItIsInterrupted(t *testing.T) {
	dir := t.TempDir()
	answers, report := filepath.Join(dir, "pricing.ndjson"), filepath.Join(dir, "report.json")
	must.NoError(t, os.WriteFile(answers, []byte(`{"path":"/price/1","status":418}`+"\n"), 0o644))
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	said, stderr := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		code := Run(ctx, command.Options{
			Args:   []string{"workload", "answer", "-out=" + report, "127.0.0.1:0=" + answers},
			Stdout: io.Discard, Stderr: stderr, Getenv: func(string) string { return "" }, Now: testNow,
		})
		_ = stderr.Close()
		ended <- code
	}()
	lines := bufio.NewReader(said)
	line, err := lines.ReadString('\n')
	must.NoError(t, err)
	must.StrContains(t, line, "for pricing.")
	address := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(line)
	for path, want := range map[string]int{"/price/1": http.StatusTeapot, "/price/9": http.StatusNotImplemented} {
		resp, err := http.Get(address + path)
		must.NoError(t, err)
		must.NoError(t, resp.Body.Close())
		must.EqOp(t, want, resp.StatusCode)
	}
	text, err := os.ReadFile(report)
	must.NoError(t, err)
	must.EqOp(t, `[{"stub":"pricing","call":"GET /price/9","count":1}]`, string(text))
	http.DefaultClient.CloseIdleConnections()
	interrupt()
	_, err = io.ReadAll(lines)
	must.NoError(t, err)
	must.Eq(t, command.ExitDone, <-ended)
}

func TestWorkloadAnswer_RefusesWhatItCantServe(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "pricing.ndjson"), filepath.Join(dir, "bad.ndjson")
	must.NoError(t, os.WriteFile(good, []byte(`{"path":"/"}`), 0o644))
	must.NoError(t, os.WriteFile(bad, []byte(`{"path":"x"}`), 0o644))
	for arg, want := range map[string]string{
		"pricing.ndjson": "want a loopback address and a file", "10.0.0.1:80=" + good: "want a loopback address", "localhost:80=" + good: "want a loopback address",
		"127.0.0.1:0=" + bad: `bad.ndjson:1: path: "x" does not begin with "/"`, "127.0.0.1:0=absent": "absent",
	} {
		var stderr bytes.Buffer
		code := Run(t.Context(), command.Options{
			Args:   []string{"workload", "answer", "127.0.0.1:0=" + good, arg},
			Stdout: io.Discard, Stderr: &stderr, Getenv: func(string) string { return "" }, Now: testNow,
		})
		must.NotEq(t, command.ExitDone, code)
		must.StrContains(t, stderr.String(), want)
	}
}
