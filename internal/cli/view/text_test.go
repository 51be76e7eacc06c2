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

func TestPrintable_QuotesWhatMovesATerminal(t *testing.T) {
	for text, want := range map[string]string{
		"libssl3 µ": "libssl3 µ", "\x1b[31mred\n": `\x1b[31mred\n`, "a\u202eb": `a\u202eb`, "a\xffb": `a\xffb`, "": "",
	} {
		must.EqOp(t, want, view.Printable(text))
	}
}
