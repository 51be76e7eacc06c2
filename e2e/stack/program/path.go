package program

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// tellWithin bounds how long a program may take to tell its version: each of
// them needs less than a second, on a busy machine a few.
const tellWithin = time.Minute

// installed is a program that was found on PATH.
type installed struct {
	path    string
	version string // as vMAJOR.MINOR.PATCH, with what follows; empty: it did not tell
}

// onPath looks a program up in the folders of PATH, but for the one that holds
// the links to what was found earlier. It returns nil when none has it.
func onPath(ctx context.Context, p Program, links string) *installed {
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if same(dir, links) {
			continue
		}
		path, err := exec.LookPath(filepath.Join(dir, p.Name))
		if err != nil {
			continue
		}
		if path, err = filepath.Abs(path); err != nil {
			continue
		}
		return &installed{path: path, version: told(ctx, path, p.tell)}
	}
	return nil
}

func same(a, b string) bool {
	left, errLeft := os.Stat(a)
	right, errRight := os.Stat(b)
	return errLeft == nil && errRight == nil && os.SameFile(left, right)
}

// told asks a program for its version; "" when it does not tell.
func told(ctx context.Context, path, argument string) string {
	ctx, cancel := context.WithTimeout(ctx, tellWithin)
	defer cancel()
	command := exec.CommandContext(ctx, path, argument)
	// Whatever it has started would keep its output open, and is ended with it.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = endWithin
	text, err := command.CombinedOutput()
	if err != nil {
		return ""
	}
	return versionIn(string(text))
}

// versionIn returns the first version that a text names.
func versionIn(text string) string {
	const number = `(?:^|[\s(])v?(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?)`
	found := regexp.MustCompile(number).FindStringSubmatch(text)
	if found == nil {
		return ""
	}
	return "v" + found[1]
}

// link makes at a link to a file, in one step.
func link(to, at string) error {
	fresh := at + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("link %s: %w", at, err)
	}
	if err := os.Symlink(to, fresh); err != nil {
		return fmt.Errorf("link %s: %w", at, err)
	}
	if err := os.Rename(fresh, at); err != nil {
		return fmt.Errorf("link %s: %w", at, err)
	}
	return nil
}
