package host

import (
	"context"
	"io"
	"log"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// hcLog hands what go-plugin and a plugin's standard error say to slog. The
// library logs its own life at debug and trace; those stay at debug.
type hcLog struct {
	logger *slog.Logger
	name   string
	args   []any
}

var _ hclog.Logger = (*hcLog)(nil)

func newHCLog(logger *slog.Logger) *hcLog { return &hcLog{logger: logger} }

// Log writes one line at the given level.
func (l *hcLog) Log(level hclog.Level, msg string, args ...any) {
	at := slog.LevelDebug
	switch level {
	case hclog.Info:
		at = slog.LevelInfo
	case hclog.Warn:
		at = slog.LevelWarn
	case hclog.Error:
		at = slog.LevelError
	case hclog.NoLevel, hclog.Trace, hclog.Debug, hclog.Off:
	}
	l.logger.Log(context.Background(), at, msg, append(append([]any{}, l.args...), args...)...)
}

// Trace writes at debug.
func (l *hcLog) Trace(msg string, args ...any) { l.Log(hclog.Trace, msg, args...) }

// Debug writes at debug.
func (l *hcLog) Debug(msg string, args ...any) { l.Log(hclog.Debug, msg, args...) }

// Info writes at info.
func (l *hcLog) Info(msg string, args ...any) { l.Log(hclog.Info, msg, args...) }

// Warn writes at warn.
func (l *hcLog) Warn(msg string, args ...any) { l.Log(hclog.Warn, msg, args...) }

// Error writes at warn: a plugin's trouble is not the daemon's, which goes on.
func (l *hcLog) Error(msg string, args ...any) { l.Log(hclog.Warn, msg, args...) }

// IsTrace is false, so that the library does not prepare what nobody reads.
func (l *hcLog) IsTrace() bool { return false }

// IsDebug asks the logger.
func (l *hcLog) IsDebug() bool { return l.enabled(slog.LevelDebug) }

// IsInfo asks the logger.
func (l *hcLog) IsInfo() bool { return l.enabled(slog.LevelInfo) }

// IsWarn asks the logger.
func (l *hcLog) IsWarn() bool { return l.enabled(slog.LevelWarn) }

// IsError asks the logger.
func (l *hcLog) IsError() bool { return l.enabled(slog.LevelError) }

func (l *hcLog) enabled(level slog.Level) bool { return l.logger.Enabled(context.Background(), level) }

// ImpliedArgs are the pairs that every line carries.
func (l *hcLog) ImpliedArgs() []any { return l.args }

// With adds pairs to every line.
func (l *hcLog) With(args ...any) hclog.Logger {
	return &hcLog{logger: l.logger, name: l.name, args: append(append([]any{}, l.args...), args...)}
}

// Name is the library's name for the logger; slog lines carry the plugin instead.
func (l *hcLog) Name() string { return l.name }

// Named keeps the name without writing it.
func (l *hcLog) Named(name string) hclog.Logger {
	return &hcLog{logger: l.logger, name: name, args: l.args}
}

// ResetNamed does as Named.
func (l *hcLog) ResetNamed(name string) hclog.Logger { return l.Named(name) }

// SetLevel does nothing: slog's handler decides.
func (l *hcLog) SetLevel(hclog.Level) {}

// GetLevel is the least level that slog's handler takes.
func (l *hcLog) GetLevel() hclog.Level {
	switch {
	case l.IsDebug():
		return hclog.Debug
	case l.IsInfo():
		return hclog.Info
	case l.IsWarn():
		return hclog.Warn
	}
	return hclog.Error
}

// StandardLogger is a standard library logger on the same lines.
func (l *hcLog) StandardLogger(o *hclog.StandardLoggerOptions) *log.Logger {
	return log.New(l.StandardWriter(o), "", 0)
}

// StandardWriter is a writer whose lines become debug lines.
func (l *hcLog) StandardWriter(*hclog.StandardLoggerOptions) io.Writer {
	return slog.NewLogLogger(l.logger.Handler(), slog.LevelDebug).Writer()
}
