package simulator

import (
	"regexp"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
	"github.com/oakumhq/oakum/internal/twin"
)

// proof is what the patched image says about the fix.
type proof struct {
	proofs   []api.Proof
	packages []api.PackageChange
	fault    string // why the patch does not fix what it says
	doubt    string // why that is not known
	unasked  string // a doubt, unless the booted machine itself proves the fix
	kernel   string // that the patched machine must run; empty for any
}

// prove reads from the patched image whether the patch fixes what it says. An image that
// nobody has looked into proves nothing: a patch with a verify then has a doubt.
func prove(r Request, task string, baked twin.Image) proof {
	p := proof{proofs: baked.Proofs}
	if baked.Node == "" {
		if task != "" && len(verifiesOf(r, task)) > 0 {
			p.unasked = "verify can't run in the patched machine: its image is no plain path, or this server has no appliance (simulator.appliance)"
		}
		return p
	}
	p.packages = inventory.Changes(inventory.Names(r.Affects), baked.Before, baked.After)
	p.fault, p.doubt = inventory.Fixed(r.Affects, baked.Before, baked.After)
	if slices.ContainsFunc(r.Apply, func(a api.Apply) bool { return a.Reboot }) {
		p.kernel = baked.Kernel
		if p.kernel == "" && p.doubt == "" {
			p.doubt = "the patch asks for its kernel, and the patched image has none in /boot"
		}
	}
	return p
}

// of puts the proof into an impact. A fix that is not proved never passes.
func (p proof) of(impact api.Impact) api.Impact {
	if p.doubt == "" && len(impact.Proofs) == 0 {
		p.doubt = p.unasked
	}
	impact.Proofs, impact.Packages = slices.Concat(p.proofs, impact.Proofs), p.packages
	if p.kernel != "" && impact.Says() != api.SimulationReject {
		p.booted(&impact)
	}
	if p.doubt != "" && impact.Says() == api.SimulationPass {
		impact.Verdict, impact.Reason = api.SimulationUndecided, "undecided: "+p.doubt
		impact.Reasons = append([]string{p.doubt}, impact.Reasons...)
	}
	return impact
}

// booted compares the kernel that each patched twin says that it runs, on its console or
// by its guest agent, with the one that it must run. One of several that says so is
// enough: all of them boot the same image.
func (p *proof) booted(impact *api.Impact) {
	reported := false
	for _, t := range impact.Twins {
		if t.Role != twin.Treatment {
			continue
		}
		switch runs := t.Kernel; {
		case runs == p.kernel:
			reported = true
		case runs != "":
			why := "the patched machine runs kernel " + runs + ", and the newest in its image is " + p.kernel
			impact.Verdict, impact.Negative, impact.Reason = api.SimulationReject, true, why
			impact.Reasons = append([]string{why}, impact.Reasons...)
			return
		}
	}
	if !reported && p.doubt == "" {
		p.doubt = "the patched machine does not say which kernel runs, neither on its console nor by a guest agent; the patch asks for " + p.kernel
	}
}

// kernelOf is the version that a booting Linux writes first. It is empty when the
// console does not have it.
func kernelOf(console string) string {
	found := kernelLine().FindAllStringSubmatch(console, -1)
	if len(found) == 0 {
		return ""
	}
	return strings.TrimSpace(found[len(found)-1][1])
}

func kernelLine() *regexp.Regexp { return regexp.MustCompile(`Linux version (\S+)`) }
