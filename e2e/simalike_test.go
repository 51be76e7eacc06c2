//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// TestSimulateAlike tries patches that change nothing: a copy of the image that runs. None
// may be rejected, whatever else the machine does.
func TestSimulateAlike(t *testing.T) {
	s := newSandbox(t)
	same := filepath.Join(t.TempDir(), "store-same.qcow2")
	copyFile(t, filepath.Join(s.images, "store-1.0.qcow2"), same)
	verdicts := map[api.SimulationVerdict]int{}
	for i := range *aa {
		r := s.request(fmt.Sprintf("alike/%d", i), "store-1.0", 20*time.Second)
		r.Apply[0].Image = same
		impact, err := s.simulator.Run(t.Context(), r)
		must.NoError(t, err)
		verdicts[impact.Says()]++
		if impact.Says() == api.SimulationReject {
			tell(t, impact)
		}
	}
	t.Logf("verdicts of %d simulations without a change: %v", *aa, verdicts)
	must.Zero(t, verdicts[api.SimulationReject])
	s.noTwins()
}
