package fleet

import (
	"cmp"
	"slices"
)

// A system job has one instance on every node that takes it. What is here is the scheduler
// of such jobs, as it is since Nomad 1.11, which has deployments for them. Three things are
// unlike those of service jobs. Its canaries stand in the place of former instances, and
// canary is a share in percent, of which max_parallel is the most. A deployment that has
// failed holds nothing, and no later version of the job gets another one. An instance that
// fails comes back at the next evaluation, which its failure brings about only while it
// counts in a running deployment.

// StopTainted is why a drain stops an instance of a system job, in Nomad's words.
const StopTainted = "alloc not needed as node is tainted"

// systemWork is what one evaluation does about a system job.
type systemWork struct {
	deployment *Deployment // the one of the evaluation; nil when there is none
	current    bool        // it is that of the present version, or a failed one which stands for that
	begins     bool        // the evaluation begins another one, with those of groups that say so
	groups     []*systemGroup
}

// systemGroup is what one evaluation does about one group of a system job.
type systemGroup struct {
	name        string
	group       *Group // nil when the job has none of this name, or is stopped
	state       *DeploymentGroup
	attach      bool // state is new in the deployment
	stop        []stopping
	place       []placement // with the instances that are missing; those of updates come after them
	updates     []*Alloc    // that have to be replaced, in the order in which they would be
	inPlace     []*Alloc
	ignore      []*Alloc
	canaries    int // former canaries among ignore
	candidates  int // instances that there may be
	destructive int // updates that a node takes
}

// scheduleSystem carries out an evaluation. It returns the deployment, if there is one.
func (f *Fleet) scheduleSystem(j *jobState, e *Evaluation) *Deployment {
	if len(j.deployments) > 0 {
		d, over := j.deployments[0], j.current.Stopped || j.purged
		switch {
		case over && d.Active():
			f.setDeploymentStatus(d, DeployCancelled, "Cancelled because job is stopped")
		case d.Active() && !ofVersion(d, j.current):
			f.setDeploymentStatus(d, DeployCancelled, "Cancelled due to newer version of job")
		}
	}
	w := f.systemWork(j)
	if w.begins {
		w.deployment, w.current = f.deploy(j), true
	}
	d, complete := w.deployment, true
	for _, g := range w.groups {
		if g.attach && d != nil {
			d.Groups[g.name] = g.state
		}
		kept, canarying := f.limitSystem(j, w, g, e)
		f.performSystem(j, d, g, kept)
		if s := g.state; s != nil && g.candidates > 0 {
			s.DesiredTotal = g.candidates
			complete = complete && !canarying && s.Healthy >= s.DesiredTotal
		}
	}
	if d != nil && w.current && d.Active() {
		f.judgeSystem(d, complete && d.Status == DeployRunning, w.begins)
	}
	return d
}

// ofVersion reports whether a deployment is of a version of a job.
func ofVersion(d *Deployment, v *Job) bool {
	return d.JobVersion == v.Version && d.JobCreateIndex == v.CreateIndex
}

// judgeSystem ends a deployment that is complete, or says that it waits for a promotion.
func (f *Fleet) judgeSystem(d *Deployment, complete, begins bool) {
	for _, name := range d.groups() {
		if d.Groups[name].unpromoted() {
			if says := waitsForPerson; !begins && d.Description != says {
				d.Description = says
				f.deploymentChanged(d, "PlanResult")
			}
			return
		}
	}
	if complete {
		f.setDeploymentStatus(d, DeploySuccessful, "Deployment completed successfully")
	}
}

