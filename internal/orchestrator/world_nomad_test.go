package orchestrator

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
)

// The model of one job in Nomad: registration with compare-and-set, versions,
// and the scheduler's reconciliation as it was measured on a real one. A held
// deployment replaces max_parallel instances minus those that nobody has called
// healthy; an instance whose specification is the same is updated in place;
// canaries stand beside the others until they are promoted.

// specFormer is what every job runs at first. A specification that somebody
// else registers is any other word; patchOf names what a patch makes of one.
const specFormer = "former"

func patchOf(spec string) string { return "patched:" + spec }

func isPatched(spec string) bool { return strings.HasPrefix(spec, "patched:") }

// block is an update block.
type block struct {
	own              bool
	parallel, canary int
	mark             uint64 // tells two stages of one size apart
}

// modelAlloc is one allocation.
type modelAlloc struct {
	id      string
	slot    int
	version uint64
	spec    string
	dep     int // the deployment that counts it
	canary  bool
	marked  bool      // called healthy in its deployment
	ready   time.Time // healthy from then on; zero means never
	failed  bool      // dead and not replaced
	hurt    bool      // its present lack of health is a fault's doing
	replace bool      // dead, and to be replaced by the scheduler
}

func (a *modelAlloc) healthy(now time.Time) bool {
	return !a.failed && !a.replace && !a.ready.IsZero() && !now.Before(a.ready)
}

type modelDeployment struct {
	id       int
	version  uint64
	status   string // running, successful, failed, cancelled
	canaries int
	promoted bool
	first    bool // nothing was reconciled for it yet
}

// modelJob is a job with its instances.
type modelJob struct {
	ref      api.TargetRef
	index    uint64
	version  uint64
	spec     string
	update   block
	count    int
	allocs   []*modelAlloc
	dep      modelDeployment
	specs    map[uint64]string
	tags     map[string]uint64
	serial   int
	overshot int // former instances that came back patched
	lost     int // instances that a fault killed
	at       time.Time
	boot     func(spec string) time.Duration // until healthy; negative means never
}

func newModelJob(ref api.TargetRef, count int, boot func(string) time.Duration, now time.Time) *modelJob {
	j := &modelJob{
		ref: ref, index: 100, spec: specFormer, update: block{own: true, parallel: 1}, count: count, at: now,
		specs: map[uint64]string{0: specFormer}, tags: map[string]uint64{}, boot: boot,
		dep: modelDeployment{status: "successful"},
	}
	for i := range count {
		a := j.place(i, specFormer, 0)
		a.ready, a.marked = now, true
	}
	return j
}

func (j *modelJob) place(slot int, spec string, version uint64) *modelAlloc {
	j.serial++
	a := &modelAlloc{id: fmt.Sprintf("%s-%03d", j.ref.Job, j.serial), slot: slot, spec: spec, version: version, dep: j.dep.id}
	if d := j.boot(spec); d >= 0 {
		a.ready = j.at.Add(d)
	}
	j.allocs = append(j.allocs, a)
	return a
}

// register is the compare-and-set. It reports whether there is a new version.
func (j *modelJob) register(spec string, u block, expect uint64) (bool, error) {
	if expect != j.index {
		return false, api.Errorf(api.CodeConflict, "Enforcing job modify index %d: job exists with conflicting job modify index: %d", expect, j.index)
	}
	if spec == j.spec && u == j.update {
		return false, nil
	}
	j.index += 7
	j.version++
	j.spec, j.update = spec, u
	j.specs[j.version] = spec
	j.dep = modelDeployment{id: j.dep.id + 1, version: j.version, status: "running", canaries: u.canary, first: true}
	return true, nil
}

