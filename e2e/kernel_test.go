//go:build e2e

package e2e

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// TestSimulateKernel has patches install a kernel of which nothing tells the boot loader,
// so that the machine boots the old one.
func TestSimulateKernel(t *testing.T) {
	s := newSandbox(t)
	const install = "set -e\nbusybox cp /boot/vmlinuz /boot/vmlinuz-9.0.0-1-cloud-amd64\n"
	for name, c := range map[string]struct{ image, script string }{
		"the console says which one": {"store-1.0", install + "busybox sed -i 's/quiet loglevel=3//' /boot/extlinux.conf\n"},
		"the guest agent says so":    {"agent-1.0", install}, // its kernel is quiet
	} {
		t.Run(name, func(t *testing.T) {
			r := s.request("kernel-"+c.image+"/1", c.image, 10*time.Second)
			r.Apply = append(r.Apply, api.Apply{Kind: api.ApplyScript, Task: "vm", Reboot: true, Script: c.script})
			impact, _, err := s.simulator.Try(t.Context(), r)
			must.NoError(t, err)
			tell(t, impact)
			must.Eq(t, api.SimulationReject, impact.Verdict, must.Sprint(impact.Reason))
			must.StrHasPrefix(t, "the patched machine runs kernel 6.", impact.Reasons[0])
			must.StrHasSuffix(t, ", and the newest in its image is 9.0.0-1-cloud-amd64", impact.Reasons[0])
			s.noTwins()
		})
	}
}
