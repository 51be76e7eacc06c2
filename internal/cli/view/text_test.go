package view_test

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/cli/view"
)

func TestAmount_AndSpanAreReadable(t *testing.T) {
	for want, got := range map[string]string{
		"212 ms": view.Amount(0.212, "seconds"), "1.5 s": view.Amount(1.5, "s"), "90 µs": view.Amount(0.00009, "s"),
		"64 MiB": view.Amount(64<<20, "bytes"), "1.2 %": view.Amount(0.012, "ratio"), "0.25 cores": view.Amount(0.25, "cores"),
		"1m30s": view.Span(90 * time.Second), "2h5m": view.Span(125 * time.Minute), "3d1h": view.Span(73 * time.Hour), "0s": view.Span(-1),
	} {
		must.EqOp(t, want, got)
	}
}
