package patching

import (
	"context"
	"io"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/input"
	"github.com/oakumhq/oakum/internal/cli/view"
)

func complianceCommand(e *command.Env) *command.Command {
	c := command.New("compliance", command.Opt("NAME"), "Report who is affected, fixed, excepted and unknown", `
Reports for each advisory that the cluster knows from patches, or the server from its
directory, which targets are affected, unknown and why, taken out by statements, and
fixed; and how long the fixes took. NAME leaves only one advisory, or those about one
fault (CVE).

    $ oakum compliance
    $ oakum compliance -csv > compliance.csv
    $ oakum compliance -html=compliance.html CVE-2026-0001

The time to fix is from when the cluster first knew the advisory to the end of the
rollout after which the fault was gone.

The exit code is 2 when a target is affected, and 3 when none is known to be and some
are unknown.`).Remote().Reads().Prints()
	asCSV := c.Flags.Bool("csv", false, "Print a table for programs, as CSV.")
	page := c.Flags.String("html", "", "Write one self-contained HTML page to this `file`, and print nothing.")
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		if (*asCSV && *page != "") || ((*asCSV || *page != "") && c.Out.Machine()) {
			return command.Usage("-csv, -html, -json and -t: give one of them")
		}
		report, err := askCompliance(ctx, cl, args, c.Query())
		if err != nil {
			return err
		}
		switch {
		case *asCSV:
			err = view.ComplianceCSV(e.Stdout, report)
		case *page != "":
			err = input.Replace(*page, func(w io.Writer) error { return view.CompliancePage(w, report) })
		default:
			err = e.Show(c.Out, report, func(w io.Writer) { view.Compliance(w, report) })
		}
		if err != nil {
			return err
		}
		return complianceAnswer(report)
	})
	return c
}

func askCompliance(ctx context.Context, cl *client.Client, args []string, q client.Query) (api.Compliance, error) {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	report, _, err := cl.Compliance(ctx, name, q)
	return report, err
}

// complianceAnswer is the exit code: what can't be read may hold anything.
func complianceAnswer(report api.Compliance) error {
	affected, unknown := 0, len(report.Unread)+len(report.Problems)
	for i := range report.Advisories {
		affected += report.Advisories[i].Affected
		unknown += report.Advisories[i].Unknown
	}
	switch {
	case affected > 0:
		return command.No("")
	case unknown > 0:
		return command.Unknown{}
	}
	return nil
}

func vulnerabilityList(e *command.Env) *command.Command {
	c := command.New("vulnerability list", command.None(), "List the faults that patches fix and advisories name", `
Lists the faults that patches in the cluster fix, and those of the server's directory of
advisories, by their CVE names, with what is known of exploits and how many targets
are affected, unknown, taken out by statements, and fixed.`).Remote().Reads().Prints()
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		report, err := askCompliance(ctx, cl, args, c.Query())
		if err != nil {
			return err
		}
		return e.Show(c.Out, report.Vulnerabilities, func(w io.Writer) { view.Vulnerabilities(w, report) })
	})
	return c
}

func vulnerabilityShow(e *command.Env) *command.Command {
	c := command.New("vulnerability show", command.One("CVE"), "Show where a fault is, and where it is fixed", `
Shows one fault: which advisories and patches are about it, and which targets are
affected, unknown, taken out by statements, and fixed, with the reasons. CVE may be the
ID of an advisory, too.

The exit code is 2 when a target is affected, and 3 when none is known to be and some
are unknown.`).Remote().Reads().Prints()
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		report, err := askCompliance(ctx, cl, args, c.Query())
		if err != nil {
			return err
		}
		if err := e.Show(c.Out, report, func(w io.Writer) { view.Vulnerability(w, report) }); err != nil {
			return err
		}
		return complianceAnswer(report)
	})
	return c
}
