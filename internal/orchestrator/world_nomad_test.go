package orchestrator

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/fleet/adapter"
	"github.com/oakumhq/oakum/server/state/levels"
)

// The jobs of a world run in a fleet in memory. What is here is how they are
// made, what the world does to them, and what it remembers of them.

// specFormer is what every job runs at first. A specification that somebody
// else registers is any other word; patchOf names what a patch makes of one.
const specFormer = "former"

func patchOf(spec string) string { return "patched:" + spec }

func isPatched(spec string) bool { return strings.HasPrefix(spec, "patched:") }

// buildOf reads what a group runs.
func buildOf(g *fleet.Group) string {
	env := g.Tasks[0].Env
	if env["PATCH"] != "" {
		return patchOf(env["BUILD"])
	}
	return env["BUILD"]
}

// thePatch is what every rollout of a world applies.
func thePatch() []api.Apply {
	return []api.Apply{{Kind: api.ApplyJob, Task: "main", Env: map[string]string{"PATCH": "p"}}}
}

// ownPace is the update block that every job of the world has before its rollout.
func (w *world) ownPace() *fleet.Update {
	return &fleet.Update{
		MaxParallel: w.parallel, MinHealthyTime: w.minHealthy, HealthyDeadline: 5 * time.Minute, ProgressDeadline: 10 * time.Minute,
	}
}

// mayBeAway is how many instances of a job its rollout may have away at once; 0 means all.
func (w *world) mayBeAway(r api.Rollout) int {
	if n := r.Decision.Budget.Instances; n > 0 {
		return n
	}
	return w.parallel
}

// worldJob is what the world remembers of a job's instances.
type worldJob struct {
	ref      api.TargetRef
	system   bool // it has an instance on every node
	seen     map[string]bool
	hurt     map[string]bool      // instances whose present lack of health is a fault's doing
	crashed  bool                 // a patched instance has, at some time
	overshot int                  // former instances that came back patched
	answered map[string]bool      // instances that answered at the last look
	since    map[string]time.Time // since when the looks have found them answering
	ever     map[string]bool      // instances that answered at any look
	stood    map[string]bool      // instances that answered when the rollback was asked for its last step
	taken    map[string]bool      // instances that a rollback put in the place of one that stood, until they answer
}

// nodes is how many there are in a world's fleet.
const nodes = 6

// newFleet begins the fleet of a world.
func (w *world) newFleet(seed uint64) {
	w.fleet = fleet.New(seed, w.now().Add(-time.Hour))
	w.door = adapter.New(w.fleet)
	for i := range nodes {
		w.fleet.AddNode(fleet.Node{Name: fmt.Sprintf("n%d", i), CPU: 100_000, MemoryMB: 100_000})
	}
	w.jobs, w.refs, w.captured = map[api.TargetRef]*worldJob{}, nil, map[string]string{}
}

// launch draws how Nomad starts the runs of a world's last job: it is periodic or
// parameterized in some worlds, and has instances in most.
func (w *world) launch(n int64) api.Launch {
	rng := rand.New(rand.NewPCG(uint64(n), 0x0a17))
	if w.store.Level() < levels.Seven || rng.Float64() < 0.8 {
		return ""
	}
	w.accidents[accidentLaunch]++
	return []api.Launch{api.LaunchPeriodic, api.LaunchParameterized}[rng.IntN(2)]
}

