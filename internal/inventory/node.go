package inventory

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

const (
	// nodeMaxAge is the age from which an inventory of a node counts no more, where nobody has
	// said another: what is installed on a node changes without anybody telling Nomad.
	nodeMaxAge = 48 * time.Hour
	// NodeDriver is the task driver by which nodes are read.
	NodeDriver = "raw_exec"
)

// OfNode is what an inventory of a client node describes, by the node's ID.
func OfNode(id string) string { return api.NodeInventory + id }

// IsNode reports whether what an inventory describes is a client node.
func IsNode(of string) bool { return strings.HasPrefix(of, api.NodeInventory) }

// NodeMaxAge is the age from which an inventory of a node counts no more. most is the agent's
// age for all inventories, and zero where it has none.
func NodeMaxAge(most time.Duration) time.Duration { return cmp.Or(most, nodeMaxAge) }

// Unreadable says why a node can't be read now; "" when it can.
func Unreadable(n *api.Node) string {
	switch {
	case n.Status != "ready":
		return "the node is " + cmp.Or(n.Status, "in no known state")
	case n.Ineligible:
		return "Nomad places nothing new on the node"
	case !slices.Contains(n.Drivers, NodeDriver):
		return "the driver " + NodeDriver + " does not work on the node"
	}
	return ""
}

// FindNodes returns nodes with the inventory of each, and why nobody knows what is installed
// there now: it was never read, the last reading has failed, or is too old.
func FindNodes(nodes []api.Node, kept Kept, readings []api.InventoryReading, most time.Duration, now time.Time) []api.Node {
	byOf := map[string]api.InventoryReading{}
	for _, r := range readings {
		byOf[r.Of] = r
	}
	out := slices.Clone(nodes)
	for i := range out {
		n := &out[i]
		of := OfNode(n.ID)
		for _, r := range kept[of] {
			if r.Origin == api.InventoryNode && (n.Record == nil || n.Record.PutAt.Before(r.PutAt)) {
				n.Record = &r
			}
		}
		n.Missing = missingOn(n, byOf[of], NodeMaxAge(most), now)
	}
	return out
}

// missingOn is why nobody knows what is installed on a node now.
func missingOn(n *api.Node, last api.InventoryReading, most time.Duration, now time.Time) string {
	var why string
	switch r := n.Record; {
	case last.Error != "":
		why = failedReading(last)
	case r == nil && !last.Began.IsZero() && last.Ended.IsZero():
		return "it is being read since " + last.Began.UTC().Format(time.RFC3339)
	case r == nil:
		why = "nobody has read what is installed there, which needs read_nodes = true in the agent's inventory block"
	default:
		why = Stale(&api.Inventory{TakenAt: r.TakenAt}, most, now)
	}
	if cannot := Unreadable(n); why != "" && cannot != "" {
		why += "; " + cannot
	}
	return why
}

// failedReading is why a reading has brought nothing, for a person.
func failedReading(r api.InventoryReading) string {
	often := "once"
	if r.Failures > 1 {
		often = fmt.Sprintf("%d times", r.Failures)
	}
	return fmt.Sprintf("to read it has failed, %s by %s: %s", often, r.Ended.UTC().Format(time.RFC3339), r.Error)
}

// System is what a node's agent says of its system, for a person; empty where it says
// nothing.
func System(n *api.Node) string {
	parts := []string{strings.TrimSpace(n.OS + " " + n.OSVersion)}
	if n.Kernel != "" {
		parts = append(parts, "kernel "+n.Kernel)
	}
	return strings.TrimPrefix(strings.Join(parts, ", "), ", ")
}

// enterprise is the release of a kernel as distributions of the Red Hat family and Fedora
// build it: version and release of the package, then the architecture. Kernels beside it,
// such as Oracle's UEK and those for real time, have a word of their own.
const enterprise = `^(\d+\.\d+\.\d+-\d[0-9.]*\.(?:el|fc)\d+(?:_\d+)?)\.([a-z][a-z0-9_]+)$`

// alpineLTS is the release of Alpine's usual kernel: version and number of the build.
const alpineLTS = `^(\d+\.\d+\.\d+)-(\d+)-lts$`

// RunningKernel is the package of the kernel that runs on a node, as an inventory of nothing
// else. It is only for distributions where the release of a kernel is the version of its
// package; of others it says why nobody knows the package's version.
func RunningKernel(n *api.Node) (inv api.Inventory, unknown string) {
	unknown = fmt.Sprintf("the version of the package of the kernel that runs (%s) is not known", cmp.Or(n.Kernel, "which nobody knows"))
	r := &databaseReader{
		collector: collector{inv: api.Inventory{Source: n.Name, Format: "attributes"}, seen: map[api.Package]bool{}},
		system:    system{id: strings.ToLower(n.OS), version: n.OSVersion},
	}
	ecosystem := ""
	for _, d := range distributions() {
		if slices.Contains(d.ids, r.system.id) {
			ecosystem = d.ecosystem
		}
	}
	var entries []entry
	if found := regexp.MustCompile(enterprise).FindStringSubmatch(n.Kernel); found != nil && ecosystem == "rpm" && n.OSVersion != "" {
		for _, name := range []string{"kernel", "kernel-core"} {
			entries = append(entries, entry{ecosystem: "rpm", name: name, version: found[1], arch: found[2], upstream: "kernel-" + found[1] + ".src.rpm"})
		}
	}
	if found := regexp.MustCompile(alpineLTS).FindStringSubmatch(n.Kernel); found != nil && r.system.id == "alpine" && n.OSVersion != "" {
		entries = append(entries, entry{ecosystem: "apk", name: "linux-lts", version: found[1] + "-r" + found[2], upstream: "linux-lts"})
	}
	for _, e := range entries {
		if err := r.put(e); err != nil {
			return api.Inventory{}, unknown
		}
	}
	if inv = r.inventory(); len(inv.Packages) == 0 || len(inv.Packages) != len(entries) {
		return api.Inventory{}, unknown
	}
	return inv, ""
}

// NamesKernel reports whether a name of an installed or a source package is that of a kernel,
// or of something beside it: nobody is taken for safe who has another kernel running than
// is installed.
func NamesKernel(ecosystem, name string) bool {
	switch ecosystem {
	case "deb", "apk":
		return name == "linux" || strings.HasPrefix(name, "linux-")
	case "rpm":
		return name == "kernel" || strings.HasPrefix(name, "kernel-")
	}
	return false
}
