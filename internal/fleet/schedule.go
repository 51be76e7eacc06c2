package fleet

import (
	"cmp"
	"slices"
	"strings"
)

// schedule carries out one evaluation of a job.
func (f *Fleet) schedule(j *jobState, e *Evaluation) {
	if f.jobs[j.current.JobID] != j {
		e.Status = EvalCanceled // it was purged, and another one has its place
		return
	}
	f.drop(j)
	e.Failed, e.Queued = nil, nil
	var d *Deployment
	if j.current.Type == TypeSystem {
		d = f.scheduleSystem(j, e)
	} else {
		d = f.scheduleGroups(j, e)
	}
	e.Status = EvalComplete
	if d != nil {
		e.Deployment = d.ID
	}
	if len(e.Queued) > 0 && !j.purged {
		f.block(j, e)
	} else {
		f.unblock(j)
	}
	f.evaluationChanged(e)
	f.drainOn(j)
}

// scheduleGroups carries out an evaluation of any but a system job. It returns the
// deployment, if there is one.
func (f *Fleet) scheduleGroups(j *jobState, e *Evaluation) *Deployment {
	d := f.cancelOlder(j)
	complete := true
	for _, name := range groupsOf(j) {
		in := f.look(j, name, d)
		out := f.decideGroup(j, in)
		d = f.perform(j, in, out, d, e)
		complete = complete && out.complete
		if !out.later.IsZero() {
			f.At(out.later, func() { f.evaluate(j, TriggerRetryFailed) })
		}
	}
	if d != nil && d.Status == DeployRunning && complete && len(e.Queued) == 0 && d.JobVersion == j.current.Version {
		f.setDeploymentStatus(d, DeploySuccessful, "Deployment completed successfully")
	}
	return d
}

// groupsOf names the groups of a job and those that only have allocations left.
func groupsOf(j *jobState) []string {
	var names []string
	for i := range j.current.Groups {
		names = append(names, j.current.Groups[i].Name)
	}
	for _, a := range j.allocs {
		if !slices.Contains(names, a.Group.Name) {
			names = append(names, a.Group.Name)
		}
	}
	return names
}

// look gathers what decide needs to know about a group.
func (f *Fleet) look(j *jobState, name string, d *Deployment) situation {
	in := situation{job: j.current, deployment: d, now: f.now}
	if !j.current.Stopped && !j.purged && j.current.Launch == "" {
		in.group = j.current.Group(name)
	}
	for _, a := range j.allocs {
		if a.Group.Name == name && a.Current() {
			in.allocs = append(in.allocs, a)
		}
	}
	slices.SortStableFunc(in.allocs, bySlot)
	return in
}

// cancelOlder ends a deployment of another version. It returns the one of the
// present version, if there is one.
func (f *Fleet) cancelOlder(j *jobState) *Deployment {
	if len(j.deployments) == 0 {
		return nil
	}
	d := j.deployments[0]
	switch {
	case (j.current.Stopped || j.purged) && d.Active():
		f.setDeploymentStatus(d, DeployCancelled, "Cancelled because job is stopped")
	case d.JobVersion != j.current.Version && d.Active():
		f.setDeploymentStatus(d, DeployCancelled, "Cancelled due to newer version of job")
	}
	if d.JobVersion != j.current.Version || d.JobCreateIndex != j.current.CreateIndex {
		return nil
	}
	return d
}

// perform does what was decided about a group. It returns the deployment, which
// may be a new one.
func (f *Fleet) perform(j *jobState, in situation, out changes, d *Deployment, e *Evaluation) *Deployment {
	d = f.deployFor(j, in, out, d)
	counts := ""
	if d != nil && d.Active() {
		counts = d.ID
	}
	for _, s := range out.stop {
		f.stop(s.alloc, s.why)
	}
	for _, a := range out.inPlace {
		f.becomes(a, j.current, in.group, counts)
	}
	for _, p := range out.place {
		if p.older {
			p.job, p.counts = f.before(j, p)
		}
		f.tryPlace(j, p, counts, d, e)
	}
	return d
}