// addJob registers a job whose instances have run for a while, or one that has runs and no
// instances.
func (w *world) addJob(name string, count int, launch api.Launch) api.TargetRef {
	if launch != "" {
		count = 0
	}
	system := launch == "" && w.systems.next()
	if system {
		count = 1
		w.accidents[accidentSystem]++
	}
	ref := api.TargetRef{Namespace: "default", Job: name, Group: "g"}
	g := fleet.Group{
		Name: ref.Group, Count: count, Update: w.ownPace(),
		Restart:    &fleet.Restart{Attempts: 1000, Interval: time.Hour, Delay: 4 * time.Second},
		Reschedule: &fleet.Reschedule{Unlimited: true, Delay: 2 * time.Second, MaxDelay: 10 * time.Second},
		Tasks:      []fleet.Task{{Name: "main", Driver: "qemu", Env: map[string]string{"BUILD": specFormer}}},
	}
	if w.checked {
		g.Services = []fleet.Service{{Name: name, Checked: true, Provider: w.provider}}
	}
	job := fleet.Job{JobID: fleet.JobID{Namespace: ref.Namespace, ID: ref.Job}, Launch: launch, Groups: []fleet.Group{g}}
	if launch == "" && w.chance(0.4) && !system {
		job.Groups = append(job.Groups, w.besideGroup())
	}
	if system {
		job.Type = fleet.TypeSystem
	}
	if _, err := w.fleet.Register(job, true, 0); err != nil {
		w.fail("register %s: %v", ref, err)
	}
	w.fleet.Advance(w.fleet.Now().Add(15 * time.Minute))
	w.refs = append(w.refs, ref)
	w.jobs[ref] = &worldJob{ref: ref, system: system, seen: map[string]bool{}, hurt: map[string]bool{}, answered: map[string]bool{}, taken: map[string]bool{}, since: map[string]time.Time{}, ever: map[string]bool{}}
	for _, a := range w.fleet.Instances(ref) {
		w.jobs[ref].seen[a.ID], w.jobs[ref].answered[a.ID] = true, a.Answers()
	}
	return ref
}

// besideGroup is another group of a target's job. Its own auto_revert takes the job back
// to the last stable version when one of its instances fails.
func (w *world) besideGroup() fleet.Group {
	pace := w.ownPace()
	pace.AutoRevert, pace.ProgressDeadline = true, 0
	return fleet.Group{
		Name: "beside", Count: 2, Update: pace,
		Restart:    &fleet.Restart{Attempts: 1000, Interval: time.Hour, Delay: 4 * time.Second},
		Reschedule: &fleet.Reschedule{Unlimited: true, Delay: 2 * time.Second, MaxDelay: 10 * time.Second},
		Tasks:      []fleet.Task{{Name: "main", Driver: "qemu", Env: map[string]string{"BUILD": specFormer}}},
	}
}

// advance brings the fleet to the present, and looks at what became of it.
func (w *world) advance() {
	w.fleet.Advance(w.now())
	if w.fleetIndex == w.fleet.Index() {
		return
	}
	w.fleetIndex = w.fleet.Index()
	for _, ref := range w.refs {
		w.jobs[ref].see(w.fleet, w.now())
	}
}

// nomad is the fleet's door, in the present.
func (w *world) nomad() adapter.Nomad {
	w.advance()
	return w.door
}

// job is a target's job as it is registered.
func (w *world) job(ref api.TargetRef) *fleet.Job {
	j, err := w.fleet.Job(fleet.JobID{Namespace: ref.Namespace, ID: ref.Job})
	if err != nil {
		if !w.exits.left[ref.Job] {
			w.fail("%s: %v", ref, err)
		}
		return &fleet.Job{Groups: []fleet.Group{{Update: w.ownPace(), Tasks: []fleet.Task{{}}}}}
	}
	return j
}

// answering are the instances of a job that answer now.
func (w *world) answering(ref api.TargetRef) map[string]bool {
	w.advance()
	out := map[string]bool{}
	for _, a := range w.fleet.Instances(ref) {
		out[a.ID] = a.Answers()
	}
	return out
}

// registers registers a specification at a job's own pace, as somebody does who
// does not know of the rollout.
func (w *world) registers(ref api.TargetRef, spec string) error {
	job := *w.job(ref)
	g := job.Groups[0]
	g.Update = w.ownPace()
	g.Tasks = []fleet.Task{{Name: "main", Driver: "qemu", Env: map[string]string{"BUILD": spec}}}
	job.Groups = append([]fleet.Group{g}, job.Groups[1:]...)
	_, err := w.fleet.Register(job, false, 0)
	w.advance()
	return err
}

// hurry draws how long the scheduler takes from now on: most of the time none.
func (w *world) hurry() {
	if w.chance(0.6) {
		w.fleet.SchedulerDelay(0, 0)
	} else {
		w.fleet.SchedulerDelay(100*time.Millisecond, 3*time.Second)
	}
}

