// Package host runs strategy plugins and asks them for advice. It owns their
// processes. It serves the built-in strategies in this process, through the same
// protocol over a connection in memory.
//
// Guarantees. A plugin that crashes, hangs, gives invalid advice or speaks a newer
// protocol causes an error of the call within a deadline, and nothing else; the
// caller holds. The next call starts its process again, after pauses that grow. No
// advice leaves this package unchecked. A binary runs only while its checksum is
// the pinned one, and does not see the daemon's environment.
//
// Each external plugin has the goroutines of its go-plugin client. They end with
// its process, and Close waits for them.
package host

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/plugins/internal/rules"
)

const (
	// adviseTimeout is long against the microseconds that a strategy needs and
	// short against a stage.
	adviseTimeout = 5 * time.Second
	// startTimeout covers a cold start from disk on a busy machine.
	startTimeout = 5 * time.Second
	// A plugin that fails is left alone for a second, then twice as long each
	// time, up to a minute: soon enough for a person who repairs it.
	backoffMin = time.Second
	backoffMax = time.Minute
)

// Config names one plugin binary.
type Config struct {
	Name   string // the strategy's name in policies
	Path   string // absolute
	SHA256 string // hex checksum of the binary
}

// Options configure a host. The timeouts are for tests; zero means the default.
type Options struct {
	Logger  *slog.Logger
	Plugins []Config

	AdviseTimeout time.Duration
	StartTimeout  time.Duration
	BackoffMin    time.Duration
}

// Host holds the strategies of one server.
type Host struct {
	strategies map[string]strategy
	timeout    time.Duration
}

// strategy is a running one, in this process or in its own.
type strategy interface {
	advise(ctx context.Context, view api.StrategyView) (api.Advice, error)
	info() api.PluginInfo
	close() error
}

// New starts the built-in strategies and every configured plugin. It returns no
// error when a plugin does not start: List shows the reason, and the next call
// tries again. It returns an error when the options can't work.
func New(ctx context.Context, o Options) (*Host, error) {
	o.AdviseTimeout = cmp.Or(o.AdviseTimeout, adviseTimeout)
	o.StartTimeout = cmp.Or(o.StartTimeout, startTimeout)
	o.BackoffMin = cmp.Or(o.BackoffMin, backoffMin)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}

	h := &Host{strategies: make(map[string]strategy), timeout: o.AdviseTimeout}
	for _, s := range builtins() {
		b, err := startBuiltin(ctx, s)
		if err != nil {
			return nil, errors.Join(err, h.Close())
		}
		h.strategies[b.described.Name] = b
	}
	for i, c := range o.Plugins {
		if err := h.add(ctx, c, o); err != nil {
			err.Message = fieldPath(i, c) + ": " + err.Message
			return nil, errors.Join(err, h.Close())
		}
	}
	return h, nil
}

// add checks one plugin's configuration and tries to start it.
func (h *Host) add(ctx context.Context, c Config, o Options) *api.Error {
	if err := rules.CheckName(c.Name); err != nil {
		return api.AsError(err)
	}
	if known, ok := h.strategies[c.Name]; ok {
		if known.info().Builtin {
			return api.Errorf(api.CodeInvalid, "a built-in strategy has this name")
		}
		return api.Errorf(api.CodeInvalid, "the name is configured twice")
	}
	e, err := newExternal(c, o)
	if err != nil {
		return api.AsError(err)
	}
	h.strategies[c.Name] = e
	if err := e.try(ctx); err != nil {
		o.Logger.Warn("strategy plugin does not start", "plugin", c.Name, "path", c.Path, "error", err)
	}
	return nil
}

// Advise asks a strategy what comes next and checks what it proposes. An error
// says why there is no advice; the caller holds.
func (h *Host) Advise(ctx context.Context, name string, view api.StrategyView) (api.Advice, error) {
	s, ok := h.strategies[name]
	if !ok {
		return api.Advice{}, api.Errorf(api.CodeNotFound, "strategy %q: no such plugin; there are %v", name, h.names())
	}
	ctx, cancel := context.WithTimeoutCause(ctx, h.timeout, errHung)
	defer cancel()
	advice, err := s.advise(ctx, view)
	if err != nil {
		known := api.AsError(err)
		return api.Advice{}, api.Errorf(known.Code, "strategy %q: %s", name, known.Error())
	}
	if err := Check(view, advice); err != nil {
		return api.Advice{}, api.Errorf(api.CodeInvalid, "strategy %q %s", name, err)
	}
	return advice, nil
}

// Check reports why a proposal can't follow from the view, nil if it can.
func Check(view api.StrategyView, advice api.Advice) error {
	return rules.CheckAdvice(view, advice)
}

// Schema is what the policy block of a strategy accepts. It reports false for a
// strategy that doesn't exist, or that could never be started so far.
func (h *Host) Schema(name string) (api.ConfigSchema, bool) {
	s, ok := h.strategies[name]
	if !ok {
		return api.ConfigSchema{}, false
	}
	info := s.info()
	return info.Schema, info.Protocol != 0
}

// List describes every strategy, sorted by name.
func (h *Host) List() []api.PluginInfo {
	out := make([]api.PluginInfo, 0, len(h.strategies))
	for _, name := range h.names() {
		out = append(out, h.strategies[name].info())
	}
	return out
}

func (h *Host) names() []string {
	return slices.Sorted(maps.Keys(h.strategies))
}

// Close ends every plugin process and waits for it.
func (h *Host) Close() error {
	var errs []error
	for _, name := range h.names() {
		errs = append(errs, h.strategies[name].close())
	}
	return errors.Join(errs...)
}
