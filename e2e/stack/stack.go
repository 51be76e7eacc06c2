package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Folders and files of a stack's directory.
const (
	configDir   = "config"
	dataDir     = "data"
	logDir      = "log"
	secretsDir  = "secrets"
	targetsDir  = "targets" // Prometheus reads *.json here (file_sd)
	describedIn = "stack.json"
	pidsIn      = "pids.json"
	// servicesFile, below data, lists the services for Prometheus.
	servicesFile = "services.json"
)

// Names of the components; clients are ClientName(1) and so on.
const (
	Consul         = "consul"
	Vault          = "vault"
	StatsdExporter = "statsd_exporter"
	Prometheus     = "prometheus"
	DiscoveryName  = "discovery"
	NomadServer    = "nomad-server"
	Dockerd        = "dockerd" // only with Options.Containers
)

// ClientName is the component name of the i-th Nomad client, from 1.
func ClientName(i int) string { return fmt.Sprintf("nomad-client-%d", i) }

// upTimeout bounds Up: a stack is ready in about five seconds on two idle
// cores, and several may start at once beside builds.
const upTimeout = 5 * time.Minute

// roomMin is what must be free where a stack is to live. An empty one writes 90
// MB, and the shop with its machines ten times as much within an hour.
const roomMin = 1 << 30

// readyTimeout bounds how long one component may take to answer.
const readyTimeout = 2 * time.Minute

// Stack is one running stack.
type Stack struct {
	mu        sync.Mutex
	described description
	running   map[string]*process
	leash     *os.File // held for as long as this process lives; nil unless Bound
	log       io.Writer
}

// description is what another process needs to open the stack.
type description struct {
	Options    Options           `json:"options"`
	Secrets    secrets           `json:"secrets"`
	Components []component       `json:"components"` // in the order in which they start
	Files      map[string]string `json:"files"`      // credentials of the callers, by name
}

// component is one agent and the command that runs it.
type component struct {
	Name string   `json:"name"`
	Argv []string `json:"argv"`
}

// secrets are made anew for each stack.
type secrets struct {
	ConsulManagement string `json:"consul_management"`
	ConsulNomad      string `json:"consul_nomad"`
	ConsulPrometheus string `json:"consul_prometheus"`
	ConsulMesh       string `json:"consul_mesh"`
	NomadBootstrap   string `json:"nomad_bootstrap"`
	VaultRoot        string `json:"vault_root"`
	VaultUnseal      string `json:"vault_unseal"`
	Alice            string `json:"alice"`
	Eve              string `json:"eve"`
}

// Up starts a new stack and returns when every part of it answers and every
// identity exists. A directory that holds a dead stack is swept and used anew;
// one that holds a living stack is refused. When Up fails it takes down what
// it started and leaves the logs.
func Up(ctx context.Context, options Options) (*Stack, error) {
	options, err := options.complete()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, upTimeout, fmt.Errorf("the stack was not up after %s", upTimeout))
	defer cancel()
	began := time.Now()
	if os.Geteuid() != 0 {
		return nil, errors.New("start stack: Nomad's clients mount folders and set limits: run this as root")
	}
	if err := options.checkBinaries(); err != nil {
		return nil, fmt.Errorf("start stack: %w", err)
	}
	if err := prepare(ctx, options); err != nil {
		return nil, fmt.Errorf("start stack: %w", err)
	}
	offset, unlock, err := reserve(options.PortOffset, options.Clients)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start stack: %w", err), tidy(ctx, options.Dir))
	}
	defer unlock()
	options.PortOffset = offset
	s := &Stack{
		described: description{Options: options, Secrets: newSecrets(), Files: map[string]string{}},
		running:   map[string]*process{},
		log:       options.Log,
	}
	if err := s.start(ctx); err != nil {
		down, stop := context.WithTimeout(context.WithoutCancel(ctx), upTimeout)
		defer stop()
		return nil, errors.Join(fmt.Errorf("start stack: %w", err), s.Down(down))
	}
	s.say("stack is up after %.1f s: %s", time.Since(began).Seconds(), options.Dir)
	return s, nil
}

// Open returns the stack that another process started in dir.
func Open(dir string) (*Stack, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open stack: %w", err)
	}
	s := &Stack{running: map[string]*process{}, log: io.Discard}
	err = readJSON(filepath.Join(dir, describedIn), &s.described)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open stack: there is none in %s: start one (stack up -dir=%[1]s)", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("open stack: %w: end what is left of it (stack down -dir=%s)", err, dir)
	}
	if err := readJSON(filepath.Join(dir, pidsIn), &s.running); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open stack: %w", err)
	}
	s.described.Options.Dir = dir
	return s, nil
}

// prepare makes the directory ready for a new stack.
func prepare(ctx context.Context, options Options) error {
	if old, err := Open(options.Dir); err == nil {
		if name := old.firstAlive(); name != "" {
			return fmt.Errorf("a stack already runs in %s (%s): take it down (stack down -dir=%s), or start this one in another -dir", options.Dir, name, options.Dir)
		}
	}
	if err := wipe(ctx, options.Dir); err != nil {
		return err
	}
	for _, sub := range []string{configDir, dataDir, logDir, secretsDir, targetsDir} {
		if err := os.MkdirAll(filepath.Join(options.Dir, sub), 0o755); err != nil {
			return fmt.Errorf("make directory: %w", err)
		}
	}
	if err := checkRoom(options.Dir); err != nil {
		return errors.Join(err, tidy(ctx, options.Dir))
	}
	return nil
}

