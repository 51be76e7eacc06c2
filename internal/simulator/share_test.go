package simulator_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/shoenig/test/must"
	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/simulator"
)

// contents are the contents of targets, by the name of their job.
type contents map[string]string

func (c contents) Content(_ context.Context, ref api.TargetRef) (string, error) {
	if c[ref.Job] == "" {
		return "", api.Errorf(api.CodeUnavailable, "nomad is away")
	}
	return c[ref.Job], nil
}

// tryAll tries the patch on targets of one submission at once, and returns the impacts
// by ID.
func tryAll(t *testing.T, s *simulator.Simulator, n int, change func(i int, r *simulator.Request)) map[string]api.Impact {
	t.Helper()
	var group errgroup.Group
	var mu sync.Mutex
	out := map[string]api.Impact{}
	for i := range n {
		r := request()
		r.ID, r.Rollout, r.Plan = fmt.Sprintf("s%03d", i), fmt.Sprintf("r%03d", i), "p1"
		r.Target.Job = fmt.Sprintf("web-%03d", i)
		change(i, &r)
		group.Go(func() error {
			impact, apply, err := s.Try(t.Context(), r)
			mu.Lock()
			defer mu.Unlock()
			out[r.ID] = impact
			if err == nil && !impact.Negative {
				must.Positive(t, len(apply), must.Sprint("it knows what production gets"))
			}
			return err
		})
	}
	must.NoError(t, group.Wait())
	return out
}

// simulated counts the simulations that measured by themselves.
func simulated(impacts map[string]api.Impact) int {
	own := 0
	for _, i := range impacts {
		if i.SameAs == "" {
			own++
		}
	}
	return own
}

func TestTry_AHundredTargetsWithFourImagesNeedFourSimulations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, c := newModel(), contents{}
		m.nodes = []string{"n1", "n2"}
		for i := range 100 {
			c[fmt.Sprintf("web-%03d", i)] = fmt.Sprint("image ", i%4)
		}
		s := simulator.New(simulator.Options{Sandbox: m, Transport: m, Contents: c})
		impacts := tryAll(t, s, 100, func(int, *simulator.Request) {})
		must.EqOp(t, 4, simulated(impacts))
		jobs := map[string]bool{}
		for _, spec := range m.specs {
			jobs[spec.Job[:len("oakum-twin-s000")]] = true
		}
		must.MapLen(t, 4, jobs)
		for id, impact := range impacts {
			must.Len(t, 64, []byte(impact.Content), must.Sprint(id))
			if impact.SameAs != "" {
				must.EqOp(t, impact.Content, impacts[impact.SameAs].Content)
				must.EqOp(t, "", impacts[impact.SameAs].SameAs)
			}
		}
	})
}

func TestTry_SharesNothingThatDiffers(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*simulator.Request){
		"another submission":       func(r *simulator.Request) { r.Plan = "p2" },
		"another patch":            func(r *simulator.Request) { r.Apply[0].Image = "/images/store-1.2.qcow2" },
		"other bytes of the image": func(r *simulator.Request) { r.Apply[0].Digest = "ab" },
		"another policy":           func(r *simulator.Request) { r.Judge.FalseAlarm = 0.02 },
		"another length":           func(r *simulator.Request) { r.Spec.Pairs = 1 },
		"other requests":           func(r *simulator.Request) { r.Target.Meta = map[string]string{"oakum_paths": "/other"} },
		"a production that fails half": func(r *simulator.Request) {
			r.Baseline = &api.Profile{KPIs: []api.Baseline{{KPI: api.KPIErrorRate, Mean: 0.5}}}
		},
		"a content nobody knows": func(r *simulator.Request) { r.Target.Job = "unknown" },
		"no submission":          func(r *simulator.Request) { r.Plan = "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newModel()
				s := simulator.New(simulator.Options{Sandbox: m, Transport: m, Contents: contents{"web-000": "same", "web-001": "same"}})
				impacts := tryAll(t, s, 2, func(i int, r *simulator.Request) {
					if i == 1 {
						change(r)
					}
				})
				must.EqOp(t, 2, simulated(impacts))
			})
		})
	}
}

// TestTry_SharesNoCheckWithOneThatHasRequests: a health check alone covers nothing where
// production has requests.
func TestTry_SharesNoCheckWithOneThatHasRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newModel()
		s := simulator.New(simulator.Options{Sandbox: m, Transport: m, Contents: contents{"web-000": "same", "web-001": "same"}})
		impacts := tryAll(t, s, 2, func(i int, r *simulator.Request) {
			r.Target.Meta = nil
			if i == 1 {
				r.Baseline = &api.Profile{KPIs: []api.Baseline{{KPI: api.KPIRequests, Mean: 5}}}
			}
		})
		must.EqOp(t, 2, simulated(impacts))
		must.EqOp(t, api.SimulationPass, impacts["s000"].Verdict)
		must.EqOp(t, api.SimulationUndecided, impacts["s001"].Verdict)
	})
}

// TestTry_TakesNoFailureForAVerdict has the first of three not find a sandbox.
func TestTry_TakesNoFailureForAVerdict(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newModel()
		c := contents{"web-000": "same", "web-001": "same", "web-002": "same"}
		s := simulator.New(simulator.Options{Sandbox: m, Transport: m, Contents: c})
		ctx, cancel := context.WithCancel(t.Context())
		first := request()
		first.ID, first.Plan, first.Target.Job = "first", "p1", "web-000"
		failed := make(chan error, 1)
		go func() { _, _, err := s.Try(ctx, first); failed <- err }()
		synctest.Wait()
		var impacts map[string]api.Impact
		done := make(chan struct{})
		go func() {
			defer close(done)
			impacts = tryAll(t, s, 3, func(int, *simulator.Request) {})
		}()
		synctest.Wait()
		cancel() // its rollout was aborted
		must.ErrorIs(t, <-failed, context.Canceled)
		<-done
		must.EqOp(t, 1, simulated(impacts))
	})
}

// TestTry_TakesARecordedVerdict begins with what a former leader recorded.
func TestTry_TakesARecordedVerdict(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		verdict api.SimulationVerdict
		again   bool
		own     int
	}{
		"that passed":             {api.SimulationPass, false, 0},
		"that rejected":           {api.SimulationReject, true, 0},
		"that could not decide":   {api.SimulationUndecided, false, 0},
		"nor the one tried again": {api.SimulationUndecided, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newModel()
				s := simulator.New(simulator.Options{
					Sandbox: m, Transport: m, Contents: contents{"web-000": "same"},
					Known: func(_ simulator.Request, content string) (simulator.Known, bool) {
						impact := api.Impact{Verdict: c.verdict, Negative: c.verdict == api.SimulationReject, Content: content, Series: []api.Series{{}}, Twins: []api.Twin{{Job: "j", Console: "login:"}}}
						return simulator.Known{Simulation: "former", Impact: impact, Apply: request().Apply}, true
					},
				})
				impacts := tryAll(t, s, 1, func(_ int, r *simulator.Request) { r.Again = c.again })
				must.EqOp(t, c.own, simulated(impacts))
				if c.own == 0 {
					must.EqOp(t, "former", impacts["s000"].SameAs)
					must.SliceEmpty(t, impacts["s000"].Series)
					must.Eq(t, []api.Twin{{Job: "j"}}, impacts["s000"].Twins)
				}
			})
		})
	}
}
