package stack

import (
	"context"
	"fmt"
	"io"
	"os"
)

// guard starts a process that takes the stack down when this one is over: a test
// that is interrupted, killed or out of time ends no more than itself. The guard
// reads from a pipe of which the other end is nowhere but here, so that whatever
// ends this process closes it.
func (s *Stack) guard() error {
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start guard: %w", err)
	}
	defer read.Close() //nolint:errcheck // the guard has a descriptor of its own
	if _, err := launch([]string{s.program(), "guard", s.path()}, s.path(), s.path(logDir, "guard.log"), read); err != nil {
		_ = write.Close() // the error above is the one that matters
		return err
	}
	s.leash = write // Down ends the guard as it ends every process of the stack
	return nil
}

// Guard takes the stack in dir down when the process that holds the other end of
// in ends.
func Guard(ctx context.Context, dir string, in io.Reader) error {
	if _, err := io.Copy(io.Discard, in); err != nil {
		return fmt.Errorf("guard stack: %w", err)
	}
	return Down(ctx, dir)
}
