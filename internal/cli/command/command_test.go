package command

import (
	"bytes"
	"flag"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

func TestParse_TakesFlagsAnywhere(t *testing.T) {
	for _, args := range [][]string{
		{"-note=x", "a", "b"}, {"a", "-note", "x", "b"}, {"a", "b", "-note=x"}, {"a", "-note=x", "--", "b"},
	} {
		flags := flag.NewFlagSet("x", flag.ContinueOnError)
		note := flags.String("note", "", "")
		rest, err := parse(flags, args)
		must.NoError(t, err)
		must.Eq(t, []string{"a", "b"}, rest)
		must.EqOp(t, "x", *note)
	}
	flags := flag.NewFlagSet("x", flag.ContinueOnError)
	rest, err := parse(flags, []string{"--", "-a"})
	must.NoError(t, err)
	must.Eq(t, []string{"-a"}, rest)
}

func TestNewEnv_PrintsNothingThatMovesACursor(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	e := NewEnv(Options{Stdout: &out, Stderr: &errs})
	e.Printf("note: \x1b]0;owned\x07\x1b[2J%s\u202e\u0085, tab\tand line\nü", "\r")
	e.Warnf("\x1b[31m")
	must.EqOp(t, "note: \ufffd]0;owned\ufffd\ufffd[2J\ufffd\ufffd\ufffd, tab\tand line\nü", out.String())
	must.EqOp(t, "\ufffd[31m", errs.String())
	out.Reset()
	for _, b := range []byte("\u009b31mé") { // a sequence that comes in pieces
		_, err := e.Stdout.Write([]byte{b})
		must.NoError(t, err)
	}
	must.EqOp(t, "\ufffd31mé", out.String())
	must.False(t, strings.ContainsRune(out.String(), 0x9b))
}