// schedule is one evaluation.
func (j *modelJob) schedule(now time.Time) {
	j.at = now
	for _, a := range j.allocs {
		if a.healthy(now) {
			a.hurt = false
		}
	}
	j.autoHealth(now)
	j.stopOldCanaries()
	j.inPlace()
	candidates := j.candidates()
	if len(candidates) == 0 && j.dep.first {
		j.dep.canaries = 0 // nothing to stand beside
	}
	if j.dep.canaries > 0 && !j.dep.promoted && len(candidates) > 0 {
		have := 0
		for _, a := range j.allocs {
			if a.canary && a.dep == j.dep.id {
				have++
			}
		}
		for i := have; i < j.dep.canaries && j.dep.status == "running"; i++ {
			j.place(i, j.spec, j.version).canary = true
		}
		j.reschedule()
		j.dep.first = false
		return
	}
	j.shrink()
	j.reschedule()
	candidates = j.candidates()
	n := min(j.limit(), len(candidates))
	for _, a := range candidates[:n] {
		j.remove(a)
		j.place(a.slot, j.spec, j.version)
	}
	for len(j.allocs) < j.count {
		j.place(len(j.allocs), j.spec, j.version)
	}
	j.dep.first = false
	j.closeDeployment()
}

// autoHealth calls instances healthy where the job's own update block has
// Nomad do so.
func (j *modelJob) autoHealth(now time.Time) {
	for _, a := range j.allocs {
		if j.update.own && a.healthy(now) {
			a.marked = true
		}
	}
}

func (j *modelJob) stopOldCanaries() {
	for _, a := range slices.Clone(j.allocs) {
		if a.canary && a.dep != j.dep.id {
			j.remove(a)
		}
	}
}

// inPlace updates the instances that run the right thing already.
func (j *modelJob) inPlace() {
	for _, a := range j.allocs {
		if a.spec == j.spec && a.version != j.version && !a.failed {
			a.version, a.dep, a.marked = j.version, j.dep.id, false
		}
	}
}

// candidates are the instances that have to be replaced, by slot.
func (j *modelJob) candidates() []*modelAlloc {
	var out []*modelAlloc
	for _, a := range j.allocs {
		if a.spec != j.spec && !a.canary {
			out = append(out, a)
		}
	}
	slices.SortStableFunc(out, func(a, b *modelAlloc) int { return a.slot - b.slot })
	return out
}

func (j *modelJob) limit() int {
	if j.dep.status != "running" {
		return 0
	}
	n := j.update.parallel
	if j.dep.first {
		return n
	}
	for _, a := range j.allocs {
		if a.dep == j.dep.id && !a.marked {
			n--
		}
	}
	return max(0, n)
}

// reschedule replaces dead instances: in the version that is registered,
// unless canaries still wait for their promotion.
func (j *modelJob) reschedule() {
	waiting := j.dep.canaries > 0 && !j.dep.promoted
	for _, a := range slices.Clone(j.allocs) {
		if !a.replace && (!a.failed || a.dep == j.dep.id) {
			continue
		}
		j.remove(a)
		spec, version := j.spec, j.version
		if waiting && !a.canary {
			spec, version = a.spec, a.version
		}
		b := j.place(a.slot, spec, version)
		b.canary = a.canary
		b.hurt = true
		if !isPatched(a.spec) && isPatched(spec) {
			j.overshot++
		}
	}
}

// shrink stops what is more than the group's count after a promotion: dead
// instances first, then former ones, then those of the highest slots.
func (j *modelJob) shrink() {
	for _, a := range slices.Clone(j.allocs) {
		if a.replace && len(j.allocs) > j.count {
			j.remove(a)
		}
	}
	for _, a := range j.candidates() {
		if len(j.allocs) > j.count {
			j.remove(a)
		}
	}
	for len(j.allocs) > j.count {
		j.remove(slices.MaxFunc(j.allocs, func(a, b *modelAlloc) int { return a.slot - b.slot }))
	}
}

func (j *modelJob) closeDeployment() {
	if j.dep.status != "running" || len(j.candidates()) > 0 {
		return
	}
	for _, a := range j.allocs {
		if a.dep == j.dep.id && !a.marked {
			return
		}
	}
	j.dep.status = "successful"
}