// tidy leaves nothing of a stack that was never started but the logs of an
// earlier one.
func tidy(ctx context.Context, dir string) error {
	err := wipe(ctx, dir)
	_, _ = os.Remove(filepath.Join(dir, logDir)), os.Remove(dir) // what holds something stays
	return err
}

// checkRoom refuses a disk that a stack would fill before it is up: agents that
// can't write fail in ways that don't tell why.
func checkRoom(dir string) error {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return fmt.Errorf("look at the disk of %s: %w", dir, err)
	}
	if free := disk.Bavail * uint64(disk.Bsize); free < roomMin {
		return fmt.Errorf("the disk of %s is full (%d MB are left): make room for %d MB there, or start the stack in another -dir or with another TMPDIR",
			dir, free>>20, roomMin>>20)
	}
	return nil
}

// wipe ends what is left of a stack in dir and removes its state. Logs stay.
func wipe(ctx context.Context, dir string) error {
	if err := sweepProcesses(ctx, dir); err != nil {
		return err
	}
	if err := sweepMounts(dir); err != nil {
		return err
	}
	sweepCgroups(dir)
	for _, name := range []string{configDir, dataDir, secretsDir, targetsDir, describedIn, pidsIn} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("remove state: %w", err)
		}
	}
	return nil
}

// Components lists the names of the agents in the order in which they started.
func (s *Stack) Components() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, c := range s.described.Components {
		names = append(names, c.Name)
	}
	return names
}

// Offset is what was added to every default port.
func (s *Stack) Offset() int { return s.described.Options.PortOffset }

// Running reports whether a component's process lives, and its process number.
func (s *Stack) Running(name string) (pid int, running bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.running[name]
	if !p.alive() {
		return 0, false
	}
	return p.PID, true
}

// Ended lists the components that have ended although nobody stopped them, with
// the end of each one's log.
func (s *Stack) Ended() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	fallen := map[string]string{}
	for name, p := range s.running {
		if !p.alive() {
			fallen[name] = logTail(s.LogPath(name), lastWords)
		}
	}
	return fallen
}

// LogPath is the log of a component.
func (s *Stack) LogPath(name string) string { return s.path(logDir, name+".log") }

// Stop ends one component as an operator would. Its state stays, and the tasks
// of a Nomad client go on running.
func (s *Stack) Stop(ctx context.Context, name string) error {
	return s.end(ctx, name, syscall.SIGTERM)
}

// Kill ends one component as a power cut would.
func (s *Stack) Kill(ctx context.Context, name string) error {
	return s.end(ctx, name, syscall.SIGKILL)
}

func (s *Stack) end(ctx context.Context, name string, signal syscall.Signal) error {
	if !slices.Contains(s.Components(), name) {
		return fmt.Errorf("stop %s: no such component; there are %s", name, strings.Join(s.Components(), ", "))
	}
	s.mu.Lock()
	p := s.running[name]
	s.mu.Unlock()
	if err := p.end(ctx, signal); err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, name)
	return s.savePIDs()
}

// Start runs a stopped component again on its state and returns when it
// answers. A component that runs is left alone.
func (s *Stack) Start(ctx context.Context, name string) error {
	s.mu.Lock()
	at := slices.IndexFunc(s.described.Components, func(c component) bool { return c.Name == name })
	if at < 0 {
		s.mu.Unlock()
		return fmt.Errorf("start %s: no such component; there are %s", name, strings.Join(s.Components(), ", "))
	}
	c := s.described.Components[at]
	s.mu.Unlock()
	if err := s.run(ctx, c); err != nil {
		return err
	}
	return s.ready(ctx, name)
}

// run starts a component's process unless it lives.
func (s *Stack) run(_ context.Context, c component) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[c.Name].alive() {
		return nil
	}
	p, err := launch(c.Argv, s.path(), s.LogPath(c.Name), nil)
	if err != nil {
		return fmt.Errorf("start %s: %w", c.Name, err)
	}
	s.running[c.Name] = p
	return s.savePIDs()
}

// add describes a new component, starts it and waits until it answers.
func (s *Stack) add(ctx context.Context, c component) error {
	s.mu.Lock()
	s.described.Components = append(s.described.Components, c)
	err := s.save()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if err := s.run(ctx, c); err != nil {
		return err
	}
	return s.ready(ctx, c.Name)
}

// await polls until try succeeds, and gives up at once when the component's
// process has ended.
func (s *Stack) await(ctx context.Context, name string, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, fmt.Errorf("not ready after %s", readyTimeout))
	defer cancel()
	err := poll(ctx, name, func(ctx context.Context) error {
		if _, running := s.Running(name); !running {
			return &stopError{errors.New("its process ended")}
		}
		return try(ctx)
	})
	if err != nil {
		return fmt.Errorf("%w; the end of %s:\n  %s", err, s.LogPath(name), logTail(s.LogPath(name), lastLines))
	}
	return nil
}

func (s *Stack) firstAlive() string {
	for _, name := range s.Components() {
		if _, running := s.Running(name); running {
			return name
		}
	}
	return ""
}

func (s *Stack) path(parts ...string) string {
	return filepath.Join(append([]string{s.described.Options.Dir}, parts...)...)
}

func (s *Stack) ports() Ports { return PortsAt(s.described.Options.PortOffset) }

func (s *Stack) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.log, format+"\n", args...)
}

// save writes the description; the caller holds the lock.
func (s *Stack) save() error { return writeJSON(s.path(describedIn), s.described) }

// savePIDs writes the process list; the caller holds the lock.
func (s *Stack) savePIDs() error { return writeJSON(s.path(pidsIn), s.running) }

// writeJSON replaces a file in one step, so that a reader never sees half.
func writeJSON(path string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func readJSON(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
