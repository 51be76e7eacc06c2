package stack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// Share runs the tests of a package on one stack in a folder of its own, and takes the
// stack down. ready gets the stack and the folder before the first test. Folders,
// ports and the log of o are given here. It returns the exit code for the package's TestMain: not 0 too when an agent of
// the stack ended by itself.
func Share(tests interface{ Run() int }, o Options, ready func(s *Stack, dir string) error) int {
	code, err := share(tests, o, ready)
	if err != nil {
		fmt.Fprintln(os.Stderr, "stack:", err)
		return 1
	}
	return code
}

func share(tests interface{ Run() int }, o Options, ready func(s *Stack, dir string) error) (code int, err error) {
	root, err := RepositoryRoot()
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "oakum-e2e-")
	if err != nil {
		return 0, err
	}
	ctx := context.Background()
	o.Dir, o.BinDir, o.PortOffset, o.Bound, o.Log = dir, filepath.Join(root, ".stack", "bin"), AnyOffset, true, os.Stderr
	s, err := Up(ctx, o)
	if err != nil {
		return 0, err
	}
	var fallen map[string]string
	if err = ready(s, dir); err == nil {
		code = tests.Run()
		fallen = s.Ended()
	}
	for name, words := range fallen {
		fmt.Fprintf(os.Stderr, "%s ended by itself; the end of its log:\n%s\n", name, words)
	}
	if e := s.Down(ctx); err == nil {
		err = e
	}
	if err == nil && len(fallen) > 0 {
		err = fmt.Errorf("%d agents of the stack ended by themselves", len(fallen))
	}
	if err != nil {
		return 0, err // what the agents left stays in dir
	}
	return code, os.RemoveAll(dir)
}
