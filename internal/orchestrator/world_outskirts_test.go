package orchestrator

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/blame"
)

// outskirts is what is around the jobs of a world: services that they begin to
// try although it is denied, and a target beside some of them that is not patched
// and falls sick now and then. It has luck of its own, so that a world without it
// goes the way that it went before there was any.
type outskirts struct {
	rng      *rand.Rand
	denials  float64 // at an interlude
	sickness float64 // at an interlude, to fall sick or to get well
	graph    modelGraph
	beside   map[string]bool // jobs that an edge joins to the neighbour
	sick     time.Time       // since when the neighbour is; zero means that it is well
	refused  map[string]bool // jobs whose rollout was told of an attempt, and turns back for it
	fog      *rand.Rand      // the luck of what hides the neighbour
	hides    float64         // of a look
	tally    outskirtsTally

	// Of the present turn:
	told map[string]bool // jobs whose rollout was told of an attempt
	said api.VerdictKind // by the judge
	dark bool            // nobody knows how the neighbour is, nor that it is one
}

// outskirtsTally counts what rollouts were told, and what became of it.
type outskirtsTally struct {
	Attempts, TurnedBack, Held int // denied attempts told; rollouts that turned back or held for one
	Sick, Waited, Late, WentOn int // looks beside a sick neighbour; promotions taken back, at the stage's end; and not
	EarlierThanTheRollout      int // looks at which it had been sick before
	Kept                       int // looks beside one that was sick and of which nothing is known now
}

func (o *outskirtsTally) add(other outskirtsTally) {
	o.Attempts, o.TurnedBack, o.Held = o.Attempts+other.Attempts, o.TurnedBack+other.TurnedBack, o.Held+other.Held
	o.Sick, o.Waited, o.Late, o.WentOn = o.Sick+other.Sick, o.Waited+other.Waited, o.Late+other.Late, o.WentOn+other.WentOn
	o.EarlierThanTheRollout, o.Kept = o.EarlierThanTheRollout+other.EarlierThanTheRollout, o.Kept+other.Kept
}

// positive holds that everything happened; what is rare, in many worlds only.
func (o *outskirtsTally) positive(t *testing.T) {
	t.Helper()
	happened := map[string]int{"turned back for an attempt": o.TurnedBack, "held for one": o.Held, "waited for a neighbour": o.Waited, "waited for one that nobody sees": o.Kept}
	if *seeds >= 2000 {
		happened["went on beside a sick neighbour"], happened["found it sick before"] = o.WentOn, o.EarlierThanTheRollout
		happened["waited until the stage's time was over"] = o.Late
	}
	for name, n := range happened {
		must.Positive(t, n, must.Sprintf("no rollout %s: the worlds test too little", name))
	}
}

func newOutskirts(n int64) outskirts {
	o := outskirts{rng: rand.New(rand.NewPCG(uint64(n), 0x0b5e)), beside: map[string]bool{}, refused: map[string]bool{}, told: map[string]bool{}}
	o.denials = []float64{0, 0, 0.002, 0.01}[o.rng.IntN(4)]
	o.sickness = []float64{0, 0.005, 0.03, 0.1}[o.rng.IntN(4)]
	o.fog = rand.New(rand.NewPCG(uint64(n), 0xf06))
	o.hides = []float64{0, 0.1, 0.5}[o.fog.IntN(3)]
	return o
}

// decide draws what the policy makes of all that.
func (o *outskirts) decide(d *api.Decision) {
	if o.rng == nil {
		return
	}
	d.Rollback.OnDenied = o.rng.Float64() < 0.5
	if o.rng.Float64() < 0.5 {
		d.Judge.MaxDuration = api.Duration(time.Duration(10+o.rng.IntN(80)) * time.Second)
	}
}

// join draws whether an edge joins a job to the neighbour.
func (o *outskirts) join(ref api.TargetRef) {
	if o.rng != nil {
		o.beside[ref.Job] = o.rng.Float64() < 0.7
	}
}

// forget begins a turn.
func (o *outskirts) forget() {
	clear(o.told)
	o.said = ""
	o.dark = o.rng != nil && o.fog.Float64() < o.hides
}

func neighbour() api.TargetRef {
	return api.TargetRef{Namespace: "default", Job: "neighbour", Group: "g"}
}

// outside is what happens around the jobs, at any moment.
func (w *world) outside(where string) {
	o := &w.outskirts
	if o.rng == nil {
		return
	}
	job := w.refs[o.rng.IntN(len(w.refs))].Job
	switch luck := o.rng.Float64(); {
	case luck < o.denials:
		to := fmt.Sprintf("admin%d", o.rng.IntN(3))
		if slices.ContainsFunc(o.graph.edges, func(e api.Edge) bool { return e.From == job && e.To == to }) {
			return
		}
		o.graph.try(job, to, w.clock())
		w.excused[job] = true
		w.say("%s begins to try %s, which is denied (%s)", job, to, where)
	case luck < o.denials+o.sickness && o.sick.IsZero():
		o.sick = w.clock()
		w.say("the neighbour falls sick (%s)", where)
	case luck < o.denials+o.sickness:
		o.sick = time.Time{}
		w.say("the neighbour is well (%s)", where)
	}
}

