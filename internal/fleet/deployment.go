package fleet

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Status of a deployment.
const (
	DeployRunning    = "running"
	DeployPaused     = "paused"
	DeploySuccessful = "successful"
	DeployFailed     = "failed"
	DeployCancelled  = "cancelled"
)

// Descriptions of a running deployment, in Nomad's words.
const (
	isRunning      = "Deployment is running"
	waitsForPerson = "Deployment is running but requires manual promotion"
	waitsForHealth = "Deployment is running pending automatic promotion"
)

// Deployment replaces the instances of a job by instances of one version.
type Deployment struct {
	ID                       string
	Job                      JobID
	JobVersion               uint64
	JobModifyIndex           uint64
	JobCreateIndex           uint64
	Status, Description      string
	Groups                   map[string]*DeploymentGroup
	CreateIndex, ModifyIndex uint64
	Created, Modified        time.Time

	state *jobState
}

// DeploymentGroup is a deployment's share in one group.
type DeploymentGroup struct {
	Update            Update
	Promoted          bool
	DesiredCanaries   int
	PlacedCanaries    []string // IDs
	DesiredTotal      int
	Placed            int
	Healthy           int
	Unhealthy         int
	RequireProgressBy time.Time // it fails then, unless another instance is healthy; zero means never
}

// Active reports whether the deployment has not ended.
func (d *Deployment) Active() bool { return d.Status == DeployRunning || d.Status == DeployPaused }

// group names its groups in order.
func (d *Deployment) groups() []string { return slices.Sorted(maps.Keys(d.Groups)) }

// Others says which groups but one have instances that are not healthy, while the
// deployment goes on or when it has failed.
func (d *Deployment) Others(but string) string {
	var said []string
	for _, name := range d.groups() {
		if g := d.Groups[name]; name != but && (d.Active() || d.Status == DeployFailed) && g.Healthy < g.DesiredTotal {
			said = append(said, fmt.Sprintf("%d of %d instances of group %s are healthy", g.Healthy, g.DesiredTotal, name))
		}
	}
	return strings.Join(said, ", ")
}

// unpromoted reports whether canaries of a group wait for a promotion.
func (g *DeploymentGroup) unpromoted() bool { return g.DesiredCanaries > 0 && !g.Promoted }

// Deployments lists those of a job that are kept, newest first.
func (f *Fleet) Deployments(id JobID) []*Deployment {
	if j := f.jobs[id]; j != nil {
		return j.deployments
	}
	return nil
}

// Latest is the newest deployment of a job, or nil.
func (f *Fleet) Latest(id JobID) *Deployment {
	if list := f.Deployments(id); len(list) > 0 {
		return list[0]
	}
	return nil
}

// Deployment finds one by ID; the error has code not_found.
func (f *Fleet) Deployment(id string) (*Deployment, error) {
	if d := f.deploys[id]; d != nil {
		return d, nil
	}
	return nil, api.Errorf(api.CodeNotFound, "deployment not found: %s", id)
}

// active finds a deployment that has not ended. Otherwise the error has code
// unavailable, the code for every answer of a real Nomad with status 500.
func (f *Fleet) active(id string) (*Deployment, error) {
	d, err := f.Deployment(id)
	if err != nil {
		return nil, err
	}
	if !d.Active() {
		return nil, api.Errorf(api.CodeUnavailable, "can't change terminal deployment: it is %s", d.Status)
	}
	return d, nil
}

// deploy begins a deployment of the job's latest version.
func (f *Fleet) deploy(j *jobState) *Deployment {
	d := &Deployment{
		ID: f.newID(), Job: j.current.JobID, JobVersion: j.current.Version, JobModifyIndex: j.current.ModifyIndex,
		JobCreateIndex: j.current.CreateIndex, Status: DeployRunning, Description: isRunning,
		Groups: map[string]*DeploymentGroup{}, Created: f.now, state: j,
	}
	f.deploys[d.ID] = d
	j.deployments = slices.Insert(j.deployments, 0, d)
	for len(j.deployments) > keptDeployments {
		delete(f.deploys, j.deployments[len(j.deployments)-1].ID)
		j.deployments = slices.Delete(j.deployments, len(j.deployments)-1, len(j.deployments))
	}
	f.deploymentChanged(d, "PlanResult")
	d.CreateIndex = d.ModifyIndex
	return d
}

