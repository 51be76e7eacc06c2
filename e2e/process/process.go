// Package process runs one Oakum server of a test as a process that can be
// started again, killed, paused and read.
package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// endTimeout is how long a process may take to end when it was asked to.
const endTimeout = 20 * time.Second

// Process is one server's process, or its absence between two starts. It is
// not safe for concurrent use, Ended aside.
type Process struct {
	log   string // file; each start appends to it
	cmd   *exec.Cmd
	ended chan struct{}
}

// New returns a process that does not run yet.
func New(log string) *Process { return &Process{log: log} }

// Launch runs argv; a nil environment is this process's own. The process is
// killed when the one that started it ends.
func (p *Process) Launch(argv, env []string) error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer log.Close()                          //nolint:errcheck // the process has a descriptor of its own
	p.cmd = exec.Command(argv[0], argv[1:]...) //nolint:noctx // it outlives the caller's context, Kill or Terminate ends it
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Env = log, log, env
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", filepath.Base(argv[0]), err)
	}
	p.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait() // killed on purpose, most of the time
		close(ended)
	}(p.cmd, p.ended)
	return nil
}

// Kill ends the process without a warning, as a crash would.
func (p *Process) Kill() { p.end(syscall.SIGKILL) }

// Terminate asks the process to end, and waits.
func (p *Process) Terminate() { p.end(syscall.SIGTERM) }

// Hangup has the process read its certificates again.
func (p *Process) Hangup() error { return p.cmd.Process.Signal(syscall.SIGHUP) }

// Pause stops the process where it stands, as a machine does that is moved or
// swaps; Resume lets it go on.
func (p *Process) Pause() error { return p.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume ends Pause.
func (p *Process) Resume() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

// PID is that of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended is closed when the process is over.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Running reports whether the process lives.
func (p *Process) Running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

func (p *Process) end(sig syscall.Signal) {
	if !p.Running() {
		return
	}
	_ = p.cmd.Process.Signal(sig) // it may have ended in between
	select {
	case <-p.ended:
	case <-time.After(endTimeout):
		_ = p.cmd.Process.Kill() // the last resort
		<-p.ended
	}
}

// Log returns what the process has written.
func (p *Process) Log() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
