package orchestrator

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

// nodeImages answers for nodes after a while.
type nodeImages struct {
	takes time.Duration
	has   map[string]string
	err   error
	asked atomic.Int32
}

func (n *nodeImages) ImageDigests(ctx context.Context, _ api.TargetRef, _ api.Apply) (map[string]string, error) {
	n.asked.Add(1)
	select {
	case <-time.After(n.takes):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	return n.has, n.err
}

// imageWorld is a calm world whose patch has an image of a known digest. Its stages are
// 50 and 100 percent.
func imageWorld(t *testing.T, n *nodeImages) *world {
	t.Helper()
	w := calmWorld(1, func(*api.Decision) {})
	for level := levels.Two; level <= levels.Five; level++ {
		w.must(&state.LevelSet{Level: level})
	}
	r := w.rollout("r0")
	r.Apply = append(thePatch(), api.Apply{Kind: api.ApplyImage, Task: "main", Image: "/images/new.qcow2", Digest: "aa"})
	w.must(&state.RolloutTransition{Kind: "status", Expect: r.ModifyIndex, Rollout: r})
	o := w.orch.Options
	o.Images = n
	w.orch = New(o)
	return w
}

// over ends the check that is under way, as the end of a term does.
func (w *world) over() {
	w.term.cancel()
	w.tries["r0"].images.stop()
}

func TestImages_HoldAStageUntilTheNodesHaveWhatWasTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &nodeImages{takes: 20 * time.Second, has: map[string]string{"n1": "aa", "n2": "bb", "n3": ""}}
		w := imageWorld(t, n)
		defer w.over()
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutHolding })
		r := w.rollout("r0")
		must.SliceEmpty(t, r.Stages)
		must.EqOp(t, "image", r.Holds[0].Source)
		must.EqOp(t, "image /images/new.qcow2 on node n2 has the digest bb, node n3 has no image /images/new.qcow2; what was tried has the digest aa", r.Reason)
		must.EqOp(t, 1, n.asked.Load())

		n.has = map[string]string{"n1": "aa", "n2": "aa", "n3": "aa"} // somebody has put it there
		w.until(t, "r0", func(r api.Rollout) bool { return len(r.Stages) == 1 })
		r = w.rollout("r0")
		must.EqOp(t, 2, n.asked.Load(), must.Sprint("it is asked again after a minute, and not before"))

		n.has = map[string]string{"n1": "cc", "n2": "aa", "n3": "aa"} // and another one before the second stage
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutHolding })
		r = w.rollout("r0")
		must.Len(t, 1, r.Stages)
		must.StrContains(t, r.Reason, "node n1 has the digest cc")
		n.has["n1"] = "aa"
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutComplete })
		r = w.rollout("r0")
		must.SliceEmpty(t, w.store.Quarantines())
		must.NoError(t, w.broken)
	})
}

// TestImages_NeverKeepARollbackUp has nodes that never answer before the second stage.
func TestImages_NeverKeepARollbackUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &nodeImages{has: map[string]string{"n1": "aa"}}
		w := imageWorld(t, n)
		defer w.over()
		w.until(t, "r0", func(r api.Rollout) bool { return len(r.Stages) == 1 })
		n.takes = 24 * time.Hour
		w.until(t, "r0", func(r api.Rollout) bool { return n.asked.Load() == 2 })
		w.command("r0", "rollback", "test")
		began := w.now()
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutRolledBack })
		must.Less(t, imagesTimeout, w.now().Sub(began))
		must.NoError(t, w.broken)
	})
}

func TestImages_HoldWhenNobodyKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &nodeImages{takes: 24 * time.Hour}
		w := imageWorld(t, n)
		defer w.over()
		w.until(t, "r0", func(api.Rollout) bool { return n.asked.Load() == 1 })
		time.Sleep(imagesTimeout)
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutHolding })
		r := w.rollout("r0")
		must.EqOp(t, "it is not known which image /images/new.qcow2 the nodes have: no answer within 6m0s", r.Reason)
	})
}

// TestTriedImages_AreFilesOfTheNodes: what no node can be asked for would hold its rollout
// for ever.
func TestTriedImages_AreFilesOfTheNodes(t *testing.T) {
	var changes []api.Apply
	for _, image := range []string{"/images/new.qcow2", "${meta.images}/new.qcow2", "local/new.qcow2", "${NOMAD_ALLOC_DIR}/data/new.qcow2"} {
		changes = append(changes, api.Apply{Kind: api.ApplyImage, Image: image, Digest: "aa"})
	}
	changes = append(changes, api.Apply{Kind: api.ApplyImage, Image: "/images/other.qcow2"})
	must.Eq(t, changes[:2], triedImages(changes))
	fetched := api.Apply{Kind: api.ApplyImage, Image: "local/new.qcow2", Source: "https://images.example/new.qcow2", Digest: "aa"}
	must.Eq(t, []api.Apply{fetched}, triedImages([]api.Apply{fetched}), must.Sprint("the nodes can fetch it"))
}

func TestWithDigests_TakesThemFromTheTreatment(t *testing.T) {
	changes := []api.Apply{
		{Kind: api.ApplyImage, Image: "/a"}, {Kind: api.ApplyImage, Image: "/b", Digest: "baked"}, {Kind: api.ApplyJob}, {Kind: api.ApplyImage, Image: "/c"},
	}
	twins := []api.Twin{
		{Role: "control", Image: "/a", ImageDigest: "former"}, {Role: "treatment", Image: "/a", ImageDigest: "tried"}, {Role: "treatment", Image: "/b", ImageDigest: "other"},
	}
	var got []string
	for _, a := range withDigests(changes, twins) {
		got = append(got, a.Digest)
	}
	must.EqOp(t, "tried,baked,,", strings.Join(got, ","))
	must.EqOp(t, "", changes[0].Digest)
	must.SliceEmpty(t, withDigests(nil, twins))
}
