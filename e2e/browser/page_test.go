//go:build e2e

package browser_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/e2e/daemon"
	"github.com/oakumhq/oakum/e2e/fleet"
	"github.com/oakumhq/oakum/e2e/stack"
	"github.com/oakumhq/oakum/internal/wait"
)

// house is a fleet in memory with three servers beside it.
type house struct {
	cluster         *daemon.Cluster
	pipeline, alice string // identity tokens
	root            string
}

func build(t *testing.T) *house {
	t.Helper()
	root, err := stack.RepositoryRoot()
	must.NoError(t, err)
	d, err := fleet.Describe(filepath.Join(root, "examples", "fleets", "shop.hcl"))
	must.NoError(t, err)
	served, err := fleet.Serve(t.Context(), d, fleet.Loopback(), "oakum")
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, served.Close()) })
	h := &house{root: root}
	h.pipeline, err = served.Issuer.Token("pipeline", "deployers")
	must.NoError(t, err)
	h.alice, err = served.Issuer.Token("alice", "release-managers")
	must.NoError(t, err)
	h.cluster, err = daemon.Start(t.Context(), stack.Env{
		NomadAddr: served.NomadURL, ConsulAddr: served.ConsulURL, PrometheusAddr: served.PrometheusURL, OIDCAudience: "oakum",
	}, daemon.Options{
		Binary: filepath.Join(root, "bin", "oakum"), Dir: t.TempDir(), Servers: 3, Issuer: served.IssuerURL,
		Paces: daemon.Paces{Scrape: fleet.ScrapeInterval, Profiler: fleet.ScrapeInterval, Checkpoint: 2 * time.Second, Orchestrator: 150 * time.Millisecond},
	})
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, h.cluster.Stop()) })
	return h
}

// oakum is a command of the pipeline's.
func (h *house) oakum(t *testing.T, args ...string) {
	t.Helper()
	res := h.cluster.Oakum(t.Context(), h.pipeline, args...)
	must.EqOp(t, 0, res.Code, must.Sprintf("oakum %v: %s%s", args, res.Stdout, res.Stderr))
}

// TestPage walks through the pages as alice does, who approves a patch and turns it back.
func TestPage(t *testing.T) {
	h := build(t)
	cl, err := h.cluster.Client(h.alice)
	must.NoError(t, err)
	wait.For(t, "the graph has the fleet", func() bool {
		g, _, err := cl.Graph(t.Context(), client.Query{})
		return err == nil && len(g.Targets) > 30 && len(g.Edges) > 30
	})
	h.oakum(t, "policy", "apply", filepath.Join("testdata", "policy.hcl"))
	h.oakum(t, "patch", "submit", filepath.Join(h.root, "examples", "patches", "catalog-2.0.hcl"))

	b := open(chrome(t), t, h.cluster.Any().HTTP)
	b.show("/ui/")
	b.looks("login")
	b.run(chromedp.SendKeys("#token", "nonsense"+kb.Enter))
	b.says("[role=alert]", "unauthenticated")
	b.run(chromedp.SendKeys("#token", h.alice+kb.Enter))
	b.says("h1", "Rollouts")
	b.says("table.rollouts .pill", "awaiting approval")
	b.until("document.querySelector('#live.on') !== null")
	b.looks("rollouts")
	b.approve()
	b.turnBack()
	id := b.ended(cl)
	b.show("/ui/rollout/" + id)
	b.looks("rollout-ended")
	b.cluster()
	h.simulate(t)
	b.simulation()
	b.policy(id)
	b.others()
	b.clean()
}

// approve consents to the patch, by the keyboard.
func (b *tab) approve() {
	b.t.Helper()
	b.run(chromedp.Click("table.rollouts th a"))
	b.says("h1", "catalog")
	b.run(chromedp.Evaluate("location.pathname", &b.rollout))
	b.looks("rollout-awaiting")
	b.run(chromedp.Focus(`a[href$="/approve"]`), chromedp.KeyEvent(kb.Enter))
	b.says("h1", "Approve?")
	b.says(".says", "Your consent is recorded, as alice")
	b.looks("confirm-approve")
	b.confirm("#note", "seen in staging", "button.go", b.rollout)
	b.says(".facts", "seen in staging")
}

