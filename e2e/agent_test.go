//go:build e2e

package e2e

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// TestSimulateProof asks the booted machine itself for the fix, by QEMU's guest agent.
func TestSimulateProof(t *testing.T) {
	s := newSandbox(t)
	try := func(t *testing.T, id, image string, verify api.Verify) api.Impact {
		t.Helper()
		r := s.request(id, image, 10*time.Second)
		r.Apply[0].Verify = &verify
		impact, err := s.simulator.Run(t.Context(), r)
		must.NoError(t, err)
		tell(t, impact)
		s.noTwins()
		return impact
	}
	t.Run("the machine runs the fix", func(t *testing.T) {
		const command = "cat /etc/shop.env; busybox uname -r"
		impact := try(t, "proved/1", "agent-1.0", api.Verify{Command: command, Expect: "SHOP_VERSION=1.0"})
		must.NotEq(t, api.SimulationReject, impact.Verdict, must.Sprint(impact.Reason))
		must.Len(t, 2, impact.Proofs, must.Sprint(impact.Reason))
		for i, where := range []string{"image", "machine"} {
			must.Eq(t, where, impact.Proofs[i].Where)
			must.True(t, impact.Proofs[i].OK)
			must.StrContains(t, impact.Proofs[i].Output, "SHOP_VERSION=1.0")
		}
	})
	t.Run("only the image has the fix", func(t *testing.T) {
		// The command line of the appliance's kernel names no root.
		impact := try(t, "disproved/1", "agent-1.0", api.Verify{Command: "! busybox grep root= /proc/cmdline"})
		must.Eq(t, api.SimulationReject, impact.Verdict, must.Sprint(impact.Reason))
		must.StrContains(t, impact.Reasons[0], `"! busybox grep root= /proc/cmdline" ended with status 1 in the patched machine: BOOT_IMAGE=`)
		must.Len(t, 2, impact.Proofs)
		must.True(t, impact.Proofs[0].OK)
		must.False(t, impact.Proofs[1].OK)
	})
	t.Run("a machine without an agent", func(t *testing.T) {
		impact := try(t, "agentless/1", "store-1.1", api.Verify{Command: "cat /etc/shop.env", Expect: "SHOP_VERSION=1.1"})
		must.NotEq(t, api.SimulationReject, impact.Verdict, must.Sprint(impact.Reason))
		must.StrContains(t, impact.Reason, "the fix was looked for in the patched image alone: no guest agent answers in the machine")
		must.Len(t, 1, impact.Proofs)
		must.Eq(t, "image", impact.Proofs[0].Where)
	})
}
