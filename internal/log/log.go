// Package log makes the daemon's logger and lends it to libraries that bring
// another kind of their own.
package log

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// levelTrace is below debug: what libraries say about each of their steps.
const levelTrace = slog.LevelDebug - 4

// New returns a logger that writes messages of a level ("trace", "debug",
// "info", "warn", "error") and above, in a format ("text" or "json").
func New(w io.Writer, level, format string) (*slog.Logger, error) {
	least, err := parseLevel(level)
	if err != nil {
		return nil, err
	}
	opts := &slog.HandlerOptions{Level: least, ReplaceAttr: nameTrace}
	switch format {
	case "", "text":
		return slog.New(newTapped(slog.NewTextHandler(w, opts))), nil
	case "json":
		return slog.New(newTapped(slog.NewJSONHandler(w, opts))), nil
	}
	return nil, fmt.Errorf("log format %q: want text or json", format)
}

func parseLevel(level string) (slog.Level, error) {
	switch level {
	case "trace":
		return levelTrace, nil
	case "debug":
		return slog.LevelDebug, nil
	case "", "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("log level %q: want trace, debug, info, warn or error", level)
}

// nameTrace writes TRACE where slog would write DEBUG-4.
func nameTrace(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.LevelKey && a.Value.Any() == levelTrace {
		return slog.String(slog.LevelKey, "TRACE")
	}
	return a
}

// formatted writes out a value that is a format and its arguments.
func formatted(f hclog.Format) string {
	format, ok := f[0].(string)
	if !ok {
		return fmt.Sprint(f...)
	}
	return fmt.Sprintf(format, f[1:]...)
}
