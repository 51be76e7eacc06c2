package simulator_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/simulator"
	"github.com/oakumhq/oakum/internal/twin"
)

// watched is a model that looks at the ledger whenever something is made.
type watched struct {
	*model
	*oven
	t      *testing.T
	ledger *ledger
}

func (w *watched) holds(kind, name string) {
	w.t.Helper()
	must.SliceContainsFunc(w.t, w.ledger.Owned("r1/2"), name, func(o api.SandboxObject, name string) bool {
		return o.Kind == kind && o.Name == name
	}, must.Sprintf("%s %s is made before it is recorded", kind, name))
}

func (w *watched) StartTwin(ctx context.Context, spec twin.Spec) (twin.Machine, error) {
	w.holds(api.ObjectJob, spec.Job)
	return w.model.StartTwin(ctx, spec)
}

func (w *watched) BakeImage(ctx context.Context, spec twin.BakeSpec) (twin.Image, error) {
	w.holds(api.ObjectJob, spec.Job)
	w.holds(api.ObjectImage, spec.Result)
	return w.oven.BakeImage(ctx, spec)
}

func (w *watched) DiscardImage(ctx context.Context, target api.TargetRef, job string, baked twin.Image) error {
	w.holds(api.ObjectJob, job)
	w.holds(api.ObjectImage, baked.Path)
	return w.oven.DiscardImage(ctx, target, job, baked)
}

// scripted is a request whose patch is a script.
func scripted() simulator.Request {
	r := request()
	r.Apply = []api.Apply{{Kind: api.ApplyImage, Task: "vm", Image: "/images/store-1.1.qcow2"}, {Kind: api.ApplyScript, Task: "vm", Script: "true"}}
	return r
}

func TestTry_RecordsWhatItMakesBeforeItExists(t *testing.T) {
	late := api.Errorf(api.CodeTimeout, "no answer")
	cases := map[string]struct {
		change func(*watched)
		left   []string // kinds
		fails  bool
	}{
		"a patch that passes keeps its image": {func(*watched) {}, []string{api.ObjectImage}, false},
		"a bad patch leaves nothing":          {func(w *watched) { w.patched.errors = 0.5 }, nil, false},
		"a script that fails leaves nothing":  {func(w *watched) { w.err = api.Errorf(api.CodeConflict, "exit 1") }, nil, false},
		"a bake of unknown end stays":         {func(w *watched) { w.err = late }, []string{api.ObjectJob, api.ObjectImage}, true},
		"a registration of unknown end stays": {func(w *watched) { w.lostCall = true }, []string{api.ObjectJob}, true},
		"nothing is made without the record":  {func(w *watched) { w.ledger.err = late }, nil, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &watched{newModel(), &oven{}, t, &ledger{}}
				c.change(w)
				s := simulator.New(simulator.Options{Sandbox: w, Baker: w, Ledger: w.ledger, Transport: w})
				_, _, err := s.Try(t.Context(), scripted())
				must.EqOp(t, c.fails, err != nil, must.Sprint(err))
				var left []string
				for _, o := range w.ledger.Owned("r1/2") {
					left = append(left, o.Kind)
				}
				must.Eq(t, c.left, left)
				must.MapEmpty(t, w.machines)
			})
		})
	}
}

// TestTry_RemovesTheJobsOfAnEarlierAttempt starts where a crash left off, beside a job
// of the same prefix that the record does not know.
func TestTry_RemovesTheJobsOfAnEarlierAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := newModel(), &ledger{}
		dead := api.SandboxObject{Kind: api.ObjectJob, Namespace: "default", Name: "oakum-twin-r1-2-dead-control"}
		must.NoError(t, l.Own(t.Context(), "r1/2", dead))
		m.machines[dead.Name] = &machine{}
		m.machines["oakum-twin-of-another-cluster"] = &machine{}
		_, _, err := simulator.New(simulator.Options{Sandbox: m, Ledger: l, Transport: m}).Try(t.Context(), request())
		must.NoError(t, err)
		must.MapLen(t, 1, m.machines)
		must.MapContainsKey(t, m.machines, "oakum-twin-of-another-cluster")
		must.Eq(t, []api.SandboxObject{dead}, l.Owned("r1/2"), must.Sprint("it is removed once more later"))
	})
}

func TestRemove_RemovesWhatWasLeft(t *testing.T) {
	t.Parallel()
	w := &watched{newModel(), &oven{}, t, &ledger{}}
	s := simulator.New(simulator.Options{Sandbox: w, Baker: w, Ledger: w.ledger})
	sim := api.Simulation{ID: "r1/2", Target: request().Target.TargetRef}
	job := api.SandboxObject{Kind: api.ObjectJob, Namespace: "default", Name: "oakum-twin-r1-2-a-control"}
	image := api.SandboxObject{Kind: api.ObjectImage, Name: "/images/store+a.qcow2", Node: "n1"}
	w.machines[job.Name] = &machine{}
	must.NoError(t, w.ledger.Own(t.Context(), sim.ID, job, image))
	must.NoError(t, s.Remove(t.Context(), sim, job))
	must.MapEmpty(t, w.machines)
	must.NoError(t, s.Remove(t.Context(), sim, image))
	must.Eq(t, []string{image.Name}, w.discarded)
	must.ErrorContains(t, s.Remove(t.Context(), sim, api.SandboxObject{Kind: "volume", Name: "x"}), "does not know its kind")
}