func (f *Fleet) deploymentChanged(d *Deployment, what string) {
	d.ModifyIndex, d.Modified = f.touch(TableDeployments), f.now
	f.event(Event{Topic: TopicDeployment, Type: what, Key: d.ID, Namespace: d.Job.Namespace, Filter: []string{d.Job.ID}})
}

// setDeploymentStatus ends a deployment, or pauses and resumes it.
func (f *Fleet) setDeploymentStatus(d *Deployment, status, why string) {
	d.Status, d.Description = status, why
	if status != DeploySuccessful && status != DeployCancelled {
		f.deploymentChanged(d, "DeploymentStatusUpdate")
		return
	}
	f.deploymentChanged(d, "PlanResult") // the scheduler's word
	if v := d.state.version(d.JobVersion); v != nil && status == DeploySuccessful {
		v.Stable = true
		f.jobChanged(v, "PlanResult")
	}
}

// SetAllocHealth marks allocations of a deployment, as a person does when the
// update block says that health is manual. An unhealthy allocation ends a
// deployment that has no progress deadline. The error has code not_found or
// unavailable.
func (f *Fleet) SetAllocHealth(id string, healthy, unhealthy []string) error {
	d, err := f.active(id)
	if err != nil {
		return err
	}
	for _, list := range [][]string{healthy, unhealthy} {
		for _, id := range list {
			if a := f.allocs[id]; a == nil || a.Deployment != d.ID {
				return api.Errorf(api.CodeUnavailable, "unknown alloc %q", id)
			}
		}
	}
	for _, id := range healthy {
		f.mark(f.allocs[id], HealthGood)
	}
	for _, id := range unhealthy {
		f.mark(f.allocs[id], HealthBad)
	}
	f.deploymentChanged(d, "DeploymentAllocHealth")
	f.evaluate(d.state, TriggerDeployment)
	return nil
}

// mark counts an allocation's health in its deployment. The first health that a
// client reports stays; a person may change it.
func (f *Fleet) mark(a *Alloc, h Health) {
	d := f.deploys[a.Deployment]
	if d == nil || a.Health == h || (a.Health == HealthGood && a.ended()) {
		return
	}
	if !d.Active() {
		// An instance came back in a former version. Its client still reports it
		// as healthy.
		if a.Health == HealthUnknown && h == HealthGood {
			a.Health, a.HealthAt = h, f.now
			f.changed(a, "AllocationUpdated")
		}
		return
	}
	g := d.Groups[a.Group.Name]
	if g == nil {
		return
	}
	switch a.Health {
	case HealthGood:
		g.Healthy--
	case HealthBad:
		g.Unhealthy--
	case HealthUnknown:
	}
	a.Health, a.HealthAt = h, f.now
	f.changed(a, "AllocationUpdated")
	if h == HealthGood {
		g.Healthy++
		f.deploymentChanged(d, "AllocationUpdated")
		f.progress(d, g)
		f.autoPromote(d)
		f.evaluate(d.state, TriggerDeployment)
		return
	}
	g.Unhealthy++
	f.deploymentChanged(d, "AllocationUpdated")
	if g.Update.ProgressDeadline == 0 || a.Job.Type == TypeSystem { // which is not rescheduled in the meantime
		f.failDeployment(d, "Failed due to unhealthy allocations", true)
	}
}

// checkHealthLater marks an allocation as healthy once it has been healthy for the
// time that its update block asks for.
func (f *Fleet) checkHealthLater(a *Alloc) {
	if u := a.Group.Update; u != nil && u.HealthCheck != HealthManual {
		f.inRun(a, u.MinHealthyTime, func() {
			if a.Health == HealthUnknown {
				f.mark(a, HealthGood)
			}
		})
	}
}

// watch marks an allocation as unhealthy when it is not healthy in time.
func (f *Fleet) watch(a *Alloc) {
	u := a.Group.Update
	if u == nil || u.HealthCheck == HealthManual || u.HealthyDeadline <= 0 {
		return
	}
	a.watched++ // another deployment, or another run, has a time of its own
	mine := a.watched
	f.after(u.HealthyDeadline, func() {
		if a.watched == mine && a.Health == HealthUnknown && !a.terminal() {
			f.mark(a, HealthBad)
		}
	})
}

