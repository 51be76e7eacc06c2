package collector_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/collector"
	"github.com/oakumhq/oakum/internal/inventory"
	"github.com/oakumhq/oakum/internal/twin"
)

// floor is a world with client nodes.
type floor struct {
	*world
	nodes  []api.Node
	broken map[string]error // why a node can't be read
	left   error            // why the job of a reading may be left
	off    bool
	read   [][]string // nodes of each job
}

func newFloor(t *testing.T, nodes int) *floor {
	t.Helper()
	f := &floor{world: newWorld(t), broken: map[string]error{}}
	for i := range nodes {
		f.nodes = append(f.nodes, api.Node{ID: fmt.Sprintf("n%d", i), Name: fmt.Sprintf("node-%d", i), Status: "ready", Drivers: []string{"exec", "raw_exec"}})
	}
	return f
}

func (f *floor) Nodes(context.Context) ([]api.Node, error) { return slices.Clone(f.nodes), nil }

func (f *floor) ReadNodes(ctx context.Context, spec twin.NodesSpec) (map[string]twin.NodePackages, error) {
	f.mu.Lock()
	owner := f.readings["nodes"]
	must.True(f.t, slices.ContainsFunc(owner.Owned, func(o api.SandboxObject) bool { return o.Name == spec.Job }), must.Sprint("a job is on record before it exists"))
	f.reading++
	must.EqOp(f.t, 1, f.reading, must.Sprint("one at a time"))
	f.read = append(f.read, spec.Nodes)
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.reading--
		f.mu.Unlock()
	}()
	select {
	case <-time.After(time.Minute):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	out := map[string]twin.NodePackages{}
	for _, id := range spec.Nodes {
		out[id] = twin.NodePackages{Databases: map[string]string{"dpkg": "Package: bash\nVersion: 5.2\n"}, Err: f.broken[id]}
	}
	return out, f.left
}

// lead is a term of leadership of so long.
func (f *floor) lead(d time.Duration) {
	ctx, cancel := context.WithTimeout(f.t.Context(), d)
	defer cancel()
	o := collector.Options{
		Fleet: f.world, Record: f.world, Found: f.found, Sources: []collector.Source{collector.Images{Machines: f.world}},
		Nodes: f, MaxAge: f.maxAge, Within: 30 * time.Minute, Logger: slog.New(slog.DiscardHandler),
	}
	if f.off {
		o.Nodes = nil
	}
	must.ErrorIs(f.t, collector.New(o).Run(ctx), context.DeadlineExceeded)
}

// now are the nodes as they are known.
func (f *floor) now() []api.Node {
	return inventory.FindNodes(f.nodes, inventory.KeptOf(f.records), f.Readings(), f.maxAge, time.Now())
}

func TestRun_ReadsNodesByOneJob(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFloor(t, 9)
		f.nodes[0].Status, f.nodes[1].Ineligible = "down", true
		f.nodes[2].Drivers = []string{"docker"}
		f.lead(time.Hour)
		must.Len(t, 1, f.read)
		must.Len(t, 6, f.read[0])
		for i, n := range f.now() {
			must.EqOp(t, i < 3, n.Missing != "", must.Sprint(n.Missing))
		}
		must.StrContains(t, f.now()[2].Missing, "the driver raw_exec does not work on the node")
		must.SliceEmpty(t, f.readings["nodes"].Owned)

		t.Log("two that come later are read, and no other")
		f.nodes[0].Status, f.nodes[1].Ineligible = "ready", false
		f.lead(time.Hour)
		must.Eq(t, []string{"n0", "n1"}, f.read[1])

		t.Log("each is read anew at half of the time")
		f.read = nil
		f.lead(25 * time.Hour)
		must.Len(t, 2, f.read)
		must.EqOp(t, "", f.now()[7].Missing)

		t.Log("where nobody reads them any more, they are soon unknown")
		f.off = true
		f.lead(49 * time.Hour)
		must.StrContains(t, f.now()[7].Missing, "stale")
		must.MapLen(t, 1, f.readings, must.Sprint("the record of the jobs"))
	})
}

func TestRun_PausesLongerAfterEachFailureOfANode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFloor(t, 2)
		f.broken["n0"] = api.Errorf(api.CodeUnavailable, "dpkg is locked")
		f.lead(3 * time.Hour)
		must.Between(t, 5, len(f.read), 8)
		must.Eq(t, []string{"n0"}, f.read[len(f.read)-1], must.Sprint("the other is read once"))
		must.StrContains(t, f.now()[0].Missing, "dpkg is locked")
		must.EqOp(t, "", f.now()[1].Missing)

		t.Log("a node that was read and then fails is unknown at once")
		f.broken = map[string]error{"n1": api.Errorf(api.CodeUnavailable, "no disk")}
		f.lead(30 * time.Hour)
		must.EqOp(t, "", f.now()[0].Missing)
		must.NotNil(t, f.now()[1].Record)
		must.StrContains(t, f.now()[1].Missing, "no disk")

		t.Log("of a node that is gone nothing is left")
		f.nodes = f.nodes[:1]
		f.lead(time.Hour)
		must.MapNotContainsKey(t, f.readings, "node:n1")
	})
}

// TestRun_RemovesTheJobOfNodesThatAFormerLeaderLeft kills a leader while it reads, and has
// Nomad not tell whether a job is gone.
func TestRun_RemovesTheJobOfNodesThatAFormerLeaderLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFloor(t, 1)
		f.lead(30 * time.Second)
		left := f.readings["nodes"].Owned
		must.Len(t, 1, left)
		must.EqOp(t, twin.NodesNamespace, left[0].Namespace)
		must.StrContains(t, f.now()[0].Missing, "is being read")
		f.left = api.Errorf(api.CodeTimeout, "a node does not answer")
		f.lead(time.Hour)
		must.SliceEmpty(t, f.readings["nodes"].Owned)
		must.MapLen(t, 2, f.jobs)
		must.GreaterEq(t, 5, f.jobs[left[0].Name], must.Sprint("a registration may come late"))
		must.EqOp(t, "", f.now()[0].Missing, must.Sprint("what was told counts"))
	})
}

// TestRun_ReadsNodesAndImagesInTurn holds that neither waits for all of the other.
func TestRun_ReadsNodesAndImagesInTurn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFloor(t, 600)
		f.world = newWorld(t, "/images/a.qcow2", "/images/bb.qcow2", "/images/ccc.qcow2")
		f.lead(150 * time.Second)
		must.Len(t, 500, f.read[0])
		must.Positive(t, len(f.asked))
		f.lead(10 * time.Minute)
		must.GreaterEq(t, 3, len(f.asked))
		for _, n := range f.now() {
			must.EqOp(t, "", n.Missing)
		}
	})
}
