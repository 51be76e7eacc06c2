package log_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/oakumhq/oakum/internal/log"
	"github.com/shoenig/test/must"
)

func TestNewRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	_, err := log.New(&bytes.Buffer{}, "loud", "text")
	must.ErrorContains(t, err, `log level "loud"`)
	_, err = log.New(&bytes.Buffer{}, "info", "xml")
	must.ErrorContains(t, err, `log format "xml"`)
}

func TestHCLogWritesThroughSlog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	base, err := log.New(&out, "debug", "text")
	must.NoError(t, err)
	l := log.HCLog(base).Named("raft").With("server-id", "a")
	l.Info("started", "last-index", 7, "address", hclog.Fmt("%s:%d", "host", 1))
	l.Trace("hidden")
	l.Named("snapshot").Warn("old")
	line := out.String()
	for _, want := range []string{"level=INFO", "msg=started", "subsystem=raft", "server_id=a", "last_index=7", "address=host:1", "subsystem=raft.snapshot"} {
		must.StrContains(t, line, want)
	}
	must.StrNotContains(t, line, "hidden")
	must.True(t, l.IsDebug())
	must.False(t, l.IsTrace())
	must.Eq(t, hclog.Debug, l.GetLevel())
}

func TestStandardLoggersKeepTheirLevels(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := log.HCLog(slog.New(slog.NewTextHandler(&out, nil)))
	std := l.StandardLogger(&hclog.StandardLoggerOptions{InferLevels: true})
	std.Print("[WARN] disk is slow")
	std.Print("[ERR] disk is gone")
	std.Print("[1] no level")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	must.Len(t, 3, lines)
	must.StrContains(t, lines[0], `level=WARN msg="disk is slow"`)
	must.StrContains(t, lines[1], `level=ERROR msg="disk is gone"`)
	must.StrContains(t, lines[2], `level=INFO msg="[1] no level"`)
}
