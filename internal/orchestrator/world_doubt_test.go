package orchestrator

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/planner"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

// doubts are the sources of a world's graph. They go away, lack a part and come back,
// and the world's plan was made while one of them was away. They have luck of their
// own, so that a world without a doubt goes the way that it went before.
type doubts struct {
	rng      *rand.Rand // nil in a world without a doubt
	restless float64    // of a source to change, between two turns
	haunt    float64    // of a lapse to reach the log late
	truth    map[string]api.SourceState
	failures map[string]int
	read     map[string]bool // sources that the leader of this term has recorded
	anew     string          // what the policies say with a whole graph
	overdue  map[string]int  // steps that a doubt has outlived a whole graph in peace
	tally    doubtsTally
}

// doubtsTally counts what became of doubts.
type doubtsTally struct {
	Lapsed, Stricter, Consented int // rollouts; of those that lapsed, those with a stricter decision; of the others, those that a person let go
	Unclear, Refused            int // decisions that could not be made; lapses that the log refused
}

func (t *doubtsTally) add(o doubtsTally) {
	t.Lapsed, t.Stricter, t.Consented = t.Lapsed+o.Lapsed, t.Stricter+o.Stricter, t.Consented+o.Consented
	t.Unclear, t.Refused = t.Unclear+o.Unclear, t.Refused+o.Refused
}

// positive holds that everything happened; what is rare, in many worlds only.
func (t *doubtsTally) positive(tt *testing.T) {
	tt.Helper()
	happened := map[string]int{"lapsed": t.Lapsed, "lapsed into something stricter": t.Stricter, "was unclear": t.Unclear}
	if *seeds >= 2000 {
		happened["was ended by a person"], happened["met a log that knew better"] = t.Consented, t.Refused
	}
	for name, n := range happened {
		must.Positive(tt, n, must.Sprintf("no doubt %s: the worlds test too little", name))
	}
}

// What the policies say anew.
const (
	anewFree     = "nothing"
	anewStrict   = "an approval"
	anewSimulate = "a simulation"
)

// doubt draws whether the plan is made in doubt, and records its sources.
func (w *world) doubt(n int64, d *api.Decision) {
	rng := rand.New(rand.NewPCG(uint64(n), 0x0d0b))
	if w.store.Level() < levels.Four || rng.Float64() < 0.6 {
		return
	}
	w.doubts = doubts{
		rng: rng, restless: []float64{0, 0.02, 0.1, 0.4}[rng.IntN(4)], haunt: []float64{0, 0, 0.7}[rng.IntN(3)],
		failures: map[string]int{}, read: map[string]bool{}, overdue: map[string]int{},
		truth: map[string]api.SourceState{"consul": api.SourceAway, "nomad": api.SourceWhole, "prometheus": api.SourceWhole},
		anew:  []string{anewFree, anewFree, anewStrict, anewSimulate}[rng.IntN(4)],
	}
	w.must(&state.GraphChange{GraphChange: api.GraphChange{Sources: []api.SourceStatus{
		{Name: "consul", Error: "refused", Failures: 3, Failing: w.now(), Failed: w.now()}, {Name: "nomad", OK: true}, {Name: "prometheus", OK: true},
	}}})
	d.Approval.Count = 1
	d.Doubt = &api.Doubt{Sources: api.DoubtedSources(w.store.Sources())}
}

// sky changes the sources, between two turns.
func (d *doubts) sky(w *world) {
	for _, name := range []string{"consul", "nomad", "prometheus"} {
		if d.rng == nil || d.rng.Float64() >= d.restless {
			continue
		}
		d.truth[name] = []api.SourceState{api.SourceWhole, api.SourceWhole, api.SourceAway, api.SourcePartial}[d.rng.IntN(4)]
		w.say("source %s is %s from now on", name, d.truth[name])
	}
}

// haunts draws whether a write is late, of those that end a doubt.
func (d *doubts) haunts(cmd state.Command) bool {
	t, ok := cmd.(*state.RolloutTransition)
	return ok && t.Kind == kindLapse && d.rng.Float64() < d.haunt
}

// heal makes the graph whole for good.
func (d *doubts) heal() {
	for name := range d.truth {
		d.truth[name] = api.SourceWhole
	}
}

// survey is a round of the leader's mapper: it records what is different.
func (w *world) survey() {
	d := &w.doubts
	if d.rng == nil || w.term.over() || w.now().Before(w.idle) || d.rng.Float64() < 0.2 {
		return
	}
	var cmd state.GraphChange
	answered := map[string]bool{}
	for _, before := range w.store.Sources() {
		next := d.asked(before, w.clock())
		answered[before.Name] = next.Failures == 0
		if next.State() != before.State() {
			cmd.Sources = append(cmd.Sources, next)
		}
	}
	if len(cmd.Sources) > 0 {
		if err := w.term.commit(w.term.ctx, boundary{}, "sources", &cmd); err != nil {
			return // the next round finds it again
		}
	}
	for name, ok := range answered {
		d.read[name] = d.read[name] || ok
	}
}