// systemWork compares what is there with what is wanted. It changes nothing.
func (f *Fleet) systemWork(j *jobState) systemWork {
	var w systemWork
	v, had := j.current, len(j.deployments) > 0
	var over *Deployment // a former one that has ended well, or was taken back
	if had {
		w.deployment = j.deployments[0]
		switch d := w.deployment; {
		case d.Status == DeploySuccessful, d.Status == DeployCancelled, d.Active() && !ofVersion(d, v):
			over = d
		default:
			w.current = true
		}
	}
	same, begins := false, false // an instance of the present version; a reason for a deployment
	for _, name := range groupsOf(j) {
		g := f.sortSystem(j, name)
		w.groups = append(w.groups, g)
		if w.current {
			g.state = w.deployment.Groups[name]
		}
		same = same || len(g.ignore) > 0
		if g.group == nil || g.state != nil || !systemDeploys(g.group) {
			continue
		}
		ready := !w.current || w.deployment.Status == DeployRunning
		if news := f.systemNews(j, g); ready && news && (over == nil || over.JobVersion != v.Version) {
			g.state, g.attach = &DeploymentGroup{Update: *g.group.Update}, true
			begins = begins || !w.current
		}
	}
	if begins && !had && same { // as after an upgrade in the midst of an update
		for _, g := range w.groups {
			g.state, g.attach = nil, false
		}
		begins = false
	}
	w.begins = begins
	return w
}

func systemDeploys(g *Group) bool { return g.Update != nil && g.Update.MaxParallel > 0 }

// systemNews reports whether a node has an instance of a former version, or none that there
// ever was of this one.
func (f *Fleet) systemNews(j *jobState, g *systemGroup) bool {
	if len(g.updates)+len(g.inPlace) > 0 {
		return true
	}
	for _, p := range g.place {
		if p.previous == nil || p.previous.Job.Version != j.current.Version {
			return true
		}
	}
	return false
}

// sortSystem divides the instances of a group by what becomes of them.
func (f *Fleet) sortSystem(j *jobState, name string) *systemGroup {
	v := j.current
	g := &systemGroup{name: name}
	if !v.Stopped && !j.purged && v.Launch == "" {
		g.group = v.Group(name)
	}
	if g.group != nil && g.group.Count == 0 {
		g.group = nil
	}
	taken, last := map[string]bool{}, map[string]*Alloc{}
	for _, a := range j.allocs {
		n := a.Node
		if a.Group.Name != name {
			continue
		}
		if a.terminal() {
			last[n.ID] = a
			continue
		}
		taken[n.ID] = true
		switch {
		case g.group == nil:
			g.stop = append(g.stop, stopping{a, StopNotNeeded})
		case a.migrate:
			g.stop = append(g.stop, stopping{a, StopTainted})
		case n.Status == NodeDown:
			g.stop = append(g.stop, stopping{a, StopLost})
		case n.Drain != nil:
			g.ignore = append(g.ignore, a)
		case !n.offered(v), !n.Takes() && a.Job != v:
			g.stop = append(g.stop, stopping{a, StopNotNeeded}) // a changed job leaves a node that takes nothing new
		case a.Job == v || !n.Takes():
			g.ignore = append(g.ignore, a)
		case a.Group.Spec == g.group.Spec && n.refuses(v, g.group) == "":
			g.inPlace = append(g.inPlace, a)
		default:
			g.updates = append(g.updates, a)
		}
	}
	for _, a := range g.ignore {
		if a.Canary {
			g.canaries++
		}
	}
	// In which order its nodes are replaced, Nomad does not say.
	f.rng.Shuffle(len(g.updates), func(i, k int) { g.updates[i], g.updates[k] = g.updates[k], g.updates[i] })
	for _, n := range f.Nodes() {
		if g.group != nil && !taken[n.ID] && n.Takes() && n.offered(v) {
			g.place = append(g.place, placement{job: v, group: name, previous: last[n.ID], node: n})
		}
	}
	g.candidates = len(g.inPlace) + len(g.ignore) + len(g.updates) + len(g.place)
	return g
}

// limitSystem says which placements are made: those of missing instances, and of updates no
// more than the group's update block allows. Where they are canaries every node is tried
// first, and those beyond the wanted share are then left out. canarying reports whether
// canaries wait for a promotion.
func (f *Fleet) limitSystem(j *jobState, w systemWork, g *systemGroup, e *Evaluation) (kept []placement, canarying bool) {
	if g.group == nil {
		return nil, false
	}
	u := cmp.Or(g.group.Update, &Update{})
	flagged := u.Canary > 0 && (g.state == nil && !w.current || g.state != nil && !g.state.Promoted)
	room := f.systemRoom(w, g)
	var tried []placement
	for _, p := range g.place {
		if f.choose(j, p, nil, e) != nil {
			tried = append(tried, p)
			continue
		}
		g.candidates--
	}
	g.destructive = len(g.updates)
	for _, a := range g.updates {
		if room <= 0 {
			break
		}
		p := placement{job: j.current, group: g.name, previous: a, stops: StopUpdating, node: a.Node, canary: flagged}
		if !flagged {
			room--
		}
		if f.choose(j, p, a, e) == nil { // it has stopped by then
			g.candidates, g.destructive = g.candidates-1, g.destructive-1
			g.stop = append(g.stop, stopping{a, StopUpdating})
			continue
		}
		tried = append(tried, p)
	}
	if !flagged || g.state == nil || j.current.Version == 0 || g.destructive == 0 {
		return tried, false
	}
	return g.trim(tried, u), true
}

