package operating

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/oakumhq/oakum/internal/audit"
	"github.com/oakumhq/oakum/internal/cli/command"
)

func auditVerify(e *command.Env) *command.Command {
	c := command.New("operator audit verify", command.Many("FILE"), "Verify the lines of an audit log", `
Reads the audit log of one server, offline, and finds the first line that was
altered, removed, moved or cut. Give the file and those that were rotated, in any
order.

    $ oakum operator audit verify /var/log/oakum/audit.log*

Lines that were removed at the very end show only by a hash that is known from
before: give with -head what an earlier run has printed. A log whose oldest files
are not kept any more is -partial.

The exit code is 2 when the log is not as it was written.`).Prints()
	head := c.Flags.String("head", "", "The `hash` of an entry that must be there.")
	partial := c.Flags.Bool("partial", false, "The log may begin with a later entry than the first.")
	c.Run = func(_ context.Context, paths []string) error {
		var files []audit.File
		for _, path := range paths {
			files = append(files, audit.File{Name: path, Open: func() (io.ReadCloser, error) { return os.Open(path) }})
		}
		report, err := audit.Verify(files, audit.Known{Head: strings.ToLower(*head), Partial: *partial})
		if fault, ok := errors.AsType[*audit.Fault](err); ok {
			return command.No("%s", fault)
		}
		if err != nil {
			return err
		}
		return e.Show(c.Out, report, func(w io.Writer) {
			fmt.Fprintf(w, "entries %d to %d are as they were written\n", report.First, report.Last)
			if report.Missed > 0 {
				fmt.Fprintf(w, "%d more were not taken by this device\n", report.Missed)
			}
			fmt.Fprintf(w, "head %s\n", report.Head)
		})
	}
	return c
}
