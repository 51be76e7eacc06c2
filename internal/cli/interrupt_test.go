package cli

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/cli/command"
)

// TestRun_AnInterruptEndsTheWaitForInput has commands that wait for what never comes: on
// standard input, and in a pipe that somebody has open.
func TestRun_AnInterruptEndsTheWaitForInput(t *testing.T) {
	for _, line := range []string{
		"workload record", "policy fmt -", "policy validate -", "patch validate -", "patch plan -", "patch rehearse -",
		"inventory show PIPE", "inventory diff PIPE PIPE", "workload show PIPE", "patch affected -inventory=PIPE PIPE",
	} {
		t.Run(line, func(t *testing.T) {
			pipe := filepath.Join(t.TempDir(), "pipe.json") // its own: the end of another one's writer would be the end of its input
			must.NoError(t, syscall.Mkfifo(pipe, 0o600))
			args := strings.ReplaceAll(line, "PIPE", pipe)
			ctx, interrupt := context.WithCancel(t.Context())
			stdin := &endless{begun: interrupt, ended: make(chan struct{})}
			defer close(stdin.ended)
			if strings.Contains(args, pipe) {
				go func() {
					// The pipe opens for writing once the command reads it.
					f, err := os.OpenFile(pipe, os.O_WRONLY, 0)
					interrupt()
					<-stdin.ended
					if err == nil {
						_ = f.Close()
					}
				}()
			}
			var stderr bytes.Buffer
			code := Run(ctx, command.Options{
				Args: strings.Fields(args), Stdin: stdin, Stdout: io.Discard, Stderr: &stderr,
				Getenv: func(string) string { return "" }, Now: testNow,
			})
			must.EqOp(t, command.ExitError, code)
			must.EqOp(t, "Interrupted.\n", stderr.String())
		})
	}
}

// endless is an input that nothing comes from.
type endless struct {
	begun func()
	ended chan struct{}
}

// Read says that somebody reads, and blocks.
func (e *endless) Read([]byte) (int, error) {
	e.begun()
	<-e.ended
	return 0, io.EOF
}
