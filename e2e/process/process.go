// Package process runs one Oakum server of a test as a process that can be
// started again, killed, paused and read.
package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// endTimeout is how long a process may take to end when it was asked to.
const endTimeout = 20 * time.Second

// Process is one server's process, or its absence between two starts. Several
// goroutines may use it: one asks while another kills.
type Process struct {
	log string // file; each start appends to it

	mu    sync.Mutex
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
	defer log.Close()                         //nolint:errcheck // the process has a descriptor of its own
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx // it outlives the caller's context, Kill or Terminate ends it
	cmd.Stdout, cmd.Stderr, cmd.Env = log, log, env
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", filepath.Base(argv[0]), err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // killed on purpose, most of the time
		close(ended)
	}()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cmd, p.ended = cmd, ended
	return nil
}

// now is the process that was started last, nil before the first start.
func (p *Process) now() (cmd *exec.Cmd, ended <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd, p.ended
}

func (p *Process) signal(sig syscall.Signal) error {
	cmd, _ := p.now()
	return cmd.Process.Signal(sig)
}

// Kill ends the process without a warning, as a crash would.
func (p *Process) Kill() { p.end(syscall.SIGKILL) }

// Terminate asks the process to end, and waits.
func (p *Process) Terminate() { p.end(syscall.SIGTERM) }

// Hangup has the process read its certificates again.
func (p *Process) Hangup() error { return p.signal(syscall.SIGHUP) }

// Pause stops the process where it stands, as a machine does that is moved or
// swaps; Resume lets it go on.
func (p *Process) Pause() error { return p.signal(syscall.SIGSTOP) }

// Resume ends Pause.
func (p *Process) Resume() error { return p.signal(syscall.SIGCONT) }

// PID is that of the process.
func (p *Process) PID() int {
	cmd, _ := p.now()
	return cmd.Process.Pid
}

// Ended is closed when the process is over.
func (p *Process) Ended() <-chan struct{} {
	_, ended := p.now()
	return ended
}

// Running reports whether the process lives.
func (p *Process) Running() bool {
	cmd, ended := p.now()
	if cmd == nil {
		return false
	}
	select {
	case <-ended:
		return false
	default:
		return true
	}
}

func (p *Process) end(sig syscall.Signal) {
	if !p.Running() {
		return
	}
	cmd, ended := p.now()
	_ = cmd.Process.Signal(sig) // it may have ended in between
	select {
	case <-ended:
	case <-time.After(endTimeout):
		_ = cmd.Process.Kill() // the last resort
		<-ended
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

// Tail returns the last lines of the log.
func (p *Process) Tail(lines int) string {
	all := strings.Split(strings.TrimSpace(p.Log()), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
