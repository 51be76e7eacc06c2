package command

import (
	"flag"
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
