package patching

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/advisory"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/input"
	"github.com/oakumhq/oakum/internal/cli/view"
)

// affectedFlags are what the command line names beside the patch or the advisories.
type affectedFlags struct {
	inventories, vex []string
	nodes            bool
	kev, epss        string
	maxAge           time.Duration
}

func patchAffected(e *command.Env) *command.Command {
	c := command.New("patch affected", command.Many("FILE"), "Show who has the fault", `
Compares inventories with what a patch says of the fault that it fixes (its blocks
affects, its advisory and its vex), or with OSV documents. It shows which inventories
are affected, by which package at which version; which are not, and why; and which are
unknown, and why. With -nodes it asks the cluster for the client nodes of Nomad, and
compares what is installed on each and the kernel that runs there; without it, nothing
is contacted.

    $ oakum patch affected openssl.hcl -inventory=sboms
    $ oakum patch affected DSA-5678-1.json -inventory=web.cdx.json -vex=web.vex.json
    $ oakum patch affected DSA-5678-1.json -nodes

The exit code is 2 when an inventory is affected, and 3 when none is known to be and
some are unknown.`).Remote().Reads().Prints()
	f := &affectedFlags{}
	c.Flags.Var((*command.List)(&f.inventories), "inventory", "A `file`, or a directory of *.json files, with what is installed. May be given several times.")
	c.Flags.BoolVar(&f.nodes, "nodes", false, "Compare the client nodes of Nomad, too.")
	c.Flags.Var((*command.List)(&f.vex), "vex", "A `file` of statements (OpenVEX, CycloneDX) about who is not affected. May be given several times.")
	c.Flags.StringVar(&f.kev, "kev", "", "A `file` with the catalogue of exploited faults (KEV), as JSON.")
	c.Flags.StringVar(&f.epss, "epss", "", "A `file` with the probabilities of exploits (EPSS), as CSV.")
	c.Flags.DurationVar(&f.maxAge, "max-age", 0, "The `age` from which on an inventory does not count as safe, such as 720h. Default: any age counts.")
	c.Run = func(ctx context.Context, args []string) error {
		var nodes []advisory.InstalledNode
		if f.nodes {
			cl, err := c.Dial(e)
			if err != nil {
				return err
			}
			defer cl.Close()
			if nodes, err = installedNodes(ctx, cl, c.Query()); err != nil {
				return err
			}
			if len(nodes) == 0 {
				return api.Errorf(api.CodeNotFound, "nodes: Nomad has no client node to compare")
			}
		}
		report, err := affected(e, f, nodes, args)
		if err != nil {
			return err
		}
		if err := e.Show(c.Out, report, func(w io.Writer) { view.Affected(w, report, e.Now()) }); err != nil {
			return err
		}
		is := func(status api.AssessmentStatus) bool {
			return slices.ContainsFunc(report.Assessments, func(a api.Assessment) bool { return a.Status == status })
		}
		switch {
		case is(api.AssessmentAffected):
			return command.No("")
		case is(api.AssessmentUnknown):
			return command.Unknown{}
		}
		return nil
	}
	return c
}

// installedNodes asks for the client nodes, and for what is installed on each. Many have the
// same packages.
func installedNodes(ctx context.Context, cl *client.Client, q client.Query) ([]advisory.InstalledNode, error) {
	nodes, _, err := cl.Nodes(ctx, q)
	if err != nil {
		return nil, err
	}
	out, read := make([]advisory.InstalledNode, len(nodes)), map[string]api.Inventory{}
	for i, n := range nodes {
		out[i].Node = n
		if n.Record == nil || n.Missing != "" {
			continue
		}
		inv, have := read[n.Record.Hash]
		if !have {
			if inv, _, err = cl.Inventory(ctx, n.Record.Of, n.Record.Hash, q); err != nil {
				return nil, err
			}
			read[n.Record.Hash] = inv
		}
		inv.Source, inv.Format, inv.TakenAt = n.Record.Source, n.Record.Format, n.Record.TakenAt
		out[i].Packages = &inv
	}
	return out, nil
}

func affected(e *command.Env, f *affectedFlags, nodes []advisory.InstalledNode, args []string) (api.AffectedReport, error) {
	switch {
	case len(f.inventories) == 0 && !f.nodes:
		return api.AffectedReport{}, command.Usage("-inventory: want at least one file or directory, or -nodes")
	case f.maxAge < 0:
		return api.AffectedReport{}, command.Usage("-max-age: want an age such as 720h, not %s", f.maxAge)
	}
	advisories, own, err := input.Advisories(args, e.Stdin)
	if err != nil {
		return api.AffectedReport{}, err
	}
	if err := input.Rank(advisories, f.kev, f.epss); err != nil {
		return api.AffectedReport{}, err
	}
	statements, err := input.Statements(f.vex)
	if err != nil {
		return api.AffectedReport{}, err
	}
	inventories, err := input.Inventories(f.inventories)
	if err != nil {
		return api.AffectedReport{}, err
	}
	options := advisory.Options{Now: e.Now(), MaxAge: f.maxAge, Statements: append(own, statements...)}
	report := advisory.Compare(inventories, advisories, options)
	report.Assessments = append(report.Assessments, advisory.CompareNodes(nodes, advisories, options)...)
	return report, nil
}