// vicinity is what the orchestrator sees of the world's outskirts.
type vicinity struct {
	alone
	w *world
}

func (v vicinity) Attempts(ref api.TargetRef, since time.Time) ([]api.Attempt, bool) {
	o := &v.w.outskirts
	found, known := o.graph.Attempts(ref, since)
	if len(found) > 0 {
		o.told[ref.Job] = true
		o.tally.Attempts++
	}
	return found, known
}

func (v vicinity) Targets(ref api.TargetRef) []api.Target {
	if !v.w.outskirts.beside[ref.Job] || v.w.outskirts.dark {
		return nil
	}
	return []api.Target{{TargetRef: neighbour(), Count: 2}}
}

func (v vicinity) LastMinute(ref api.TargetRef, began, now time.Time, _ []api.KPISpec) []api.NeighbourEffect {
	if ref != neighbour() || v.w.outskirts.dark {
		return nil
	}
	e := api.NeighbourEffect{Target: ref, KPI: api.KPIErrorRate, Unit: "share", Value: 0.01, Before: 0.01, Exposure: 600}
	since := v.w.outskirts.sick
	if since.IsZero() {
		return []api.NeighbourEffect{e}
	}
	if since.After(now) { // another leader's clock was ahead
		since = now
	}
	e.Value, e.Since, e.Earlier = 0.5, since, !since.After(began)
	return []api.NeighbourEffect{e}
}

// heeded holds what a rollout makes of what it was told in this turn: of a denied
// attempt that began with the patch, that it turns back or holds as its policy
// says; of a neighbour that got worse, that it waits, and nothing else.
func (w *world) heeded(next api.Rollout) {
	o := &w.outskirts
	was := w.rollout(next.ID)
	job := next.Target.Job
	if o.told[job] {
		w.heededAttempt(was, next)
	}
	if o.said == "" || next.Verdict == nil || (was.Verdict != nil && next.Verdict.At.Equal(was.Verdict.At)) {
		return
	}
	v := *next.Verdict
	taken := o.said == api.VerdictPromote && (v.Kind == api.VerdictContinue || v.Kind == api.VerdictInconclusive)
	if v.Kind != o.said && !taken {
		w.fail("%s: the judge said %s and the rollout goes by %s", next.ID, o.said, v.Kind)
	}
	if named := blame.Named(was); o.dark && len(named) > 0 {
		o.tally.Kept++
		if len(v.Neighbours) == 0 || v.Neighbours[0] != named[0] {
			w.fail("%s forgets a neighbour that was worse, and of which nothing is known now", next.ID)
		}
	}
	if len(v.Neighbours) == 0 {
		if taken {
			w.fail("%s: a promotion was taken back and no neighbour got worse", next.ID)
		}
		return
	}
	o.tally.Sick++
	sick := v.Neighbours[0]
	switch {
	case taken && v.Kind == api.VerdictInconclusive:
		o.tally.Late++
		w.excused[job] = true
	case taken:
		o.tally.Waited++
	case sick.Earlier:
		o.tally.EarlierThanTheRollout++
	case v.Kind == api.VerdictPromote:
		o.tally.WentOn++
		// By the clocks of two leaders it may have been sick before.
		if !sick.Since.Before(next.Stages[0].Began) && w.reaching(next) == 0 {
			w.fail("%s is promoted while the neighbour is sick since %s, after its first stage began, and nobody else was near", next.ID, sick.Since)
		}
	}
	if taken && sick.Earlier {
		w.fail("%s waits for what was so before its first stage began", next.ID)
	}
}

func (w *world) heededAttempt(was, next api.Rollout) {
	o := &w.outskirts
	switch next.Status {
	case api.RolloutRollingBack:
		o.tally.TurnedBack++
	case api.RolloutHolding, api.RolloutPaused:
		o.tally.Held++
	default:
		if w.exits.left[next.Target.Job] {
			return // it has ended, since its target is gone
		}
		w.fail("%s was told of a denied attempt and is %s: %s", next.ID, next.Status, next.Reason)
	}
	if next.Decision.Rollback.OnDenied {
		o.refused[next.Target.Job] = true
	}
	if n := len(next.Stages); n > len(was.Stages) || (n > 0 && !next.Stages[n-1].Judged.Equal(was.Stages[n-1].Judged)) {
		w.fail("%s goes forward although it was told of a denied attempt", next.ID)
	}
}

// reaching is how many other rollouts under way are beside the neighbour.
func (w *world) reaching(r api.Rollout) int {
	n := 0
	for _, other := range w.store.OpenRollouts() {
		if other.ID != r.ID && blame.Begun(other) && w.outskirts.beside[other.Target.Job] {
			n++
		}
	}
	return n
}
