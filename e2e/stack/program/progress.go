package program

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// reportEvery is how often a person hears of a build.
	reportEvery = 10 * time.Second
	// endWithin is how long a command may take to end when it is interrupted,
	// before it is killed.
	endWithin = 10 * time.Second
	// lastLines of what a command said are told when it failed.
	lastLines = 5
)

// meter reads what a command says, line by line, and tells how far it is.
type meter interface {
	// line is given one line; it reports whether that was about progress.
	line(text string) bool
	// far tells how far it is after some time; "" when there is nothing to tell.
	far(elapsed time.Duration) string
}

// downloads counts what go list downloads.
type downloads struct{ modules int }

func (d *downloads) line(text string) bool {
	if strings.HasPrefix(text, "go: downloading ") {
		d.modules++
		return true
	}
	return false
}

func (d *downloads) far(elapsed time.Duration) string {
	return fmt.Sprintf("%d modules downloaded in %s", d.modules, elapsed.Round(time.Second))
}

// progress tells how far go build -v is. The time that a package takes is
// about proportional to the size of its source.
type progress struct {
	bytes.Buffer // what go list says

	packages int              // of the whole program
	stale    map[string]int64 // bytes of source of what has to be compiled, by import path
	total    int64            // work: bytes to compile, and linking as so many bytes
	linking  int64            // of total
	begun    int              // packages that are compiled or being so
	done     int64            // of total
}

func newProgress() *progress { return &progress{stale: map[string]int64{}} }

// read takes over what go list has said.
func (p *progress) read() error {
	var all int64
	decoder := json.NewDecoder(&p.Buffer)
	for {
		var listed struct {
			ImportPath, Dir string
			GoFiles         []string
			Stale           bool
		}
		if err := decoder.Decode(&listed); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("read packages: %w", err)
		}
		var size int64
		for _, name := range listed.GoFiles {
			if info, err := os.Stat(filepath.Join(listed.Dir, name)); err == nil {
				size += info.Size()
			}
		}
		p.packages++
		all += size
		if listed.Stale {
			p.stale[listed.ImportPath] = size
			p.total += size
		}
	}
	p.linking = all / linkShare
	p.total += p.linking
	return nil
}

// line is given what go build -v says: the name of each package that it begins
// to compile.
func (p *progress) line(text string) bool {
	size, known := p.stale[text]
	if known {
		p.begun++
		p.done += size
	}
	return known
}

func (p *progress) far(elapsed time.Duration) string {
	if p.begun >= len(p.stale) {
		return fmt.Sprintf("linking; %s so far", elapsed.Round(time.Second))
	}
	told := fmt.Sprintf("%d of %d packages", p.begun, len(p.stale))
	if p.done == 0 || p.total == 0 {
		return told
	}
	left := time.Duration(float64(elapsed) * float64(p.total-p.done) / float64(p.done))
	return fmt.Sprintf("%s, %d %% of the work; about %s left", told, 100*p.done/p.total, left.Round(roundTo(left)))
}

// roundTo spares a person seconds of an estimate of minutes.
func roundTo(left time.Duration) time.Duration {
	if left > 2*time.Minute {
		return time.Minute / 2
	}
	return 5 * time.Second
}

// follow runs a command, tells how far it is, and returns the end of what else
// it said. When ctx ends, so do the command and all that it started.
func (p provider) follow(ctx context.Context, name string, command *exec.Cmd, m meter) (said string, err error) {
	lines := &splitter{meter: m}
	command.Stderr = lines
	if command.Stdout == nil {
		command.Stdout = lines
	}
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGINT) }
	command.WaitDelay = endWithin
	began := time.Now()
	done := make(chan error, 1)
	go func() { done <- command.Run() }()
	ticker := time.NewTicker(reportEvery)
	defer ticker.Stop()
	for {
		select {
		case err := <-done:
			return lines.rest(), err
		case <-ticker.C:
			if far := lines.far(time.Since(began)); far != "" {
				p.tell(name, "%s", far)
			}
		}
	}
}

// splitter gives lines to a meter, and keeps those that the meter has no use for.
type splitter struct {
	mu      sync.Mutex
	meter   meter
	partial []byte
	kept    []string
}

// Write takes what a command says.
func (s *splitter) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.partial = append(s.partial, text...)
	for {
		line, rest, found := bytes.Cut(s.partial, []byte("\n"))
		if !found {
			return len(text), nil
		}
		s.take(string(line))
		s.partial = rest
	}
}

func (s *splitter) take(line string) {
	if s.meter != nil && s.meter.line(line) || strings.TrimSpace(line) == "" {
		return
	}
	s.kept = append(s.kept, line)
	s.kept = s.kept[max(0, len(s.kept)-lastLines):]
}

func (s *splitter) far(elapsed time.Duration) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.meter == nil {
		return fmt.Sprintf("still at it after %s", elapsed.Round(time.Second))
	}
	return s.meter.far(elapsed)
}

func (s *splitter) rest() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.take(string(s.partial))
	s.partial = nil
	return strings.Join(s.kept, "\n")
}
