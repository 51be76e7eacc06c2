package host

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/oakumhq/oakum/api"
)

// external is a plugin with a process of its own.
type external struct {
	config   Config
	checksum []byte
	options  Options
	logger   *slog.Logger

	// start is held while a process is started, so that calls that find none
	// start one between them.
	start sync.Mutex

	mu        sync.Mutex // guards what follows
	process   *process   // nil when none runs
	described api.PluginInfo
	failure   error // of the last start or call, nil after a good one
	failures  int   // in a row
	notBefore time.Time
	closed    bool
}

var _ strategy = (*external)(nil)

// newExternal checks what is written in the configuration.
func newExternal(c Config, o Options) (*external, error) {
	if !filepath.IsAbs(c.Path) {
		return nil, api.Errorf(api.CodeInvalid, "path %q: want an absolute path", c.Path)
	}
	sum, err := hex.DecodeString(c.SHA256)
	if err != nil || len(sum) != 32 {
		return nil, api.Errorf(api.CodeInvalid, "sha256 %q: want the 64 hex digits that `sha256sum %s` prints", c.SHA256, c.Path)
	}
	return &external{
		config:    c,
		checksum:  sum,
		options:   o,
		logger:    o.Logger.With("plugin", c.Name),
		described: api.PluginInfo{Name: c.Name, Path: c.Path, SHA256: c.SHA256},
	}, nil
}

// try starts the process if none runs.
func (e *external) try(ctx context.Context) error {
	_, err := e.ensure(ctx)
	return err
}

// ensure returns a running process. It starts one unless the last failure is too
// recent.
func (e *external) ensure(ctx context.Context) (*process, error) {
	e.start.Lock()
	defer e.start.Unlock()

	e.mu.Lock()
	p, closed, wait, failure := e.process, e.closed, time.Until(e.notBefore), e.failure
	e.mu.Unlock()
	if closed {
		return nil, api.Errorf(api.CodeUnavailable, "the plugin host is closed")
	}
	if p != nil && !p.exited() {
		return p, nil
	}
	if p != nil {
		e.drop(p, api.Errorf(api.CodeUnavailable, "the plugin's process ended"))
		e.mu.Lock()
		wait, failure = time.Until(e.notBefore), e.failure
		e.mu.Unlock()
	}
	if wait > 0 {
		return nil, api.Errorf(api.CodeUnavailable, "not started again for %s: %s", wait.Round(time.Millisecond), failure)
	}

	p, info, err := e.launch(ctx)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil || errors.Is(context.Cause(ctx), errHung) {
			e.failed(err)
		}
		return nil, err
	}
	if e.closed { // between the look above and now
		return nil, errors.Join(api.Errorf(api.CodeUnavailable, "the plugin host is closed"), p.kill())
	}
	e.process, e.described, e.failure = p, info, nil
	e.logger.Info("strategy plugin started", "version", info.Version, "path", e.config.Path)
	return p, nil
}

// launch starts a process and compares what it says with what is configured.
func (e *external) launch(ctx context.Context) (*process, api.PluginInfo, error) {
	p, info, err := launch(ctx, e.config.Path, e.checksum, e.options, e.logger)
	if err != nil {
		return nil, api.PluginInfo{}, err
	}
	if info.Name != e.config.Name {
		err := api.Errorf(api.CodeInvalid, "calls itself %q, but is configured as %q", info.Name, e.config.Name)
		return nil, api.PluginInfo{}, errors.Join(err, p.kill())
	}
	info.Path, info.SHA256 = e.config.Path, e.config.SHA256
	return p, info, nil
}

// failed records a failure; e.mu is held.
func (e *external) failed(err error) {
	e.failure = err
	pause := min(e.options.BackoffMin<<min(e.failures, 16), backoffMax)
	e.failures++
	e.notBefore = time.Now().Add(pause)
}

// drop ends a process that can't be used any more, once.
func (e *external) drop(p *process, why error) {
	e.mu.Lock()
	mine := e.process == p
	if mine {
		e.process = nil
		e.failed(why)
	}
	e.mu.Unlock()
	if mine {
		e.logger.Warn("strategy plugin failed", "error", why)
		if err := p.kill(); err != nil {
			e.logger.Warn("strategy plugin can't be ended", "error", err)
		}
	}
}

func (e *external) advise(ctx context.Context, view api.StrategyView) (api.Advice, error) {
	p, err := e.ensure(ctx)
	if err != nil {
		return api.Advice{}, err
	}
	advice, err := advise(ctx, p.client, view)
	if err != nil {
		if broken(err) {
			e.drop(p, err)
		}
		return api.Advice{}, err
	}
	e.mu.Lock()
	e.failures, e.failure = 0, nil
	e.mu.Unlock()
	return advice, nil
}

func (e *external) info() api.PluginInfo {
	e.mu.Lock()
	defer e.mu.Unlock()
	info := e.described
	info.Healthy = e.process != nil && !e.process.exited()
	switch {
	case info.Healthy:
	case e.failure != nil:
		info.Error = e.failure.Error()
	case e.process != nil:
		info.Error = "the plugin's process ended"
	}
	return info
}

func (e *external) close() error {
	e.mu.Lock()
	p := e.process
	e.process, e.closed = nil, true
	e.mu.Unlock()
	if p == nil {
		return nil
	}
	if err := p.kill(); err != nil {
		return fmt.Errorf("close plugin %q: %w", e.config.Name, err)
	}
	return nil
}