func (j *modelJob) remove(a *modelAlloc) {
	j.allocs = slices.DeleteFunc(j.allocs, func(b *modelAlloc) bool { return a == b })
}

// setHealth marks the instances of a deployment healthy, if it still runs.
func (j *modelJob) setHealth(dep int, now time.Time) {
	if dep != j.dep.id || j.dep.status != "running" {
		return
	}
	for _, a := range j.allocs {
		if a.dep == dep && !a.failed && !a.replace {
			a.marked = true
		}
	}
	j.schedule(now)
}

// promote ends the canaries' wait.
func (j *modelJob) promote(dep int, now time.Time) error {
	if dep != j.dep.id || j.dep.status != "running" {
		return api.Errorf(api.CodeConflict, "promote: its deployment is over")
	}
	for _, a := range j.allocs {
		if a.canary && !a.marked {
			return api.Errorf(api.CodeUnavailable, "promote: canaries are not healthy")
		}
	}
	j.dep.promoted = true
	for _, a := range j.allocs {
		a.canary = false
	}
	j.schedule(now)
	return nil
}

// kill is a fault: the process ends and starts again, or the instance is lost.
func (j *modelJob) kill(i int, how string, now time.Time) {
	a := j.allocs[i%len(j.allocs)]
	a.hurt = true
	j.lost++
	switch how {
	case "restart":
		a.ready = now.Add(4 * time.Second)
	case "crash": // the instance fails; a running deployment that counts it fails with it
		if a.dep == j.dep.id && j.dep.status == "running" && !j.update.own {
			a.failed, j.dep.status = true, "failed"
			return
		}
		a.replace = true
	case "node":
		a.replace = true
	}
}

// view is what View answers now.
func (j *modelJob) view(now time.Time, m rollout.Move) *rollout.JobView {
	v := &rollout.JobView{
		ModifyIndex: j.index, Version: j.version, Count: j.count, Build: buildOf(j.spec, m.Former.Digest), Pace: rollout.PaceHeld,
		Promoted: j.dep.canaries == 0 || j.dep.promoted, Settled: j.dep.status != "running",
	}
	if j.dep.first { // the deployment of this version is not there yet
		v.Promoted, v.Settled = true, true
	}
	if j.update.own {
		v.Pace = rollout.PaceOwn
	}
	_, v.Tagged = j.tags[m.TagName()]
	for _, a := range j.allocs {
		in := api.Instance{
			ID: a.id, Name: fmt.Sprintf("%s[%d]", j.ref.Job, a.slot), Node: "n1", JobVersion: a.version,
			Build: buildOf(j.specs[a.version], m.Former.Digest), Canary: a.canary, Health: api.Healthy,
		}
		switch {
		case a.failed, a.replace:
			in.Health, in.Because = api.Unhealthy, "allocation is failed"
		case !a.healthy(now):
			in.Health, in.Because = api.Pending, "task main is pending"
		}
		v.Instances = append(v.Instances, in)
	}
	slices.SortFunc(v.Instances, func(a, b api.Instance) int { return strings.Compare(a.Name+a.ID, b.Name+b.ID) })
	return v
}

func buildOf(spec, former string) api.Build {
	switch spec {
	case former:
		return api.BuildFormer
	case patchOf(former):
		return api.BuildPatched
	}
	return api.BuildForeign
}

// capture is what Capture answers now.
func (j *modelJob) capture(checked bool) *api.FormerJob {
	text, _ := json.Marshal(map[string]any{"ID": j.ref.Job, "Spec": j.spec, "Count": j.count})
	f := &api.FormerJob{Version: j.version, ModifyIndex: j.index, Count: j.count, Digest: j.spec, Job: text}
	if checked {
		f.Checked = []string{j.ref.Job}
	}
	return f
}

// running counts live instances of a specification.
func (j *modelJob) running(spec string) int {
	n := 0
	for _, a := range j.allocs {
		if a.spec == spec {
			n++
		}
	}
	return n
}
