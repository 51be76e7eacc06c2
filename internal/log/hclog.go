package log

import (
	"bytes"
	"context"
	"io"
	stdlog "log"
	"log/slog"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// HCLog returns a logger of the kind that Raft and plugins want, which writes
// to l. Messages are put under the attribute "subsystem" when it has a name.
func HCLog(l *slog.Logger) hclog.Logger { return &adapter{base: l} }

// adapter is immutable, so that it can be shared freely.
type adapter struct {
	base *slog.Logger
	name string
	args []any
}

var _ hclog.Logger = (*adapter)(nil)

// logger is the destination with everything implied.
func (a *adapter) logger() *slog.Logger {
	l := a.base
	if a.name != "" {
		l = l.With("subsystem", a.name)
	}
	if len(a.args) > 0 {
		l = l.With(pairs(a.args)...)
	}
	return l
}

func (a *adapter) emit(level slog.Level, msg string, args []any) {
	ctx := context.Background()
	if !a.base.Enabled(ctx, level) {
		return
	}
	a.logger().Log(ctx, level, msg, pairs(args)...)
}

// Log writes a message of a level.
func (a *adapter) Log(level hclog.Level, msg string, args ...any) {
	if level != hclog.Off {
		a.emit(slogLevel(level), msg, args)
	}
}

// Trace writes a message below debug.
func (a *adapter) Trace(msg string, args ...any) { a.emit(levelTrace, msg, args) }

// Debug writes a debug message.
func (a *adapter) Debug(msg string, args ...any) { a.emit(slog.LevelDebug, msg, args) }

// Info writes an informational message.
func (a *adapter) Info(msg string, args ...any) { a.emit(slog.LevelInfo, msg, args) }

// Warn writes a warning.
func (a *adapter) Warn(msg string, args ...any) { a.emit(slog.LevelWarn, msg, args) }

// Error writes an error.
func (a *adapter) Error(msg string, args ...any) { a.emit(slog.LevelError, msg, args) }

func (a *adapter) enabled(l slog.Level) bool { return a.base.Enabled(context.Background(), l) }

// IsTrace reports whether such messages are written.
func (a *adapter) IsTrace() bool { return a.enabled(levelTrace) }

// IsDebug reports whether such messages are written.
func (a *adapter) IsDebug() bool { return a.enabled(slog.LevelDebug) }

// IsInfo reports whether such messages are written.
func (a *adapter) IsInfo() bool { return a.enabled(slog.LevelInfo) }

// IsWarn reports whether such messages are written.
func (a *adapter) IsWarn() bool { return a.enabled(slog.LevelWarn) }

// IsError reports whether such messages are written.
func (a *adapter) IsError() bool { return a.enabled(slog.LevelError) }

// ImpliedArgs returns what With added.
func (a *adapter) ImpliedArgs() []any { return slices.Clone(a.args) }

// With adds key and value pairs to every message.
func (a *adapter) With(args ...any) hclog.Logger {
	return &adapter{base: a.base, name: a.name, args: slices.Concat(a.args, args)}
}

// Name returns the subsystem.
func (a *adapter) Name() string { return a.name }

// Named puts a subsystem below the present one.
func (a *adapter) Named(name string) hclog.Logger {
	if a.name != "" {
		name = a.name + "." + name
	}
	return a.ResetNamed(name)
}

// ResetNamed replaces the subsystem.
func (a *adapter) ResetNamed(name string) hclog.Logger {
	return &adapter{base: a.base, name: name, args: a.args}
}

// SetLevel does nothing: the level belongs to whoever owns the destination.
func (a *adapter) SetLevel(hclog.Level) {}

// GetLevel returns the least level that is written.
func (a *adapter) GetLevel() hclog.Level {
	for _, l := range []hclog.Level{hclog.Trace, hclog.Debug, hclog.Info, hclog.Warn, hclog.Error} {
		if a.enabled(slogLevel(l)) {
			return l
		}
	}
	return hclog.Off
}

// StandardLogger returns a logger of the standard library's old kind.
func (a *adapter) StandardLogger(opts *hclog.StandardLoggerOptions) *stdlog.Logger {
	return stdlog.New(a.StandardWriter(opts), "", 0)
}

// StandardWriter returns a writer of whose writes each becomes a message.
func (a *adapter) StandardWriter(opts *hclog.StandardLoggerOptions) io.Writer {
	w := &lineWriter{to: a}
	if opts != nil {
		w.infer, w.force = opts.InferLevels || opts.InferLevelsWithTimestamp, opts.ForceLevel
	}
	return w
}

// lineWriter turns text lines into messages.
type lineWriter struct {
	to    *adapter
	infer bool
	force hclog.Level
}

// Write writes one message.
func (w *lineWriter) Write(text []byte) (int, error) {
	level, msg := hclog.Info, string(bytes.TrimRight(text, " \t\r\n"))
	if name, rest, ok := strings.Cut(msg, "] "); ok && w.infer && strings.HasPrefix(name, "[") {
		if l := inferred(name[1:]); l != hclog.NoLevel {
			level, msg = l, rest
		}
	}
	if w.force != hclog.NoLevel {
		level = w.force
	}
	w.to.Log(level, msg)
	return len(text), nil
}

func inferred(name string) hclog.Level {
	if name == "ERR" {
		return hclog.Error
	}
	return hclog.LevelFromString(name)
}

func slogLevel(l hclog.Level) slog.Level {
	switch l {
	case hclog.Trace:
		return levelTrace
	case hclog.Debug:
		return slog.LevelDebug
	case hclog.Warn:
		return slog.LevelWarn
	case hclog.Error:
		return slog.LevelError
	case hclog.NoLevel, hclog.Info, hclog.Off:
		return slog.LevelInfo
	}
	return slog.LevelInfo
}

// pairs makes the keys of vendors look like ours, and formats the values that
// their loggers format by themselves.
func pairs(args []any) []any {
	out := make([]any, len(args))
	for i, arg := range args {
		out[i] = arg
		if i%2 == 0 {
			if key, ok := arg.(string); ok {
				out[i] = strings.ReplaceAll(strings.ReplaceAll(key, "-", "_"), " ", "_")
			}
			continue
		}
		if f, ok := arg.(hclog.Format); ok && len(f) > 0 {
			out[i] = formatted(f)
		}
	}
	return out
}
