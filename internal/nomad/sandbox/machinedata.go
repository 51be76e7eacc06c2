package sandbox

import (
	"context"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/internal/nomad/sandbox/qemu"
	"github.com/oakumhq/oakum/internal/twin"
)

const (
	// lacksFile is where the node writes what it could not give a twin. The path is the
	// one that Nomad's file API uses.
	lacksFile = "alloc/data/oakum-lacks"
	// lacksHead is its first line.
	lacksHead = "oakum lacks:"
	// lacksMax bounds it in bytes.
	lacksMax = 16 << 10
)

// data finds the disks that outlive a machine in production, and says what becomes of
// them in the twin. The machine's own image is none of them: the former version has a
// file of its own.
func (p *preparation) data(m *twin.Machine, group *nomadapi.TaskGroup, spec twin.Spec) {
	m.Former, p.again = spec.Former, spec.Former != ""
	sticky := group.EphemeralDisk != nil && group.EphemeralDisk.Sticky != nil && *group.EphemeralDisk.Sticky
	for i := range p.files {
		f := &p.files[i]
		switch written := f.Op == qemu.OpDisk || f.Op == qemu.OpOverlay; {
		case written && sticky && qemu.OriginOf(f.Path) != qemu.FromNode:
			m.Uncarried = append(m.Uncarried, "disk "+f.Path+" of the group's sticky disk (the instance makes it anew)")
		case f.Op != qemu.OpData:
		case len(p.makers) > 0:
			m.Uncarried = append(m.Uncarried, "drive "+f.Path+" (tasks of the group make the machine's own disk)")
		default:
			m.Data = append(m.Data, "drive "+f.Path)
			if p.again {
				f.Op = qemu.OpCarried
			}
		}
		if f.Op == qemu.OpData && spec.EmptyData {
			f.Op = qemu.OpEmpty
			m.Lacks = append(m.Lacks, "the data of "+f.Path+" (an empty disk of its size)")
		}
	}
}

// carry has Nomad move the data of the twin's allocation to the one that replaces it.
func carry(group *nomadapi.TaskGroup, m twin.Machine) {
	if len(m.Data) == 0 {
		return
	}
	if group.EphemeralDisk == nil {
		group.EphemeralDisk = &nomadapi.EphemeralDisk{}
	}
	group.EphemeralDisk.Sticky = new(true)
}

// twinLacks reads what the node could not give the machine. It is empty when the node
// gave it all, or has not said so.
func (s *Sandbox) twinLacks(ctx context.Context, m twin.Machine, alloc *nomadapi.Allocation) []string {
	text, err := s.readFile(ctx, m.Namespace, alloc.ID, lacksFile, lacksMax)
	if err != nil {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(strings.ToValidUTF8(text, "\uFFFD")), "\n")
	if lines[0] != lacksHead {
		return nil // of a file that is not there Nomad says so with status 200
	}
	return lines[1:]
}
