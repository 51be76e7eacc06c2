package orchestrator

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
	"github.com/oakumhq/oakum/internal/rollout"
)

// modelGraph holds the edges that a mapper would have found.
type modelGraph struct {
	alone
	edges []api.Edge
	lacks bool // the target, for the time being
}

func (g *modelGraph) Attempts(ref api.TargetRef, since time.Time) ([]api.Attempt, bool) {
	if g.lacks {
		return nil, false
	}
	return graph.Attempts(g.edges, []string{ref.Job}, since), true
}

// try lets a service try what is denied from now on.
func (g *modelGraph) try(from, to string, now time.Time) {
	g.edges = append(g.edges, api.Edge{From: from, To: to, State: api.EdgeDeniedAttempted, Evidence: []api.Evidence{
		{Source: "consul-intentions", Class: api.EvidenceDenied, Detail: graph.DefaultDetail, FirstSeen: now},
		{Source: "prometheus", Class: api.EvidenceDenied, Exact: true, Attempt: true, FirstSeen: now},
	}})
}

// deniedWorld is a calm world with one rollout in its first stage; before is
// what the graph knew until then.
func deniedWorld(t *testing.T, turnBack bool, before func(*modelGraph, *world)) (*world, *modelGraph) {
	t.Helper()
	w := calmWorld(1, func(d *api.Decision) { d.Rollback.OnDenied = turnBack })
	g := &modelGraph{}
	w.orch.Neighbourhood = g
	before(g, w)
	w.until(t, "r0", func(r api.Rollout) bool { return len(r.Stages) == 1 && r.Effect == nil })
	time.Sleep(time.Second)
	return w, g
}

func nothing(*modelGraph, *world) {}

func TestAttempts_TurnTheRolloutBackAfterThePatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, g := deniedWorld(t, true, nothing)
		defer w.term.cancel()
		g.try("job0", "pricing-admin", w.now())
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutRolledBack })
		must.StrContains(t, w.rollout("r0").Reason, "job0 tries to reach pricing-admin")
		must.StrContains(t, w.rollout("r0").Reason, "after the patch, and is refused: the default says denied")
		must.NoError(t, w.broken)
	})
}

func TestAttempts_IgnoreThoseFromBeforeThePatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, g := deniedWorld(t, true, func(g *modelGraph, w *world) { g.try("job0", "pricing-admin", w.now()) })
		defer w.term.cancel()
		g.try("another", "pricing-admin", w.now())
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status.Ended() })
		must.Eq(t, api.RolloutComplete, w.rollout("r0").Status)
	})
}

func TestAttempts_HoldUntilAPersonResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, g := deniedWorld(t, false, nothing)
		defer w.term.cancel()
		g.try("job0", "pricing-admin", w.now())
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutHolding })
		must.Eq(t, "graph", w.rollout("r0").Holds[0].Source)
		g.lacks = true
		for range 20 {
			w.step()
			must.Eq(t, api.RolloutHolding, w.rollout("r0").Status, must.Sprint("what the graph lacks is not known to be allowed"))
			time.Sleep(time.Second)
		}
		g.lacks = false
		w.command("r0", "resume", "test")
		since, patched := rollout.AttemptsSince(w.rollout("r0"))
		must.True(t, patched && since.After(w.rollout("r0").Stages[0].Began))
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status.Ended() })
		must.Eq(t, api.RolloutComplete, w.rollout("r0").Status)
	})
}