// deployFor begins the deployment of a version with its first changes, and
// brings the one of a group up to date.
func (f *Fleet) deployFor(j *jobState, in situation, out changes, d *Deployment) *Deployment {
	if in.group == nil || !in.group.deploys(j.current.Type) {
		return d
	}
	total := out.total
	updating := out.destructive > 0 || len(out.inPlace) > 0
	had := slices.ContainsFunc(j.allocs, func(a *Alloc) bool { return a.Job == j.current })
	switch {
	case d == nil && (total == 0 || (had && !updating)):
		return nil
	case d == nil:
		d = f.deploy(j)
	}
	g := d.Groups[in.group.Name]
	if g == nil && d.Status == DeployRunning && total > 0 && (updating || !had || d.Created.Equal(f.now)) {
		g = &DeploymentGroup{Update: *in.group.Update, DesiredTotal: total}
		d.Groups[in.group.Name] = g
		f.progress(d, g)
	}
	if g != nil && out.canaries > 0 {
		g.DesiredCanaries = in.group.Update.Canary
		d.Description = waitsForPerson
		if in.group.Update.AutoPromote {
			d.Description = waitsForHealth
		}
	}
	return d
}

// becomes updates an allocation in place. Its tasks go on, and its deployment has
// to see it healthy again.
func (f *Fleet) becomes(a *Alloc, v *Job, g *Group, deployment string) {
	a.Job, a.Group = v, g
	if deployment != "" && deployment != a.Deployment {
		a.Deployment, a.Health, a.Canary = deployment, HealthUnknown, false
		f.counted(a)
		if a.Client == ClientRunning && (a.Ready || !g.waitsForChecks()) {
			f.checkHealthLater(a)
		}
		f.watch(a)
	}
	f.changed(a, "PlanResult")
}

// counted counts an allocation in its deployment.
func (f *Fleet) counted(a *Alloc) {
	if d := f.deploys[a.Deployment]; d != nil && d.Groups[a.Group.Name] != nil {
		d.Groups[a.Group.Name].Placed++
	}
}

// before is the version of an instance that has died while canaries wait for
// promotion: the version of the newest deployment without canaries, or the
// instance's own version when that is newer. It also returns that deployment's ID,
// if there is one.
func (f *Fleet) before(j *jobState, p placement) (v *Job, deployment string) {
	own := j.current
	if p.previous != nil {
		own = p.previous.Job
	}
	for _, d := range j.deployments {
		g := d.Groups[p.group]
		if g == nil || g.unpromoted() {
			continue
		}
		if v := j.version(d.JobVersion); v != nil && v.Version >= own.Version && v.Group(p.group) != nil {
			return v, d.ID
		}
		break
	}
	if own.Group(p.group).Update == nil {
		return own, ""
	}
	return j.current, ""
}

// tryPlace finds a node, or notes that there is none.
func (f *Fleet) tryPlace(j *jobState, p placement, deployment string, d *Deployment, e *Evaluation) {
	var freed *Alloc
	if p.stops != "" && !p.previous.terminal() {
		freed = p.previous
	}
	n := f.choose(j, p, freed, e)
	if n == nil {
		return
	}
	if p.stops != "" {
		f.stop(p.previous, p.stops)
	}
	a := f.place(j, p, n)
	if p.older && p.job != j.current {
		a.Deployment = p.counts // which is over, and counts no more
		return
	}
	if a.Deployment = deployment; deployment == "" {
		return
	}
	f.counted(a)
	if g := d.Groups[p.group]; g != nil && a.Canary {
		g.PlacedCanaries = append(g.PlacedCanaries, a.ID)
		f.deploymentChanged(d, "PlanResult")
	}
}

// drop forgets what ended long ago.
func (f *Fleet) drop(j *jobState) {
	ended := 0
	for _, a := range j.allocs {
		if !a.Current() && a.ended() {
			ended++
		}
	}
	j.allocs = slices.DeleteFunc(j.allocs, func(a *Alloc) bool {
		if a.Current() || !a.ended() {
			return false
		}
		if ended <= keptAllocs && f.now.Sub(a.Ended) < keptEnded {
			return false
		}
		ended--
		delete(f.allocs, a.ID)
		return true
	})
}

