//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/e2e/daemon"
	"github.com/oakumhq/oakum/e2e/stack"
	"github.com/oakumhq/oakum/examples/shop/deploy"
)

// calmRequests is how many requests in a row the shop must have answered well before
// anybody learns from it what is usual.
const calmRequests = 1000

// openShop brings the example application up until the test ends.
//
// It is calm then: who learns what is usual from the minute in which everything
// starts takes errors for that.
func openShop(t *testing.T) deploy.Env {
	t.Helper()
	env := sharedStack(t)
	shop, err := deploy.FromVariables(func(name string) string { return env.Map()[name] }, root(t))
	must.NoError(t, err)
	fresh, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	wait := env.KeepIntentionsFresh(fresh, "front", "backoffice", "catalog", "cart", "pricing", "store")
	t.Cleanup(func() { stop(); wait() })
	ctx, cancel := context.WithTimeout(t.Context(), longest)
	defer cancel()
	must.NoError(t, deploy.Up(ctx, shop, slog.New(slog.DiscardHandler)))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), longest)
		defer cancel()
		must.NoError(t, deploy.Down(ctx, shop, slog.New(slog.DiscardHandler)))
	})
	calm(t, shop)
	return shop
}

// calm waits until a thousand requests in a row were answered, but for one in two
// hundred: whenever more of them fail it begins to count anew.
func calm(t *testing.T, shop deploy.Env) {
	t.Helper()
	const failedMost = calmRequests / 200
	counted := func(code string) float64 { return value(t, shop, `sum(http_requests_total{code=~"`+code+`"})`) }
	good, bad := counted("200"), counted("5..")
	var answered, failed float64
	eventuallySay(t, longest/3, func() bool {
		answered, failed = counted("200")-good, counted("5..")-bad
		if failed > failedMost || answered < 0 { // fewer than before when an instance is gone
			good, bad = good+answered, bad+failed
			return false
		}
		return answered >= calmRequests
	}, func() string {
		return fmt.Sprintf("a shop that answers well: %.0f requests answered since %.0f have failed, the last time that many did", answered, failed)
	})
}

// TestShop finds and patches the example application: real proxies, real traffic,
// servers that are killed on the way.
func TestShop(t *testing.T) {
	shop := openShop(t)
	policy, err := os.ReadFile(filepath.Join(root(t), "examples", "policies", "shop.hcl"))
	must.NoError(t, err)

	t.Run("graph", func(t *testing.T) { graphs(t, shop) })

	paces := daemon.StackPaces()
	paces.Rate = deploy.SandboxRate
	o := newOakumWith(t, sharedStack(t), daemon.Options{Servers: 3, Paces: paces}, string(policy))
	t.Run("the graph is what consul and the traffic say", func(t *testing.T) { o.in(t).graphIsTrue() })
	t.Run("profiles agree with prometheus", func(t *testing.T) { o.in(t).profilesAgree(shop) })
	t.Run("a patch that misbehaves goes back at the first stage", func(t *testing.T) { o.in(t).badVerdict(shop) })
	t.Run("prometheus away, then the leader killed: the rollout finishes", func(t *testing.T) { o.in(t).leaderKilled(shop) })
	t.Run("a machine's patch that fails under load only", func(t *testing.T) { o.in(t).treacherous(shop) })
	t.Run("neighbours", func(t *testing.T) { o.in(t).neighbours(shop) }) // late: it needs minutes of the front's profile
	t.Run("judge", func(t *testing.T) { o.in(t).judged(shop) })
}

// graphIsTrue compares the graph with the shop as it was built.
func (o *oakum) graphIsTrue() {
	var g api.Graph
	eventuallySay(o.t, 2*time.Minute, func() bool {
		res := o.Oakum(o.t.Context(), o.pipeline, "graph", "show", "-json")
		if res.Code != 0 || json.Unmarshal([]byte(res.Stdout), &g) != nil {
			return false
		}
		confirmed := 0
		for _, e := range g.Edges {
			if e.State == api.EdgeConfirmed {
				confirmed++
			}
		}
		return confirmed == len(deploy.Edges())
	}, func() string { return fmt.Sprintf("every edge confirmed: %+v", g.Edges) })
	for _, e := range g.Edges {
		must.SliceContains(o.t, deploy.Edges(), deploy.Edge{From: e.From, To: e.To}, must.Sprintf("an invented edge: %+v", e))
		classes := map[api.EvidenceClass]bool{}
		for _, ev := range e.Evidence {
			classes[ev.Class] = true
		}
		for _, want := range []api.EvidenceClass{api.EvidenceDeclared, api.EvidenceAllowed, api.EvidenceObserved} {
			must.True(o.t, classes[want], must.Sprintf("%s -> %s lacks evidence %s", e.From, e.To, want))
		}
	}
	critical := map[string]bool{}
	for _, v := range g.Targets {
		critical[v.Target.Job] = v.Critical
		must.StrContains(o.t, v.Why, "graph.")
	}
	must.True(o.t, critical["store"])
	must.True(o.t, critical["catalog"])
	must.False(o.t, critical["cart"])
}