// see remembers new instances. One that comes in the place of another that is
// lost, has failed or was drained is not at fault for being away. An
// instance of the registered build that is drained leaves room in a held deployment's
// max_parallel for another one to be replaced.
func (j *worldJob) see(f *fleet.Fleet, now time.Time) {
	var updated []*fleet.Alloc
	moved := 0
	for _, a := range f.Instances(j.ref) {
		if a.Answers() {
			delete(j.hurt, a.ID)
			delete(j.taken, a.ID)
		}
		if j.seen[a.ID] || (a.Canary && a.Previous == "") {
			continue
		}
		was := j.forerunner(f, a)
		switch {
		case was == nil:
			j.comesBack(a, false)
		case was.Description == fleet.StopUpdating:
			updated = append(updated, a)
			if !a.Answers() && j.answered[was.ID] && j.stood[was.ID] && isPatched(buildOf(was.Group)) && !isPatched(buildOf(a.Group)) {
				j.taken[a.ID] = true
			}
		case j.system: // on its node, and perhaps Nomad has put another one in its place by now
			j.comesBack(a, false)
		default:
			j.comesBack(a, isPatched(buildOf(was.Group)))
			if was.Description == fleet.StopMigrating && isPatched(buildOf(was.Group)) == isPatched(buildOf(a.Group)) {
				moved++
			}
		}
	}
	for _, a := range updated[:min(moved, len(updated))] {
		j.comesBack(a, false)
	}
	clear(j.answered)
	for _, a := range f.Instances(j.ref) {
		j.seen[a.ID], j.answered[a.ID] = true, a.Answers()
		j.ever[a.ID] = j.ever[a.ID] || a.Answers()
		if at := j.since[a.ID]; !a.Answers() {
			delete(j.since, a.ID)
		} else if at.IsZero() || a.Started.After(at) {
			j.since[a.ID] = now
		}
	}
}

// forerunner is what an instance replaces, as it was seen last: it may have been
// replaced several times between two looks.
func (j *worldJob) forerunner(f *fleet.Fleet, a *fleet.Alloc) *fleet.Alloc {
	was, err := f.Alloc(a.Previous)
	for err == nil && !j.seen[was.ID] {
		was, err = f.Alloc(was.Previous)
	}
	if err != nil {
		return nil
	}
	return was
}

func (j *worldJob) comesBack(a *fleet.Alloc, patched bool) {
	if !a.Answers() {
		j.hurt[a.ID] = true
	}
	if isPatched(buildOf(a.Group)) && !patched {
		j.overshot++
	}
}

// capture remembers what a rollout returns to: its record forgets it at the end.
func (w *world) capture(ctx context.Context, ref api.TargetRef) (*api.FormerJob, error) {
	f, err := w.nomad().Capture(ctx, ref)
	if err == nil {
		w.captured[f.Digest] = buildOf(&w.job(ref).Groups[0])
	}
	return f, err
}

// running counts the instances of a job that run a specification.
func (w *world) running(ref api.TargetRef, spec string) int {
	n := 0
	for _, a := range w.fleet.Instances(ref) {
		if buildOf(a.Group) == spec {
			n++
		}
	}
	return n
}

// checksOf is what Consul says of a service's instances.
func (w *world) checksOf(service string) map[string]api.Health {
	out := map[string]api.Health{}
	for _, ref := range w.refs {
		for _, a := range w.fleet.Instances(ref) {
			out[a.ID] = api.Pending
			if ref.Job == service && a.Answers() {
				out[a.ID] = api.Healthy
			}
		}
	}
	return out
}

// settling is Settle as it goes over the wire: it is known by then which
// deployment and which instances are meant.
func (w *world) settling(ref api.TargetRef) (deployment string, call func() error) {
	n := w.nomad()
	d := n.Latest(fleet.JobID{Namespace: ref.Namespace, ID: ref.Job})
	if d == nil || !d.Active() {
		return "", func() error { return nil }
	}
	var ids []string
	for _, a := range n.Allocs(d.Job) {
		if a.Deployment == d.ID && a.Group.Name == ref.Group && a.Desired == fleet.DesiredRun && a.Client == fleet.ClientRunning {
			ids = append(ids, a.ID)
		}
	}
	if len(ids) == 0 {
		return d.ID, func() error { return nil }
	}
	return d.ID, func() error { return w.fleet.SetAllocHealth(d.ID, ids, nil) }
}

// onItsWay is a context for a call that is on its way whatever became of its caller.
func onItsWay(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }
