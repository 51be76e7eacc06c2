//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// TestThirdPartyStrategy lets a strategy from a module of its own drive a
// rollout as a subprocess, and kills it on the way.
func TestThirdPartyStrategy(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "one-per-node")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".")
	build.Dir = filepath.Join(root(t), "examples", "plugins", "one-per-node")
	out, err := build.CombinedOutput()
	must.NoError(t, err, must.Sprint(string(out)))
	text, err := os.ReadFile(binary)
	must.NoError(t, err)
	sum := sha256.Sum256(text)
	o := newOakum(t, 1, fmt.Sprintf("plugin \"one_per_node\" {\n  path   = %q\n  sha256 = %q\n}\n", binary, hex.EncodeToString(sum[:])), heldPolicy)
	policy := o.file("third.hcl", `policy "third" {
  applies = target.job == "thirds"
  strategy "one_per_node" {}
}
`)
	o.does(o.pipeline, "policy", "apply", policy)
	o.jobOf("held", "thirds", 4, true)
	id := o.submit(o.patchFile("thirds-2", "thirds", `VERSION = "v2"`))
	o.until(id, func(r api.Rollout) bool { return len(r.Stages) > 0 })
	killed := exec.CommandContext(t.Context(), "pkill", "-KILL", "-f", binary)
	must.NoError(t, killed.Run(), must.Sprint("the plugin runs in a process of its own"))
	for stage := 1; ; stage++ {
		o.promote(id, stage)
		if r := o.until(id, func(r api.Rollout) bool { return r.Status.Ended() || len(r.Stages) > stage }); r.Status.Ended() {
			break
		}
	}
	r := o.ended(id, api.RolloutComplete)
	must.Eq(t, "one_per_node", r.Decision.Strategy.Name)
	must.Eq(t, 4, o.count("thirds", "v2"))
	res := o.does(o.pipeline, "plugin", "list")
	must.StrContains(t, res.Stdout, "one_per_node")
	t.Log(res.Stdout)
}