// asked is the status of a source after a try of now.
func (d *doubts) asked(s api.SourceStatus, now time.Time) api.SourceStatus {
	if d.truth[s.Name] != api.SourceAway {
		d.failures[s.Name] = 0
		s = api.SourceStatus{Name: s.Name, OK: true}
		if d.truth[s.Name] == api.SourcePartial {
			s.Partial = "some are hidden"
		}
		return s
	}
	d.failures[s.Name]++
	if s.Failing.IsZero() {
		s.Failing = now
	}
	s.Failures, s.Failed, s.Error = d.failures[s.Name], now, "refused"
	s.OK = s.OK && s.Failures < 3
	return s
}

// reconsider is what the policies say with a whole graph. Now and then they can't be
// evaluated.
func (w *world) reconsider(r api.Rollout) (api.Decision, error) {
	d := &w.doubts
	sources := w.store.Sources()
	for i := range sources {
		sources[i].Unread = !d.read[sources[i].Name]
	}
	if err := planner.NotWhole(sources); err != nil {
		return api.Decision{}, err
	}
	if w.faults && d.rng.Float64() < 0.3 {
		d.tally.Unclear++
		return api.Decision{}, api.Errorf(api.CodeInvalid, "argument must not be null")
	}
	decision := r.Decision
	decision.Approval.Count = 0
	switch d.anew {
	case anewStrict:
		decision.Approval.Count = 1
	case anewSimulate:
		decision.Simulate.Required = true
	}
	doubt := *decision.Doubt
	doubt.Lapse = &api.Lapse{At: w.clock(), Reason: "the graph is whole, the policies ask for " + d.anew}
	decision.Doubt = &doubt
	return decision, nil
}

// standing are the rollouts whose doubt stands, as they are.
func (w *world) standing() []api.Rollout {
	if w.doubts.rng == nil {
		return nil
	}
	var out []api.Rollout
	for _, r := range w.store.OpenRollouts() {
		if r.Decision.InDoubt() {
			out = append(out, r)
		}
	}
	return out
}

// lapsed holds what an entry of the log has made of doubts: one ends only while every
// source in the record is whole, and changes nothing that a person or an effect did.
func (w *world) lapsed(before []api.Rollout, refused error) {
	for _, was := range before {
		now, _ := w.store.Rollout(was.ID)
		if now.Decision.InDoubt() {
			if refused != nil && strings.Contains(refused.Error(), "rollout "+was.ID+": its doubt can't lapse") {
				w.doubts.tally.Refused++
			}
			if len(now.Approvals) == 0 && (now.Former != nil || now.Status == api.RolloutWaiting || now.Status == api.RolloutRunning) {
				w.fail("%s is %s, its doubt stands and nobody has consented", now.ID, now.Status)
			}
			if len(now.Approvals) > 0 && len(was.Approvals) == 0 {
				w.doubts.tally.Consented++
			}
			continue
		}
		w.doubts.tally.Lapsed++
		if err := planner.NotWhole(w.store.Sources()); err != nil {
			w.fail("the doubt of %s has lapsed: %v", now.ID, err)
		}
		if now.Decision.Doubt == nil || len(now.Decision.Doubt.Sources) != len(was.Decision.Doubt.Sources) {
			w.fail("%s does not tell any more why it was in doubt", now.ID)
		}
		if was.Status != api.RolloutAwaitingApproval || was.Effect != nil || now.Former != nil {
			w.fail("the doubt of %s has lapsed while it was %s", now.ID, was.Status)
		}
		if len(now.Approvals) < len(was.Approvals) {
			w.fail("%s has lost an approval", now.ID)
		}
		want := map[string]api.RolloutStatus{anewFree: api.RolloutWaiting, anewStrict: api.RolloutAwaitingApproval, anewSimulate: api.RolloutSimulating}[w.doubts.anew]
		if want == api.RolloutSimulating && was.Simulation != "" {
			want = api.RolloutWaiting
		}
		if want == api.RolloutSimulating && w.store.Brake().On {
			want = api.RolloutPending // the simulation waits for the brake
		}
		if u := was.Undecided; u != nil && u.Follows == api.InconclusiveApprove {
			want = api.RolloutAwaitingApproval // the question of the simulation stays
		}
		if want != api.RolloutWaiting {
			w.doubts.tally.Stricter++
		}
		if now.Status != want {
			w.fail("%s is %s after its doubt has lapsed, and the policies ask for %s", now.ID, now.Status, w.doubts.anew)
		}
	}
}

// overdueSteps is how many steps of peace a doubt may outlive a whole graph: a leader
// has its rounds and turns in fewer.
const overdueSteps = 15

// ends holds that a doubt ends when the graph is whole and stays so.
func (w *world) ends() {
	for _, r := range w.standing() {
		if w.now().Before(w.idle) || r.Status != api.RolloutAwaitingApproval {
			continue
		}
		if w.doubts.overdue[r.ID]++; w.doubts.overdue[r.ID] > overdueSteps {
			w.fail("the graph is whole for %d steps, and %s waits for an approval that was asked for in doubt", overdueSteps, r.ID)
		}
	}
}
