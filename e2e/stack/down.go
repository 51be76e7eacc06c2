package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// Down ends the stack: it stops the jobs, waits for their tasks, stops the
// agents, kills what they left behind, detaches their mounts and removes the
// state. Logs stay. It does what it can when parts are already gone.
func (s *Stack) Down(ctx context.Context) error {
	if _, running := s.Running(NomadServer); running && s.nomadReady(ctx) == nil {
		if err := s.stopJobs(ctx); err != nil {
			s.say("some jobs did not end by themselves: %v", err)
		}
	}
	names := s.Components()
	slices.Reverse(names) // clients before their server, and Consul last
	var failed []error
	for _, name := range names {
		failed = append(failed, s.end(ctx, name, syscall.SIGTERM))
	}
	failed = append(failed, wipe(ctx, s.path()))
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("take stack down: %w", err)
	}
	s.say("stack is down: %s", s.path())
	return nil
}

// Down ends whatever is left of a stack in dir, even of one whose description
// is lost. A directory without a stack is fine.
func Down(ctx context.Context, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("take stack down: %w", err)
	}
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	s, err := Open(dir)
	if err != nil {
		return wipe(ctx, dir)
	}
	return s.Down(ctx)
}
