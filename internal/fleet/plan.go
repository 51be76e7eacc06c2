package fleet

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// Planned is what a registration would do.
type Planned struct {
	Groups      map[string]PlannedGroup
	Failed      map[string]Failure // groups whose instances would find no place
	ModifyIndex uint64             // of the present version; 0 when there is none
	Version     uint64             // that it would be
	New         bool               // there would be a new version
}

// PlannedGroup counts what would happen to a group's instances.
type PlannedGroup struct {
	Ignore, Place, Migrate, Stop, InPlace, Destructive, Canary int
}

// Plan is a dry run of Register. It changes nothing.
func (f *Fleet) Plan(job Job) (Planned, error) {
	job.Groups = slices.Clone(job.Groups)
	if err := job.complete(); err != nil {
		return Planned{}, err
	}
	out := Planned{Groups: map[string]PlannedGroup{}, New: true}
	dry := &jobState{current: &job}
	if j, err := f.registered(job.JobID); err == nil {
		out.ModifyIndex, out.Version = j.current.ModifyIndex, j.current.Version+1
		if !j.current.Stopped && sameJob(j.current, &job) {
			out.New, out.Version = false, j.current.Version
		}
		dry.allocs, dry.versions, dry.deployments = j.allocs, j.versions, j.deployments
		job.Version, job.CreateIndex = out.Version, j.current.CreateIndex
	}
	// What is free, and the draws of later calls, stay as they are.
	rng := f.rng
	f.rng = rand.New(rand.NewPCG(f.index, 0xd47))
	defer func() { f.rng = rng }()
	room := f.room()
	defer room.restore()
	e := &Evaluation{}
	if job.Type == TypeSystem {
		out.Groups = f.planSystem(dry, e)
		out.Failed = e.Failed
		return out, nil
	}
	for _, name := range groupsOf(dry) {
		// As in Nomad, a registration that would change nothing counts as an update in
		// place, which no deployment knows of.
		changes := f.decideGroup(dry, f.look(dry, name, nil))
		out.Groups[name] = changes.planned()
		for _, p := range changes.place {
			f.tentative(dry, p, e)
		}
	}
	out.Failed = e.Failed
	return out, nil
}

// planned counts changes.
func (c changes) planned() PlannedGroup {
	p := PlannedGroup{
		Ignore: c.ignore, Stop: len(c.stop), InPlace: len(c.inPlace), Destructive: c.replaced, Canary: c.canaries, Migrate: c.migrated,
	}
	p.Place = len(c.place) - c.replaced - c.canaries - c.migrated
	return p
}

// tentative takes the room of a placement.
func (f *Fleet) tentative(j *jobState, p placement, e *Evaluation) {
	var freed *Alloc
	if p.stops != "" {
		freed = p.previous
	}
	n := f.choose(j, p, freed, e)
	if n == nil {
		return
	}
	if freed != nil {
		cpu, mb := freed.Group.size()
		freed.Node.UsedCPU, freed.Node.UsedMB = freed.Node.UsedCPU-cpu, freed.Node.UsedMB-mb
	}
	cpu, mb := p.job.Group(p.group).size()
	n.UsedCPU, n.UsedMB = n.UsedCPU+cpu, n.UsedMB+mb
}

// room is what is taken of each node.
type room map[*Node][2]int

func (f *Fleet) room() room {
	r := make(room, len(f.nodes))
	for _, n := range f.nodes {
		r[n] = [2]int{n.UsedCPU, n.UsedMB}
	}
	return r
}

func (r room) restore() {
	for n, used := range maps.All(r) {
		n.UsedCPU, n.UsedMB = used[0], used[1]
	}
}

// decideGroup is the reconciliation of a group of any kind of job.
func (f *Fleet) decideGroup(j *jobState, in situation) changes {
	if j.system() && in.group != nil {
		return f.decideSysBatch(in)
	}
	return decide(in)
}