// profilesAgree compares a baseline with Prometheus' own answer.
func (o *oakum) profilesAgree(shop deploy.Env) {
	var p api.Profile
	eventually(o.t, "the profile of catalog is warm", 3*time.Minute, func() bool {
		res := o.Oakum(o.t.Context(), o.pipeline, "profile", "read", "-json", "default/catalog/catalog")
		if res.Code != 0 || json.Unmarshal([]byte(res.Stdout), &p) != nil {
			return false
		}
		i := slices.IndexFunc(p.KPIs, func(b api.Baseline) bool { return b.KPI == api.KPIRequests })
		return i >= 0 && p.KPIs[i].Samples > 20
	})
	found := map[string]api.Baseline{}
	for _, b := range p.KPIs {
		found[b.KPI] = b
	}
	for _, want := range []string{api.KPIErrorRate, api.KPILatencyP99, api.KPICPU, api.KPIMemory, api.KPIRequests} {
		must.MapContainsKey(o.t, found, want)
	}
	series, err := deploy.Query(o.t.Context(), shop, `sum(rate(http_requests_total{service="catalog"}[30s])) / count(up{service="catalog"})`)
	must.NoError(o.t, err)
	must.Len(o.t, 1, series)
	must.Between(o.t, series[0].Value/2, found[api.KPIRequests].Mean, series[0].Value*2)
	must.Between(o.t, 1<<20, found[api.KPIMemory].Mean, 1<<30)
}

// submitExample sends a patch of the examples.
func (o *oakum) submitExample(name string, shop deploy.Env) string {
	o.t.Helper()
	patches, err := deploy.RenderPatches(shop, root(o.t), o.t.TempDir())
	must.NoError(o.t, err)
	must.MapContainsKey(o.t, patches, name)
	return o.submit(patches[name])
}

// shopVersions counts catalog's running instances by their SHOP_VERSION.
func (o *oakum) shopVersions(job string) map[string]int {
	o.t.Helper()
	stubs, _, err := o.vendor.Jobs().Allocations(job, false, nil)
	must.NoError(o.t, err)
	found := map[string]int{}
	for _, s := range stubs {
		if s.DesiredStatus != "run" || s.ClientStatus != "running" {
			continue
		}
		alloc, _, err := o.vendor.Allocations().Info(s.ID, nil)
		must.NoError(o.t, err)
		task := alloc.Job.TaskGroups[0].Tasks[0]
		if image, ok := task.Config["image_path"].(string); ok {
			found[filepath.Base(image)]++
		} else {
			found[task.Env["SHOP_VERSION"]]++
		}
	}
	return found
}

func (o *oakum) badVerdict(shop deploy.Env) {
	former := o.spec("catalog")
	id := o.submitExample("catalog-2.1", shop)
	most := 0
	r := o.until(id, func(r api.Rollout) bool {
		most = max(most, o.shopVersions("catalog")["2.1"])
		return r.Status.Ended()
	})
	must.Eq(o.t, api.RolloutRolledBack, r.Status, must.Sprint(r.Reason))
	must.Eq(o.t, 1, most, must.Sprint("only the first stage's instance was ever patched"))
	must.StrContains(o.t, r.Reason, "error_rate")
	must.Eq(o.t, former, o.spec("catalog"))
	eventually(o.t, "ten former instances", time.Minute, func() bool { return o.shopVersions("catalog")["1.0"] == 10 })
}