// turnBack waits until the page shows the first stage and what the judge says of it,
// without being asked for anew, and presses the button that returns it.
func (b *tab) turnBack() {
	b.t.Helper()
	b.until("document.querySelectorAll('.cells .patched.healthy').length === 1")
	b.says(".kpis th", "error_rate")
	b.says("#h-judge + p", "continue")
	b.until("document.querySelector('figure .uplot') !== null")
	b.looks("rollout-judged")
	b.run(chromedp.Click(`a[href$="/rollback"]`))
	b.says("h1", "Roll back?")
	b.says(".says", "1 patched instance returns to job version")
	b.looks("confirm-rollback")
	b.confirm("#note", "checkout is slow", "button.stop", b.rollout)
	b.says(".state .pill", "rolled back")
	b.until("document.querySelectorAll('.cells .patched').length === 0")
}

// ended is the ID of the rollout, which ended as the record says too.
func (b *tab) ended(cl *client.Client) string {
	b.t.Helper()
	all, _, err := cl.Rollouts(b.t.Context(), client.Query{})
	must.NoError(b.t, err)
	must.Len(b.t, 1, all)
	must.EqOp(b.t, api.RolloutRolledBack, all[0].Status)
	must.StrContains(b.t, all[0].Reason, "checkout is slow")
	must.EqOp(b.t, "alice", all[0].Approvals[0].By)
	return all[0].ID
}

// policy reads the line of a policy that decided a part of the rollout.
func (b *tab) policy(rollout string) {
	b.t.Helper()
	b.show("/ui/policies")
	b.says("table th", "policy")
	b.looks("policies")
	b.show("/ui/rollout/" + rollout)
	b.run(chromedp.Click("#because summary"), chromedp.Click(`#because a[href*="/ui/policy/policy#L"]`))
	b.says("h1", "policy")
	b.until("document.querySelector('.source li:target') !== null")
	b.looks("policy")
}

// simulate has alice try a patch on twins, and waits until it has passed.
func (h *house) simulate(t *testing.T) {
	t.Helper()
	res := h.cluster.Oakum(t.Context(), h.alice, "simulate", "-target=default/store/store", filepath.Join(h.root, "examples", "patches", "store-1.1.hcl"))
	must.EqOp(t, 0, res.Code, must.Sprintf("%s%s", res.Stdout, res.Stderr))
}

// simulation looks at what the trial showed, and reads a twin's console.
func (b *tab) simulation() {
	b.t.Helper()
	b.show("/ui/simulations")
	b.says("table.rollouts th", "store")
	b.run(chromedp.Click("table.rollouts th a"))
	b.says("h1", "tried with store-1.1")
	b.says(".state .pill", "passed")
	b.says(".kpis th", "error_rate")
	b.until("document.querySelector('figure .uplot') !== null")
	b.looks("simulation")
	b.run(chromedp.Click(`a[href*="console?role=treatment"]`))
	b.says("h1", "Console of treatment")
	b.looks("console")
	b.show("/ui/simulations?show=passed")
	b.looks("simulations")
}

// cluster puts the brake on and takes it off.
func (b *tab) cluster() {
	b.t.Helper()
	b.show("/ui/cluster")
	b.says("table th", "oakum-3")
	b.looks("cluster")
	b.run(chromedp.Click(".head a.button"), chromedp.WaitVisible("#reason"))
	b.looks("brake")
	b.confirm("#reason", "incident 4711", "button.stop", "/ui/cluster")
	b.says(".band.stop", "incident 4711")
	b.run(chromedp.Click(".band.stop a"))
	b.confirm("", "", "button.go", "/ui/cluster")
	b.says(".state", "brake off")
	b.until("document.querySelector('.band.stop') === null")
}
