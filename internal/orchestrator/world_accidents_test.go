package orchestrator

import (
	"fmt"
	"time"

	"github.com/oakumhq/oakum/internal/fleet"
)

// What befalls the fleet of a world, and what others do to it.

// Accidents, as the worlds count them.
const (
	accidentRestart = "restart"   // an instance's process ends and starts again
	accidentCrash   = "crash"     // an instance fails
	accidentNode    = "lost node" // with all its instances; it comes back later
	accidentDrain   = "drain"     // a node is emptied, and takes new ones later
	accidentFull    = "no room"   // for a while nothing new can be placed
	accidentScale   = "autoscaler"
	accidentTheirs  = "pipeline" // somebody registers another version
	accidentLaunch  = "launch"   // a job has runs and no instances
	accidentBeside  = "beside"   // an instance of another group of the job fails
	accidentSystem  = "system"   // a job has an instance on every node
	accidentJoin    = "join"     // a node comes, and goes later
)

func accidents() []string {
	return []string{
		accidentRestart, accidentCrash, accidentNode, accidentDrain, accidentFull, accidentScale, accidentTheirs, accidentLaunch, accidentBeside, accidentSystem, accidentJoin,
		accidentStop, accidentPurge, accidentGroup, accidentStart,
	}
}

// befall has an accident happen to an instance of a job, or to its node.
func (w *world) befall(j *worldJob, what, where string) {
	list := w.fleet.Instances(j.ref)
	if len(list) == 0 {
		if what == accidentTheirs && w.job(j.ref).Launch != "" {
			w.say("%s: %s (%s)", what, j.ref, where)
			if err := w.theirs(j); err != nil {
				w.say("%s: nothing happens: %v", what, err)
			}
		}
		return
	}
	a := list[w.rng.IntN(len(list))]
	w.say("%s: %s on %s (%s)", what, a.Name, a.Node.Name, where)
	w.accidents[what]++
	w.hurry()
	var err error
	switch what {
	case accidentRestart:
		j.hurt[a.ID] = true
		err = w.fleet.Kill(a.ID, false)
	case accidentCrash:
		j.hurt[a.ID], j.crashed = true, j.crashed || isPatched(buildOf(a.Group))
		err = w.fleet.Crash(a.ID, "Exceeded allowed attempts")
	case accidentNode:
		err = w.loseNode(a.Node)
	case accidentDrain:
		err = w.drain(a.Node)
	case accidentFull:
		err = w.fill()
	case accidentScale:
		err = w.scale(j)
	case accidentTheirs:
		err = w.theirs(j)
	case accidentBeside:
		err = w.crashBeside(j)
	}
	if err != nil {
		w.say("%s: nothing happens: %v", what, err)
	}
	w.advance()
}

// spare says whether the fleet can do without another node for a while.
func (w *world) spare() error {
	left := 0
	for _, n := range w.fleet.Nodes() {
		if n.Reachable() && n.Takes() {
			left++
		}
	}
	if left < 3 {
		return fmt.Errorf("%d nodes are left", left)
	}
	return nil
}

// later has the fleet do something in 5 s to 2 min.
func (w *world) afterAWhile(do func() error) {
	w.fleet.At(w.now().Add(w.between(5*time.Second, 2*time.Minute)), func() {
		if err := do(); err != nil {
			w.fail("%v", err)
		}
	})
}

func (w *world) loseNode(n *fleet.Node) error {
	if err := w.spare(); err != nil {
		return err
	}
	for _, a := range n.Allocs() {
		if j := w.jobs[a.Ref()]; j != nil { // else of a group that took a target's place
			j.hurt[a.ID] = true
		}
	}
	w.afterAWhile(func() error { return w.fleet.ReturnNode(n.ID) })
	return w.fleet.LoseNode(n.ID)
}

func (w *world) drain(n *fleet.Node) error {
	if err := w.spare(); err != nil || !n.Takes() {
		return err
	}
	w.afterAWhile(func() error { return w.fleet.DrainNode(n.ID, nil, true) })
	return w.fleet.DrainNode(n.ID, &fleet.Drain{Deadline: w.between(10*time.Second, time.Minute)}, false)
}

// fill has no node take anything new.
func (w *world) fill() error {
	for _, n := range w.fleet.Nodes() {
		if !n.Takes() {
			continue
		}
		if err := w.fleet.SetEligibility(n.ID, false); err != nil {
			return err
		}
		w.afterAWhile(func() error {
			if n.Drain != nil {
				return nil // its own end makes it eligible
			}
			return w.fleet.SetEligibility(n.ID, true)
		})
	}
	return nil
}

// scale is an autoscaler's word. What Nomad refuses while a deployment is active
// changes nothing.
func (w *world) scale(j *worldJob) error {
	if j.system {
		return fmt.Errorf("job %s has one on each node", j.ref.Job)
	}
	count := max(1, w.job(j.ref).Groups[0].Count+w.rng.IntN(5)-2)
	own := *w.job(j.ref).Groups[0].Update == *w.ownPace()
	done, err := w.fleet.Scale(j.ref, count)
	if err == nil && done.New {
		if !own { // under a stage's update block it moves instances of the stage, too
			w.foreign[j.ref.Job] = true
		}
		clear(w.performed) // what it undoes may be done again
	}
	return err
}

// crashBeside has an instance fail that is none of the target's.
func (w *world) crashBeside(j *worldJob) error {
	ref := j.ref
	ref.Group = "beside"
	list := w.fleet.Instances(ref)
	if len(list) == 0 {
		return fmt.Errorf("job %s has no other group", ref.Job)
	}
	if g := w.job(j.ref).Group(ref.Group); g != nil && g.Update.AutoRevert {
		clear(w.performed) // Nomad may take the job back to a held version, whose pace is restored once more
	}
	return w.fleet.Crash(list[w.rng.IntN(len(list))].ID, "Exceeded allowed attempts")
}

// failBeside has another group fail the deployment of a stage that was just registered.
func (w *world) failBeside(j *worldJob) {
	w.fleet.At(w.now().Add(time.Duration(w.fails.IntN(2000))*time.Millisecond), func() {
		if err := w.crashBeside(j); err == nil {
			w.say("another group of %s fails", j.ref)
			w.accidents[accidentBeside]++
		}
	})
}

// theirs registers what somebody else wants to run, or the former version again.
func (w *world) theirs(j *worldJob) error {
	w.foreign[j.ref.Job] = true
	clear(w.performed)
	spec := "theirs"
	if w.chance(0.3) {
		spec = specFormer
	}
	return w.registers(j.ref, spec)
}
