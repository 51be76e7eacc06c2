package orchestrator

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

// terminal answers for instances.
type terminal struct {
	output string
	status int
	err    error
	hangs  bool
	ran    []string // NAMESPACE/TASK: COMMAND
}

func (m *terminal) Exec(ctx context.Context, namespace, _, task string, command []string) (string, int, error) {
	m.ran = append(m.ran, namespace+"/"+task+": "+strings.Join(command, " "))
	if m.hangs {
		<-ctx.Done()
		return "", 0, context.Cause(ctx)
	}
	time.Sleep(5 * time.Second)
	return m.output, m.status, m.err
}

// under has the tasks of every target run under a driver.
type under struct {
	*term
	driver string
}

func (u under) Target(_ context.Context, ref api.TargetRef) (api.Target, error) {
	return api.Target{TargetRef: ref, Count: 4, Tasks: []api.Task{{Name: "main", Driver: u.driver}}}, nil
}

// proofWorld is a calm world whose patch has a proof.
func proofWorld(t *testing.T, m *terminal, driver string) *world {
	t.Helper()
	w := calmWorld(1, func(*api.Decision) {})
	for level := levels.Two; level <= levels.Five; level++ {
		w.must(&state.LevelSet{Level: level})
	}
	r := w.rollout("r0")
	r.Apply = thePatch()
	r.Apply[0].Verify = &api.Verify{Command: "server --version", Expect: "2.4"}
	w.must(&state.RolloutTransition{Kind: "status", Expect: r.ModifyIndex, Rollout: r})
	o := w.orch.Options
	o.Terminal, o.Reader = m, under{w.term, driver}
	w.orch = New(o)
	return w
}

func ended(r api.Rollout) bool { return r.Status.Ended() }

func TestProof_IsAskedForOnceInTheFirstStage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &terminal{output: "server 2.4.1\n"}
		w := proofWorld(t, m, "docker")
		defer w.term.cancel()
		w.until(t, "r0", ended)
		must.EqOp(t, api.RolloutComplete, w.rollout("r0").Status)
		must.Eq(t, []string{"default/main: /bin/sh -c server --version"}, m.ran)
		must.NoError(t, w.broken)
	})
}

func TestProof_TurnsBackWhatFixesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		terminal terminal
		reason   string
	}{
		"a status":      {terminal{output: "no such\nfile\n", status: 2}, `the patch does not fix what it says: "server --version" ended with status 2 in job0.g[`},
		"another text":  {terminal{output: "server 2.3"}, `the patch does not fix what it says: "server --version" did not say "2.4" in job0.g[`},
		"the last line": {terminal{output: "no such\nfile\n", status: 2}, `]: file`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := proofWorld(t, &c.terminal, "exec")
				defer w.term.cancel()
				w.until(t, "r0", ended)
				r := w.rollout("r0")
				must.EqOp(t, api.RolloutRolledBack, r.Status)
				must.StrContains(t, r.Reason, c.reason)
				must.Len(t, 1, r.Stages)
				must.NoError(t, w.broken)
			})
		})
	}
}

// TestProof_HoldsWhileNobodyKnows has a command that never ends, and a node that is away.
func TestProof_HoldsWhileNobodyKnows(t *testing.T) {
	for reason, m := range map[string]*terminal{
		"no answer within 2m0s": {hangs: true},
		"node is down":          {err: api.Errorf(api.CodeUnavailable, "node is down")},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := proofWorld(t, m, "docker")
				defer func() { w.term.cancel(); w.tries["r0"].proof.stop() }()
				w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutHolding })
				r := w.rollout("r0")
				must.EqOp(t, "verify", r.Holds[0].Source)
				must.StrContains(t, r.Reason, reason)
				must.True(t, r.Stages[0].Judged.IsZero())
				w.command("r0", "rollback", "test")
				w.until(t, "r0", ended)
				must.EqOp(t, api.RolloutRolledBack, w.rollout("r0").Status)
			})
		})
	}
}

// TestProof_IsNotAskedOfAVirtualMachine: no way leads into it from outside.
func TestProof_IsNotAskedOfAVirtualMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &terminal{status: 1}
		w := proofWorld(t, m, "qemu")
		defer w.term.cancel()
		w.until(t, "r0", ended)
		must.EqOp(t, api.RolloutComplete, w.rollout("r0").Status)
		must.SliceEmpty(t, m.ran)
	})
}
