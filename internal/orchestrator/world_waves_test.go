package orchestrator

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state/levels"
)

// waves is what joins the rollouts of a world: chains of dependencies between their
// targets, and limits of failures. It has luck of its own.
type waves struct {
	rng    *rand.Rand
	chains map[[2]string]bool // jobs
	held   map[string]bool    // rollouts that were ever blocked
	turn   uint64             // index of the log when the present turn began
	over   map[int]time.Time  // by wave: when a rollout of it has ended, or was blocked, last
	tally  wavesTally
}

// wavesTally counts what became of rollouts beside others that failed.
type wavesTally struct {
	Chained, Limited   int // rollouts that were blocked by a failure in their chain, or by a limit
	Insisted, WentOn   int // that a person let go on in spite of it; that began while another one was blocked
	Paused             int // that began after a pause
	Overtaken, Blocked int // that began before an earlier wave was done, since that is blocked; that ended blocked
}

func (t *wavesTally) add(o wavesTally) {
	t.Chained, t.Limited = t.Chained+o.Chained, t.Limited+o.Limited
	t.Insisted, t.WentOn = t.Insisted+o.Insisted, t.WentOn+o.WentOn
	t.Paused += o.Paused
	t.Overtaken, t.Blocked = t.Overtaken+o.Overtaken, t.Blocked+o.Blocked
}

func (t *wavesTally) positive(tt *testing.T) {
	tt.Helper()
	happened := map[string]int{"was blocked by its chain": t.Chained, "was blocked by a limit": t.Limited, "was let go on": t.Insisted, "ended blocked": t.Blocked, "began after a pause": t.Paused}
	if *seeds >= 2000 {
		happened["began beside a blocked one"], happened["began before a blocked one of an earlier wave"] = t.WentOn, t.Overtaken
	}
	for name, n := range happened {
		must.Positive(tt, n, must.Sprintf("no rollout %s: the worlds test too little", name))
	}
}

func newWaves(n int64) waves {
	return waves{rng: rand.New(rand.NewPCG(uint64(n), 0x3a7e)), chains: map[[2]string]bool{}, held: map[string]bool{}, over: map[int]time.Time{}}
}

// decide draws the limits of failures.
func (v *waves) decide(d *api.Decision, level int) {
	if v.rng == nil {
		return
	}
	d.Budget.Failures = []int{0, 0, 1, 2}[v.rng.IntN(4)]
	if pause := v.rng.IntN(3); pause > 0 && level >= levels.Eight {
		d.Pause = api.Duration(pause) * api.Duration(time.Duration(5+v.rng.IntN(60))*time.Second)
	}
	if limit := v.rng.IntN(4); limit == 1 && level >= levels.Eight {
		d.Budget.PolicyFailures = []api.PolicyFailures{{Policy: "web", Most: 1}}
	}
}

// belong draws whether the policy with a limit of its own applies to a target, and draws
// the chains that join it to those before.
func (v *waves) belong(d api.Decision, ref api.TargetRef, before []api.TargetRef) api.Decision {
	if v.rng == nil {
		return d
	}
	for _, other := range before {
		if v.rng.Float64() < 0.5 {
			v.chains[[2]string{ref.Job, other.Job}], v.chains[[2]string{other.Job, ref.Job}] = true, true
		}
	}
	if v.rng.Float64() < 0.7 {
		d.Because = []api.Because{{Field: api.FieldPolicy, Policy: "web"}}
	} else {
		d.Budget.PolicyFailures = nil
	}
	return d
}

func (v vicinity) Chained(a, b api.TargetRef) bool { return v.w.waves.chains[[2]string{a.Job, b.Job}] }

// heedsFailures holds the step of a rollout against those of its plan that failed before the
// turn of the step began.
func (w *world) heedsFailures(was, next api.Rollout) {
	v := &w.waves
	if v.over == nil {
		return // in a quiet world nothing joins the rollouts
	}
	if next.Status.Ended() || next.Blocked() {
		v.over[next.Wave] = w.now()
	}
	if next.Blocked() && !was.Blocked() {
		v.held[next.ID] = true
		if next.Holds[0].Source == api.HoldDependency {
			v.tally.Chained++
		} else {
			v.tally.Limited++
		}
	}
	if was.UnderWay() || !next.UnderWay() || next.Status == api.RolloutRollingBack {
		return
	}
	if pause := next.Decision.Pause.D(); pause > 0 && next.Wave > 1 {
		v.tally.Paused++
		if over := v.over[next.Wave-1]; next.Spans.Pause.D() < pause || len(v.held) == 0 && w.now().Sub(over) < pause {
			w.fail("%s begins %s after wave %d, with %s counted, and the pause is %s", next.ID, w.now().Sub(over), next.Wave-1, next.Spans.Pause, pause)
		}
	}
	failed, others := 0, 0
	for _, o := range w.store.Rollouts() {
		if o.ID != next.ID && o.UnderWay() && o.ModifyIndex <= v.turn {
			others++
		}
		switch {
		case o.ID == next.ID:
		case o.Status.Failed() && o.ModifyIndex <= v.turn:
			failed++
			if v.chains[[2]string{next.Target.Job, o.Target.Job}] && o.ModifyIndex > next.Despite {
				w.fail("%s begins, and %s, which is chained to it, is %s", next.ID, o.ID, o.Status)
			}
			for _, limit := range next.Decision.Budget.PolicyFailures {
				if o.Decision.Applied(limit.Policy) {
					w.fail("%s begins, and %s of the same policy is %s", next.ID, o.ID, o.Status)
				}
			}
		case o.Blocked():
			v.tally.WentOn++
			if o.Wave < next.Wave {
				v.tally.Overtaken++
				if v.chains[[2]string{next.Target.Job, o.Target.Job}] && o.ModifyIndex > next.Despite && o.ModifyIndex <= v.turn {
					w.fail("%s begins, and %s of an earlier wave, which is chained to it, may not begin", next.ID, o.ID)
				}
			}
		case o.Wave < next.Wave && !o.Status.Ended() && o.ModifyIndex <= v.turn:
			w.fail("%s begins, and wave %d is not done: %s is %s", next.ID, o.Wave, o.ID, o.Status)
		}
	}
	if most := next.Decision.Budget.Targets; most > 0 && others >= most && !w.unsure {
		w.fail("%s begins, %d others are under way and the budget is %d", next.ID, others, most)
	}
	if most := next.Decision.Budget.Failures; most > 0 && failed >= most {
		w.fail("%s begins, and %d others failed", next.ID, failed)
	}
}
