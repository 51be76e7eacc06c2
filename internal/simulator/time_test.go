package simulator_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/simulator"
	"github.com/oakumhq/oakum/internal/twin"
)

// Times of a real Nomad, on two cores without hardware acceleration.
const (
	bakeTakes   = 3 * time.Second        // the appliance, from its boot to its power-off
	jobTakes    = 500 * time.Millisecond // from a registration to a task that runs
	removeTakes = 2500 * time.Millisecond
)

// unhurried is a model whose jobs take the time of real ones to start and to go.
type unhurried struct {
	*model
	*oven
}

func (u *unhurried) StartTwin(ctx context.Context, spec twin.Spec) (twin.Machine, error) {
	time.Sleep(jobTakes)
	return u.model.StartTwin(ctx, spec)
}

func (u *unhurried) StopTwin(ctx context.Context, namespace, job string) error {
	time.Sleep(removeTakes)
	return u.model.StopTwin(ctx, namespace, job)
}

func (u *unhurried) BakeImage(ctx context.Context, spec twin.BakeSpec) (twin.Image, error) {
	time.Sleep(jobTakes + bakeTakes + removeTakes)
	return u.oven.BakeImage(ctx, spec)
}

func (u *unhurried) DiscardImage(ctx context.Context, target api.TargetRef, job string, baked twin.Image) error {
	time.Sleep(jobTakes + removeTakes)
	return u.oven.DiscardImage(ctx, target, job, baked)
}

// TestTry_SpendsItsTimeOnTheExperiment holds the time to a verdict to at most one and a
// half times what the bake, the boots, the warm-ups and the load need, to which the
// rehearsal of a revert adds a boot.
func TestTry_SpendsItsTimeOnTheExperiment(t *testing.T) {
	for name, c := range map[string]struct {
		pairs    int
		duration time.Duration
		data     []string
	}{
		"one pair, short":        {1, 30 * time.Second, nil},
		"four pairs, short":      {4, 30 * time.Second, nil},
		"four pairs, five min":   {4, 5 * time.Minute, nil},
		"four pairs with a disk": {4, 5 * time.Minute, []string{"drive /data/store.raw"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := &unhurried{model: newModel(), oven: &oven{}}
				u.data = c.data
				var warmUps, since time.Duration // since is when the present one began
				turns := 0
				began := time.Now()
				s := simulator.New(simulator.Options{
					Sandbox: u, Baker: u, Transport: u.model, Warmup: 5 * time.Second,
					Progress: func(_ context.Context, _ string, p api.SimulationProgress) {
						switch p.Phase {
						case api.PhaseWarmUp:
							turns++
							since = time.Since(began)
						case api.PhaseLoad:
							warmUps += time.Since(began) - since
						}
					},
				})
				r := scripted()
				r.Spec.Pairs, r.Spec.Duration = c.pairs, api.Duration(c.duration)
				impact, _, err := s.Try(t.Context(), r)
				must.NoError(t, err)
				must.EqOp(t, api.SimulationPass, impact.Verdict, must.Sprint(impact.Reason))
				took := time.Since(began)
				boots := turns
				if c.data != nil {
					must.EqOp(t, api.RevertServes, impact.Revert.Outcome)
					boots++
				}
				load := c.duration / time.Duration(c.pairs) * time.Duration(turns)
				needed := bakeTakes + time.Duration(boots)*u.control.boot + warmUps + load
				t.Logf("%.2f: %s for a bake of %s, %d boots of %s, warm-ups of %s and a load of %s",
					took.Seconds()/needed.Seconds(), took, bakeTakes, boots, u.control.boot, warmUps, load)
				must.LessEq(t, 1.5, took.Seconds()/needed.Seconds())
			})
		})
	}
}