// decideSysBatch is the reconciliation of a job that runs once on every node.
func (f *Fleet) decideSysBatch(in situation) changes {
	var out changes
	have := map[string]*Alloc{}
	for _, a := range in.allocs {
		n := a.Node
		switch {
		case n.Status == NodeDown:
			out.stop = append(out.stop, stopping{a, StopLost})
		case a.migrate || !n.admits(in.job, in.group):
			out.stop = append(out.stop, stopping{a, StopNotNeeded})
		case a.Job != in.job && a.Group.Spec != in.group.Spec:
			have[n.ID] = a
			out.destructive++
			out.replaced++
			out.place = append(out.place, placement{job: in.job, group: in.group.Name, previous: a, stops: StopUpdating, node: n})
		default:
			have[n.ID] = a
			if a.Job != in.job && !a.ended() {
				out.inPlace = append(out.inPlace, a)
			}
		}
	}
	for _, n := range f.Nodes() {
		if have[n.ID] == nil && n.Takes() && n.admits(in.job, in.group) {
			out.place = append(out.place, placement{job: in.job, group: in.group.Name, node: n})
		}
	}
	out.complete = true
	return out
}

// choose finds a node with room for a placement: of a few that would do, the
// one with the fewest instances of the job, and of those the fullest. It notes
// why there is none.
func (f *Fleet) choose(j *jobState, p placement, freed *Alloc, e *Evaluation) *Node {
	g := p.job.Group(p.group)
	cpu, mb := g.size()
	if failure, ok := e.Failed[p.group]; ok && freed == nil {
		failure.Coalesced++
		e.Failed[p.group] = failure
		e.Queued[p.group]++
		return nil
	}
	failure := Failure{Dimension: map[string]int{}}
	nodes := f.nodeIDs
	if p.node != nil {
		nodes = []string{p.node.ID}
	}
	enough := f.enough()
	var best *Node
	var bestPeers int
	found, start := 0, f.rng.IntN(max(1, len(nodes)))
	for i := range nodes {
		n := f.nodes[nodes[(start+i)%len(nodes)]]
		if !n.offered(p.job) || !n.Takes() && (p.node == nil || n.Status != NodeReady) {
			continue
		}
		failure.Evaluated++
		peers := peersOn(n, j, p.group, freed)
		why := n.refuses(p.job, g)
		if why == "" && peers > 0 && distinct(p.job, g) {
			why = "distinct_hosts"
		}
		if why != "" {
			failure.filter(why)
			continue
		}
		back, backMB := 0, 0
		if freed != nil && freed.Node == n {
			back, backMB = freed.Group.size()
		}
		if what := n.fits(cpu-back, mb-backMB); what != "" {
			failure.Exhausted++
			failure.Dimension[what]++
			continue
		}
		found++
		if best == nil || cmp.Or(cmp.Compare(peers, bestPeers), cmp.Compare(best.UsedMB, n.UsedMB), strings.Compare(n.ID, best.ID)) < 0 {
			best, bestPeers = n, peers
		}
		if found >= enough {
			break
		}
	}
	if best == nil {
		if e.Failed == nil {
			e.Failed, e.Queued = map[string]Failure{}, map[string]int{}
		}
		e.Failed[p.group] = failure
		e.Queued[p.group]++
	}
	return best
}

// enough is how many nodes are compared: the logarithm of their number, two at
// least.
func (f *Fleet) enough() int {
	n := 2
	for size := len(f.nodeIDs); size > 4; size /= 2 {
		n++
	}
	return n
}

// peersOn counts the instances of a job's group on a node, less one that goes.
func peersOn(n *Node, j *jobState, group string, freed *Alloc) int {
	peers := 0
	for _, a := range n.allocs {
		if a.state == j && a.Group.Name == group && a != freed {
			peers++
		}
	}
	return peers
}

func distinct(j *Job, g *Group) bool {
	return slices.ContainsFunc(slices.Concat(j.Constraints, g.Constraints), func(c Constraint) bool { return c.Operand == "distinct_hosts" })
}
