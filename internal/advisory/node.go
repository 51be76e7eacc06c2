package advisory

import (
	"slices"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
)

// InstalledNode is a client node, and what is installed there.
type InstalledNode struct {
	api.Node
	Packages *api.Inventory // nil while nobody knows; Missing says why
}

// CompareNodes holds against each advisory what is installed on each node, and the kernel that
// runs there, where its package can be told from its release. A node is safe from an advisory
// about a kernel only when the one that runs is: a fixed one may be installed and not started.
// Of a node whose packages nobody knows, only an answer by the kernel alone is known.
func CompareNodes(nodes []InstalledNode, advisories []Advisory, o Options) []api.Assessment {
	out := []api.Assessment{}
	for i := range nodes {
		n := knownOf(&nodes[i])
		for j := range advisories {
			a := advisories[j].assessNode(&n, o)
			a.Inventory, a.Subject = "node "+nodes[i].Name, inventory.System(&nodes[i].Node)
			out = append(out, a)
		}
	}
	return out
}

// knownNode is what is known of a node.
type knownNode struct {
	release  string // of the distribution; empty where it is not known
	kernel   *Index // the package of the kernel that runs
	noKernel string // why it is not known; empty when it is
	packages *Index // nil where nobody knows them
	missing  string // why
}

func knownOf(n *InstalledNode) knownNode {
	inv, unknown := inventory.RunningKernel(&n.Node)
	out := knownNode{noKernel: unknown, kernel: NewIndex(inv), missing: "nobody knows what is installed on the node"}
	if n.Missing != "" {
		out.missing += ": " + n.Missing
	}
	releases := inv.Releases
	if n.Packages != nil {
		out.packages = NewIndex(*n.Packages)
		if unknown != "" {
			releases = n.Packages.Releases
		}
	}
	if len(releases) == 1 {
		out.release = releases[0]
	}
	return out
}

// assessNode says whether a node has the fault of an advisory.
func (a *Advisory) assessNode(n *knownNode, o Options) api.Assessment {
	now := o
	now.MaxAge = 0 // Nomad says now what runs
	if !a.Withdrawn.IsZero() || len(a.ranges) == 0 {
		return a.Assess(n.kernel, now) // by the advisory alone
	}
	installed := api.Assessment{Advisory: a.ID, Status: api.AssessmentUnknown, Reason: n.missing}
	if n.packages != nil {
		installed = a.Assess(n.packages, o)
	}
	if !a.aboutKernel(n.release) {
		return installed
	}
	running := api.Assessment{Advisory: a.ID, Status: api.AssessmentUnknown, Reason: n.noKernel}
	if n.noKernel == "" {
		running = a.Assess(n.kernel, now)
	}
	switch {
	case running.Status == api.AssessmentAffected:
		running.Reason = "the kernel that runs has the fault: " + running.Reason
		return running
	case running.Status != api.AssessmentUnknown && a.kernelOnly(n.release): // former ones may be installed beside it
		return running
	case installed.Status == api.AssessmentAffected:
		return installed
	case running.Status == api.AssessmentUnknown: // whatever is installed
		return running
	}
	return installed
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
