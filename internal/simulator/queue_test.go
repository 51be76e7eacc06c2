package simulator_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/simulator"
)

// journal keeps what was told of simulations.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) note(_ context.Context, id string, p api.SimulationProgress) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf("%s %s %d", id, p.Phase, max(p.Position, p.Pair)))
}

func TestRun_KeepsItsQuotas(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		nodes          []string
		pairs, perNode int
		most           int // machines at once
	}{
		"one node takes one pair":      {[]string{"n1"}, 4, 0, 2},
		"two nodes take one pair each": {[]string{"n1", "n2"}, 4, 0, 4},
		"one pair in all":              {[]string{"n1", "n2"}, 1, 0, 2},
		"two pairs on a node":          {[]string{"n1"}, 2, 2, 4},
		"the defaults":                 {[]string{"n1", "n2", "n3"}, 0, 0, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newModel()
				m.nodes = c.nodes
				s := simulator.New(simulator.Options{Sandbox: m, Transport: m, Pairs: c.pairs, PairsPerNode: c.perNode, Within: 3 * time.Minute})
				var runs errgroup.Group
				for i := range 6 { // one after the other they take longer than each of them may
					r := request()
					r.ID = fmt.Sprint("s", i)
					runs.Go(func() error { _, err := s.Run(t.Context(), r); return err })
				}
				must.NoError(t, runs.Wait())
				must.EqOp(t, c.most, m.most)
				must.MapEmpty(t, m.machines)
				for node, most := range m.crowds {
					must.LessEq(t, max(1, c.perNode), most, must.Sprint(node))
				}
			})
		})
	}
}

func TestRun_QueuesByKindGravityAndAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, j := newModel(), &journal{}
		s := simulator.New(simulator.Options{Sandbox: m, Transport: m, Pairs: 1, Progress: j.note})
		var runs errgroup.Group
		start := func(id, rollout string, severity api.Severity) {
			r := request()
			r.ID, r.Rollout, r.Severity = id, rollout, severity
			runs.Go(func() error { _, _, err := s.Try(t.Context(), r); return err })
			synctest.Wait()
		}
		start("first", "", api.SeverityLow)
		start("low", "r", api.SeverityLow)
		start("high-of-ada", "", api.SeverityHigh)
		start("high", "r", api.SeverityHigh)
		start("high-too", "r", api.SeverityHigh)
		start("critical-of-ada", "", api.SeverityCritical)
		start("unknown", "r", "")
		must.Eq(t, []string{
			"low queued 1", "high-of-ada queued 2", "high queued 1", "high-too queued 2", "critical-of-ada queued 4", "unknown queued 4",
		}, slices.DeleteFunc(slices.Clone(j.lines), func(l string) bool { return l[:5] == "first" }))
		must.NoError(t, runs.Wait())
		var order []string
		for _, spec := range m.specs {
			id := spec.Job[len("oakum-twin-") : len(spec.Job)-len("-a1b2c3d4-control")]
			if spec.Apply == nil {
				order = append(order, id)
			}
		}
		must.Eq(t, []string{"first", "high", "high-too", "low", "unknown", "critical-of-ada", "high-of-ada"}, slices.Compact(order))
	})
}

func TestRun_LeavesTheQueueWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newModel()
		s := simulator.New(simulator.Options{Sandbox: m, Transport: m, Pairs: 1})
		var runs errgroup.Group
		runs.Go(func() error { _, err := s.Run(t.Context(), request()); return err })
		synctest.Wait()
		ctx, cancel := context.WithCancelCause(t.Context())
		var waits errgroup.Group
		waits.Go(func() error { _, err := s.Run(ctx, request()); return err })
		synctest.Wait()
		aborted := api.Errorf(api.CodeConflict, "aborted")
		cancel(aborted)
		must.ErrorIs(t, waits.Wait(), error(aborted))
		must.NoError(t, runs.Wait())
		_, err := s.Run(t.Context(), request())
		must.NoError(t, err, must.Sprint("its place is free"))
	})
}

func TestRun_ReportsEachPhase(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, j := newModel(), &journal{}
		r := request()
		s := simulator.New(simulator.Options{Sandbox: m, Baker: &oven{}, Transport: m, Progress: j.note})
		r.Apply = scripted().Apply
		_, err := s.Run(t.Context(), r)
		must.NoError(t, err)
		must.Eq(t, []string{
			"r1/2 bake 0", "r1/2 boot 1", "r1/2 warm-up 1", "r1/2 load 1", "r1/2 remove 1",
		}, j.lines)
	})
}
