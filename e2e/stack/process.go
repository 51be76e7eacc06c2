package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// termGrace is how long an agent may take to stop before it is killed; every
// one of them needs less than a second when it is well.
const termGrace = 8 * time.Second

const (
	lastLines = 8  // of a log tell why an agent is not ready
	lastWords = 80 // hold the panic that ended one
)

// process is one running agent. Started tells it from a later process that
// was given the same number.
type process struct {
	PID     int    `json:"pid"`
	Started uint64 `json:"started"` // clock ticks since boot

	done chan struct{} // closed when a child of this very process was waited for
}

// launch starts argv in a session of its own, so that neither the terminal nor
// the end of this process takes it along; in may be nil.
func launch(argv []string, dir, logPath string, in *os.File) (*process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer log.Close()                             //nolint:errcheck // the process has a descriptor of its own
	command := exec.Command(argv[0], argv[1:]...) //nolint:noctx // it must outlive every context of this process
	command.Dir = dir
	command.Stdout, command.Stderr = log, log
	if in != nil { // a nil *os.File is not a nil reader
		command.Stdin = in
	}
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// A small environment: proxies, cloud variables and other tools' addresses
	// change what agents do.
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LANG=C.UTF-8", "TZ=UTC",
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(argv[0]), err)
	}
	started, _, err := processStat(command.Process.Pid)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", filepath.Base(argv[0]), err), command.Process.Kill(), command.Wait())
	}
	p := &process{PID: command.Process.Pid, Started: started, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = command.Wait() // how it ended stands in its log
	}()
	return p, nil
}

// alive reports whether the very process still runs.
func (p *process) alive() bool {
	if p == nil {
		return false
	}
	started, state, err := processStat(p.PID)
	return err == nil && started == p.Started && state != "Z" && state != "X"
}

// end sends the signal and waits until the process is gone, killing it when it
// takes too long.
func (p *process) end(ctx context.Context, signal syscall.Signal) error {
	if !p.alive() {
		return p.reaped(ctx)
	}
	if err := syscall.Kill(p.PID, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal process %d: %w", p.PID, err)
	}
	grace, cancel := context.WithTimeout(ctx, termGrace)
	defer cancel()
	if gone(grace, p) == nil {
		return p.reaped(ctx)
	}
	if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill process %d: %w", p.PID, err)
	}
	if err := gone(ctx, p); err != nil {
		return err
	}
	return p.reaped(ctx)
}

func (p *process) reaped(ctx context.Context) error {
	if p == nil || p.done == nil {
		return nil
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for process %d: %w", p.PID, context.Cause(ctx))
	}
}

func gone(ctx context.Context, p *process) error {
	return poll(ctx, fmt.Sprintf("end of process %d", p.PID), func(context.Context) error {
		if p.alive() {
			return errors.New("it still runs")
		}
		return nil
	})
}

// processStat reads the start time and the state letter of a process.
func processStat(pid int) (started uint64, state string, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, "", fmt.Errorf("read process %d: %w", pid, err)
	}
	// The name is in brackets and may hold anything, brackets and spaces too.
	end := strings.LastIndexByte(string(text), ')')
	fields := strings.Fields(string(text[end+1:]))
	const stateField, startField = 0, 19 // fields 3 and 22 of proc(5)
	if end < 0 || len(fields) <= startField {
		return 0, "", fmt.Errorf("read process %d: unknown form of stat", pid)
	}
	started, err = strconv.ParseUint(fields[startField], 10, 64)
	if err != nil {
		return 0, "", fmt.Errorf("read process %d: %w", pid, err)
	}
	return started, fields[stateField], nil
}

// logTail returns the last lines of a log, for an error that a person reads.
func logTail(path string, lines int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "(no log)"
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n  ")
}