func (o *oakum) leaderKilled(shop deploy.Env) {
	id := o.submitExample("catalog-2.0", shop)
	o.until(id, func(r api.Rollout) bool { return len(r.Stages) == 1 && !r.Stages[0].Ready.IsZero() })
	must.NoError(o.t, running.Stop(o.t.Context(), stack.Prometheus))
	r := o.until(id, func(r api.Rollout) bool { return r.Status == api.RolloutHolding || len(r.Stages) > 1 })
	must.Eq(o.t, api.RolloutHolding, r.Status, must.Sprint("nothing is promoted without its measurements"))
	must.Eq(o.t, "prometheus", r.Holds[0].Source)
	must.NoError(o.t, running.Start(o.t.Context(), stack.Prometheus))
	o.until(id, func(r api.Rollout) bool { return len(r.Stages) == 2 })
	leader, err := o.Leader(o.t.Context())
	must.NoError(o.t, err)
	leader.Kill()
	o.t.Cleanup(func() {
		must.NoError(o.t, leader.Start())
		eventually(o.t, leader.Name+" answers again", time.Minute, func() bool { return leader.Ready(context.WithoutCancel(o.t.Context())) })
	})
	began := time.Now()
	next, err := o.Leader(o.t.Context())
	must.NoError(o.t, err)
	o.t.Logf("%s led after %s", next.Name, time.Since(began).Round(100*time.Millisecond))
	r = o.ended(id, api.RolloutComplete)
	must.Eq(o.t, 10, o.shopVersions("catalog")["2.0"])
	for _, e := range r.Effects {
		must.Eq(o.t, api.EffectDone, e.Status)
	}
	must.Len(o.t, 3, r.Stages)
}

func (o *oakum) treacherous(shop deploy.Env) {
	former := o.spec("store")
	id := o.submitExample("store-1.3", shop)
	defer o.Oakum(context.WithoutCancel(o.t.Context()), o.alice, "rollout", "abort", id) // nothing is left to abort, unless this failed
	most := 0
	r := o.until(id, func(r api.Rollout) bool {
		most = max(most, o.shopVersions("store")["store-1.3.qcow2"])
		if r.Status == api.RolloutAwaitingApproval { // the twins of a busy machine could not decide, and a person goes on
			o.Oakum(o.t.Context(), o.alice, "rollout", "approve", id)
		}
		return r.Status.Ended()
	})
	must.Eq(o.t, api.RolloutRolledBack, r.Status, must.Sprint(r.Reason))
	must.NotEq(o.t, "", r.Simulation, must.Sprint("the sandbox let it through"))
	must.Eq(o.t, 1, most)
	must.Eq(o.t, former, o.spec("store"))
	jobs, _, err := o.vendor.Jobs().PrefixList("oakum-twin-")
	must.NoError(o.t, err)
	must.Len(o.t, 0, jobs, must.Sprint("the sandbox is torn down"))
}

// TestDoor asks for entry with every kind of identity.
func TestDoor(t *testing.T) {
	o := newOakum(t, 1, "")
	env := sharedStack(t)
	o.job("door", 1, false)
	patch := o.patchFile("door-2", "door", `VERSION = "v2"`)
	for name, c := range map[string]struct {
		token string
		args  []string
		code  int
		says  string
	}{
		"nobody":                    {"", []string{"rollout", "list"}, 1, "no token"},
		"a made-up token":           {"hvs.nonsense", []string{"rollout", "list"}, 1, ""},
		"eve has no rule":           {o.eve, []string{"rollout", "list"}, 1, "may not"},
		"eve may not submit":        {o.eve, []string{"patch", "submit", patch}, 1, "may not"},
		"the pipeline may plan":     {o.pipeline, []string{"patch", "plan", patch}, 0, ""},
		"the pipeline is no person": {o.pipeline, []string{"operator", "raft", "transfer"}, 1, "may not"},
		"alice may read":            {o.alice, []string{"rollout", "list"}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			res := o.Oakum(t.Context(), c.token, c.args...)
			must.Eq(t, c.code, res.Code, must.Sprint(res.Stdout+res.Stderr))
			if c.code != 0 {
				must.StrContains(t, res.Stderr, "Error")
				t.Log(res.Stderr)
			}
		})
	}
	t.Run("a vault token is looked up", func(t *testing.T) {
		token, err := daemon.VaultToken(t.Context(), env, "alice", env.AlicePasswordFile)
		must.NoError(t, err)
		cl, err := o.Client(token)
		must.NoError(t, err)
		defer cl.Close()
		self, err := cl.Self(t.Context())
		must.NoError(t, err)
		must.True(t, self.Identity.Can(api.CapApprove), must.Sprintf("%+v", self))
		must.Eq(t, "vault-token", self.Identity.Via)
	})
	t.Run("vault away: identity tokens are verified offline", func(t *testing.T) {
		must.NoError(t, running.Stop(t.Context(), stack.Vault))
		defer func() { must.NoError(t, running.Start(context.WithoutCancel(t.Context()), stack.Vault)) }()
		cl, err := o.Client(o.pipeline)
		must.NoError(t, err)
		defer cl.Close()
		_, _, err = cl.Rollouts(t.Context(), client.Query{})
		must.NoError(t, err)
	})
}
