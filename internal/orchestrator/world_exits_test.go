package orchestrator

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/rollout"
)

// Jobs that somebody stops, purges or takes the group from, and starts again perhaps.

// Exits, as the worlds count them.
const (
	accidentStop  = "stop"
	accidentPurge = "purge"
	accidentGroup = "lost group"
	accidentStart = "start" // of a job that was stopped, as it is
)

// exits have luck of their own, so that a world without one goes the way that it went
// before.
type exits struct {
	rng     *rand.Rand // nil in a world whose jobs all stay
	rate    float64    // of one, at any moment
	left    map[string]bool
	overdue map[string]int // steps in peace that a rollout has outlived its target
}

func newExits(n int64) exits {
	rng := rand.New(rand.NewPCG(uint64(n), 0x0e17))
	if rng.Float64() < 0.7 {
		return exits{}
	}
	return exits{
		rng: rng, rate: []float64{0.0005, 0.002, 0.01}[rng.IntN(3)], left: map[string]bool{}, overdue: map[string]int{},
	}
}

// goneNow is what is so at this moment.
func (w *world) goneNow(ref api.TargetRef) *rollout.Gone {
	gone, err := w.nomad().Gone(context.Background(), ref)
	if err != nil {
		w.fail("%v", err)
	}
	return gone
}

// leave draws whether a job goes away.
func (w *world) leave(where string) {
	x := &w.exits
	if x.rng == nil || x.rng.Float64() >= x.rate {
		return
	}
	ref := w.refs[x.rng.IntN(len(w.refs))]
	if w.goneNow(ref) != nil {
		return
	}
	what := []string{accidentStop, accidentStop, accidentPurge, accidentGroup}[x.rng.IntN(4)]
	w.say("%s: %s (%s)", what, ref.Job, where)
	w.exit(ref, what)
	if x.rng.Float64() < 0.4 {
		w.fleet.At(w.now().Add(time.Duration(x.rng.Int64N(int64(time.Minute)))), func() { w.comeBack(ref) })
	}
}

// exit takes a target away.
func (w *world) exit(ref api.TargetRef, what string) {
	id := fleet.JobID{Namespace: ref.Namespace, ID: ref.Job}
	w.accidents[what]++
	w.exits.left[ref.Job], w.foreign[ref.Job], w.excused[ref.Job] = true, true, true
	var err error
	if what == accidentGroup {
		job := *w.job(ref)
		job.Groups = []fleet.Group{job.Groups[0]}
		job.Groups[0].Name = "other"
		_, err = w.fleet.Register(job, false, 0)
	} else {
		_, err = w.fleet.Deregister(id, what == accidentPurge)
	}
	if err != nil {
		w.fail("%s %s: %v", what, ref, err)
	}
	w.advance()
}

// comeBack has somebody start a stopped job as it is; a job that was registered anew, or
// is without its group, stays as it is.
func (w *world) comeBack(ref api.TargetRef) {
	job, err := w.fleet.Job(fleet.JobID{Namespace: ref.Namespace, ID: ref.Job})
	if err != nil || !job.Stopped {
		return
	}
	w.say("somebody starts %s", ref.Job)
	w.accidents[accidentStart]++
	clear(w.performed)
	if _, err := w.fleet.Register(*job, false, 0); err != nil {
		w.fail("start %s: %v", ref, err)
	}
}

// patience is how many steps a rollout may take to end when its target is gone: looks for
// a quarter of a minute, and a leader that must be found first.
const patience = 60

// end holds, in peace, that a rollout whose target is gone ends without anybody's help.
func (x *exits) end(w *world) {
	if x.rng == nil {
		return
	}
	for i, ref := range w.refs {
		r := w.rollout(fmt.Sprintf("r%d", i))
		if r.Status.Ended() || w.goneNow(ref) == nil {
			x.overdue[r.ID] = 0
			continue
		}
		if x.overdue[r.ID]++; x.overdue[r.ID] > patience {
			w.fail("%s is %s, and its target has been gone for %d steps", r.ID, r.Status, patience)
		}
	}
}

// finalExit holds what a rollout leaves behind whose target went away at some time.
func (w *world) finalExit(r api.Rollout) {
	switch r.Status {
	case api.RolloutCancelled, api.RolloutFailed:
	default:
		return // it ended before, or after somebody started the job
	}
	versions, err := w.fleet.Versions(fleet.JobID{Namespace: r.Target.Namespace, ID: r.Target.Job})
	if err != nil || w.rate > 0 {
		return // it is purged; or our mark may have come late
	}
	tag := (rollout.Move{Rollout: r.ID}).TagName()
	if slices.ContainsFunc(versions, func(v *fleet.Job) bool { return v.Tag.Name == tag }) {
		w.fail("%s is %s (%s), and its mark is still on the job", r.ID, r.Status, r.Reason)
	}
}
