package log_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/log"
)

func TestAReaderGetsMoreDetailThanTheLog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l, err := log.New(&out, "info", "json")
	must.NoError(t, err)
	tap := log.TapOf(l)
	r, err := tap.Follow("debug")
	must.NoError(t, err)
	defer r.Close()
	log.HCLog(l.With("server", "a").WithGroup("g")).Named("raft").Debug("seen", "index", 7)
	l.Info("both")
	lines, lost, err := r.Next(t.Context())
	must.NoError(t, err)
	must.Zero(t, lost)
	must.Len(t, 2, lines)
	must.StrContains(t, lines[0], "level=DEBUG msg=seen server=a g.subsystem=raft g.index=7")
	must.StrContains(t, lines[1], "msg=both")
	must.StrNotContains(t, out.String(), "seen")
	must.StrContains(t, out.String(), `"msg":"both"`)

	t.Log("what was logged is remembered, what only a reader wanted is not")
	must.Len(t, 1, tap.Recent(10))
	must.SliceEmpty(t, tap.Recent(0))
}

func TestASlowReaderIsToldWhatItLost(t *testing.T) {
	t.Parallel()
	l, err := log.New(&bytes.Buffer{}, "info", "text")
	must.NoError(t, err)
	tap := log.TapOf(l)
	r, err := tap.Follow("info")
	must.NoError(t, err)
	for i := range 3000 {
		l.Info(fmt.Sprint("line-", i))
	}
	lines, lost, err := r.Next(t.Context())
	must.NoError(t, err)
	must.Eq(t, 3000, lost+len(lines))
	must.StrContains(t, lines[len(lines)-1], "line-2999")
	must.StrContains(t, tap.Recent(1)[0], "line-2999")
	must.LessEq(t, 1024, len(tap.Recent(1e6)))

	t.Log("a reader that was closed gets nothing")
	r.Close()
	l.Info("late")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, _, err = r.Next(ctx)
	must.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = tap.Follow("loud")
	must.ErrorContains(t, err, "want trace, debug")
}