// systemRoom is how many updates may begin: max_parallel, less the instances of the
// deployment of which nobody has said how they are.
func (f *Fleet) systemRoom(w systemWork, g *systemGroup) int {
	if !systemDeploys(g.group) {
		return len(g.updates)
	}
	room := g.group.Update.MaxParallel
	for _, a := range g.ignore {
		if w.deployment != nil && !w.begins && a.Deployment == w.deployment.ID && a.Health == HealthUnknown {
			room--
		}
	}
	return room
}

// trim leaves the canaries out that are too many. What comes in the place of a canary stays,
// whatever version that was of.
func (g *systemGroup) trim(tried []placement, u *Update) []placement {
	const percent = 100
	want := min((u.Canary*(g.destructive+g.canaries)+percent-1)/percent, u.MaxParallel)
	g.state.DesiredCanaries = want
	preferred := func(p placement) bool { return p.previous != nil && p.previous.Canary }
	room := want - g.canaries
	for _, p := range tried {
		if preferred(p) {
			room--
		}
	}
	var kept []placement
	for _, p := range tried {
		switch {
		case !p.canary:
		case room > 0, preferred(p):
			room--
		default:
			continue
		}
		kept = append(kept, p)
	}
	return kept
}

// performSystem stops, updates and places.
func (f *Fleet) performSystem(j *jobState, d *Deployment, g *systemGroup, kept []placement) {
	for _, s := range g.stop {
		f.stop(s.alloc, s.why)
	}
	for _, a := range g.inPlace {
		a.Job, a.Group, a.Canary, a.Health = j.current, g.group, false, HealthUnknown
		if a.Deployment = ""; d != nil {
			a.Deployment = d.ID
			f.counted(a)
		}
		if a.Client == ClientRunning && (a.Ready || !g.group.waitsForChecks()) {
			f.checkHealthLater(a)
		}
		f.watch(a)
		f.changed(a, "PlanResult")
	}
	if g.state != nil {
		g.state.PlacedCanaries = slices.DeleteFunc(g.state.PlacedCanaries, func(id string) bool {
			a := f.allocs[id]
			return a == nil || a.terminal()
		})
	}
	for _, p := range kept {
		if p.stops != "" {
			f.stop(p.previous, p.stops)
		}
		a := f.place(j, p, p.node)
		if d == nil {
			continue
		}
		if a.Canary && g.state != nil {
			g.state.PlacedCanaries = append(g.state.PlacedCanaries, a.ID)
		}
		if d.Active() {
			a.Deployment = d.ID
			f.counted(a)
		}
		f.deploymentChanged(d, "PlanResult")
	}
}

// planSystem is a dry run of an evaluation.
func (f *Fleet) planSystem(j *jobState, e *Evaluation) map[string]PlannedGroup {
	w, out := f.systemWork(j), map[string]PlannedGroup{}
	for _, g := range w.groups {
		if g.attach {
			g.state = &DeploymentGroup{Update: g.state.Update}
		} else if g.state != nil {
			state := *g.state
			g.state = &state
		}
		p := PlannedGroup{Ignore: len(g.ignore), Stop: len(g.stop), InPlace: len(g.inPlace), Destructive: len(g.updates)}
		kept, canarying := f.limitSystem(j, w, g, e)
		p.Place = g.candidates
		for _, k := range kept {
			if canarying && k.canary {
				p.Canary++
			}
		}
		if canarying {
			p.Canary += g.canaries
		}
		out[g.name] = p
	}
	return out
}
