package cli

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/workload"
)

// TestWorkloadRecord_ForwardsUntilItIsInterrupted runs the command as a proxy.
func TestWorkloadRecord_ForwardsUntilItIsInterrupted(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer service.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	said, stderr := io.Pipe()
	var stdout bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		code := Run(ctx, command.Options{
			Args:   []string{"workload", "record", "-listen=127.0.0.1:0", "-to=" + service.URL},
			Stdout: &stdout, Stderr: stderr, Getenv: func(string) string { return "" }, Now: testNow,
		})
		_ = stderr.Close()
		ended <- code
	}()
	lines := bufio.NewReader(said)
	line, err := lines.ReadString('\n')
	must.NoError(t, err)
	address := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(line)

	for range 3 {
		resp, err := http.Get(address + "/tea?token=s3cr3t")
		must.NoError(t, err)
		must.NoError(t, resp.Body.Close())
		must.Eq(t, http.StatusTeapot, resp.StatusCode)
	}
	http.DefaultClient.CloseIdleConnections()
	interrupt()
	rest, err := io.ReadAll(lines)
	must.NoError(t, err)
	must.Eq(t, command.ExitDone, <-ended)
	must.StrContains(t, string(rest), "Recorded 3 requests, 1 distinct.")

	w, err := workload.Parse("stdout", stdout.Bytes())
	must.NoError(t, err)
	must.Len(t, 1, w.Requests)
	must.Eq(t, "GET /tea?token=redacted", w.Requests[0].String())
	must.Eq(t, workload.Expect(418), w.Requests[0].Expect)
	must.Eq(t, 3, w.Requests[0].Weight)
}

func TestWorkloadRecord_RefusesOneFileForBoth(t *testing.T) {
	dir := t.TempDir()
	file, symbolic, hard := filepath.Join(dir, "same.ndjson"), filepath.Join(dir, "symbolic.ndjson"), filepath.Join(dir, "hard.ndjson")
	must.NoError(t, os.WriteFile(file, []byte("kept"), 0o600))
	must.NoError(t, os.Symlink(file, symbolic))
	must.NoError(t, os.Link(file, hard))
	must.NoError(t, os.Symlink(dir, filepath.Join(dir, "folder")))
	for _, pair := range [][2]string{
		{file, file}, {file, symbolic}, {hard, file},
		{filepath.Join(dir, "new.ndjson"), filepath.Join(dir, "folder", "new.ndjson")}, {dir + "/new.ndjson", dir + "/./new.ndjson"},
	} {
		var stderr bytes.Buffer
		code := Run(t.Context(), command.Options{
			Args:   []string{"workload", "record", "-listen=127.0.0.1:0", "-to=http://127.0.0.1:1", "-out=" + pair[0], "-answers=" + pair[1]},
			Stdout: io.Discard, Stderr: &stderr, Getenv: func(string) string { return "" }, Now: testNow,
		})
		must.EqOp(t, command.ExitError, code)
		must.StrContains(t, stderr.String(), "are the same file")
	}
	text, err := os.ReadFile(file)
	must.NoError(t, err)
	must.EqOp(t, "kept", string(text))
}