// progress moves a deployment's deadline.
func (f *Fleet) progress(d *Deployment, g *DeploymentGroup) {
	if g.Update.ProgressDeadline <= 0 {
		return
	}
	g.RequireProgressBy = f.now.Add(g.Update.ProgressDeadline)
	by := g.RequireProgressBy
	f.At(by, func() {
		if d.Active() && g.RequireProgressBy.Equal(by) && g.Healthy < max(g.DesiredTotal, g.DesiredCanaries) && !g.held() {
			f.failDeployment(d, "Failed due to progress deadline", true)
		}
	})
}

// held reports whether all canaries are healthy and wait for their promotion. No
// progress deadline ends that wait.
func (g *DeploymentGroup) held() bool { return g.unpromoted() && g.Healthy >= g.DesiredCanaries }

func (f *Fleet) autoPromote(d *Deployment) {
	waiting := false
	for _, g := range d.Groups {
		if !g.unpromoted() {
			continue
		}
		waiting = true
		if !g.Update.AutoPromote || f.healthyCanaries(g) < g.DesiredCanaries {
			return
		}
	}
	if waiting {
		f.promote(d)
	}
}

func (f *Fleet) healthyCanaries(g *DeploymentGroup) int {
	n := 0
	for _, id := range g.PlacedCanaries {
		if a := f.allocs[id]; a != nil && a.Desired == DesiredRun && a.Health == HealthGood {
			n++
		}
	}
	return n
}

// PromoteDeployment promotes the canaries. The error has code unavailable when
// some of them are not marked as healthy.
func (f *Fleet) PromoteDeployment(id string) error {
	d, err := f.active(id)
	if err != nil {
		return err
	}
	for _, name := range d.groups() {
		if g := d.Groups[name]; g.unpromoted() && f.healthyCanaries(g) < g.DesiredCanaries {
			return api.Errorf(api.CodeUnavailable, "task group %q has %d/%d healthy allocations", name, f.healthyCanaries(g), g.DesiredCanaries)
		}
	}
	f.promote(d)
	return nil
}

func (f *Fleet) promote(d *Deployment) {
	for _, name := range d.groups() {
		g := d.Groups[name]
		if !g.unpromoted() {
			continue
		}
		g.Promoted = true
		for _, id := range g.PlacedCanaries {
			if a := f.allocs[id]; a != nil && a.Canary && a.Desired == DesiredRun {
				a.Canary = false
				f.changed(a, "AllocationUpdated")
			}
		}
	}
	d.Description = isRunning
	f.deploymentChanged(d, "DeploymentPromotion")
	f.evaluate(d.state, TriggerDeployment)
}

// FailDeployment ends a deployment as a person does. Canaries are stopped.
// Instances that were replaced stay so, unless the update block asks to revert.
func (f *Fleet) FailDeployment(id string) error {
	d, err := f.active(id)
	if err != nil {
		return err
	}
	f.failDeployment(d, "Deployment marked as failed", true)
	return nil
}

// failDeployment ends a deployment, and reverts where its groups ask for it.
func (f *Fleet) failDeployment(d *Deployment, why string, revert bool) {
	if !d.Active() {
		return
	}
	var to *Job
	for _, g := range d.Groups {
		if revert && g.Update.AutoRevert {
			to = d.state.stableBefore(d.JobVersion)
		}
	}
	if to != nil {
		why += " - rolling back to job version " + utoa(to.Version)
	}
	f.setDeploymentStatus(d, DeployFailed, why)
	if to != nil && !d.state.current.Stopped {
		f.newVersion(d.state, *to)
	}
	f.evaluate(d.state, TriggerDeployment)
}

// PauseDeployment holds a deployment, or lets it go on. Its progress deadline
// runs all the same.
func (f *Fleet) PauseDeployment(id string, pause bool) error {
	d, err := f.active(id)
	if err != nil {
		return err
	}
	if pause {
		f.setDeploymentStatus(d, DeployPaused, "Deployment is paused")
		return nil
	}
	f.setDeploymentStatus(d, DeployRunning, isRunning)
	f.evaluate(d.state, TriggerDeployment)
	return nil
}
