package advisory

import (
	"slices"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
)

// CompareNodes holds the kernel that runs on each node against each advisory, where its
// package can be told from its release. Nobody knows what else is installed on a node: an
// advisory about anything more leaves it unknown, unless its kernel has the fault.
func CompareNodes(nodes []api.Node, advisories []Advisory, o Options) []api.Assessment {
	o.MaxAge = 0 // Nomad says now what runs
	out := []api.Assessment{}
	for i := range nodes {
		kernel := kernelOf(&nodes[i])
		for j := range advisories {
			a := advisories[j].assessNode(&kernel, o)
			a.Inventory, a.Subject = "node "+nodes[i].Name, inventory.System(&nodes[i])
			out = append(out, a)
		}
	}
	return out
}

// runningKernel is the package of the kernel that runs on a node, or why it is not known.
type runningKernel struct {
	release string // of the distribution; empty where it is not known
	unknown string
	index   *Index
}

func kernelOf(n *api.Node) runningKernel {
	inv, unknown := inventory.RunningKernel(n)
	out := runningKernel{unknown: unknown, index: NewIndex(inv)}
	if unknown == "" {
		out.release = inv.Releases[0]
	}
	return out
}

// assessNode says whether a node has the fault of an advisory.
func (a *Advisory) assessNode(kernel *runningKernel, o Options) api.Assessment {
	if !a.Withdrawn.IsZero() || len(a.ranges) == 0 {
		return a.Assess(kernel.index, o) // by the advisory alone
	}
	unknown := api.Assessment{Advisory: a.ID, Status: api.AssessmentUnknown, Reason: "nobody knows what is installed on the node"}
	if !a.aboutKernel(kernel.release) {
		return unknown
	}
	if kernel.unknown != "" {
		unknown.Reason = kernel.unknown
		return unknown
	}
	runs := a.Assess(kernel.index, o)
	switch {
	case runs.Status == api.AssessmentAffected:
		runs.Reason = "the kernel that runs has the fault: " + runs.Reason
	case runs.Status != api.AssessmentUnknown && !a.kernelOnly(kernel.release):
		return unknown
	}
	return runs
}

// aboutKernel reports whether an advisory may be about the kernel of a distribution's release.
func (a *Advisory) aboutKernel(release string) bool {
	return slices.ContainsFunc(a.ranges, func(r faultRange) bool {
		return inventory.Covers(r.Release, release) != inventory.CoverNo && inventory.NamesKernel(r.Ecosystem, r.name())
	})
}

// kernelOnly reports whether whatever an advisory says of a distribution's release is about
// the package of the kernel itself. A source package has more than the kernel.
func (a *Advisory) kernelOnly(release string) bool {
	return !slices.ContainsFunc(a.ranges, func(r faultRange) bool {
		itself := !r.either && r.unknown == "" && slices.Contains([]string{"kernel", "kernel-core", "linux-lts"}, r.Package)
		return inventory.Covers(r.Release, release) != inventory.CoverNo && !itself
	})
}
