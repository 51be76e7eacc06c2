package fleet

import (
	"fmt"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

// The life of an allocation on its client: pending, running, answering, and
// ended by a crash, a completion, a word of the scheduler or a lost node.

// place puts an allocation on a node. It is pending until its tasks start.
func (f *Fleet) place(j *jobState, p placement, n *Node) *Alloc {
	group := p.job.Group(p.group)
	a := &Alloc{
		ID: f.newID(), Name: fmt.Sprintf("%s.%s[%d]", p.job.ID, p.group, p.slot), Slot: p.slot, Job: p.job, Group: group, Node: n,
		Desired: DesiredRun, Client: ClientPending, Canary: p.canary, Created: f.now, state: j,
	}
	for range group.Ports {
		a.Ports = append(a.Ports, 20000+f.rng.IntN(12000))
	}
	if prev := p.previous; prev != nil {
		a.Previous, prev.Next = prev.ID, a.ID
		a.Rescheduled = prev.Rescheduled
		if p.rescheduled {
			a.Rescheduled++
		}
	}
	f.allocs[a.ID] = a
	j.allocs = append(j.allocs, a)
	n.take(a)
	f.changed(a, "PlanResult")
	a.CreateIndex = a.ModifyIndex
	f.begin(a, 0)
	return a
}

// take and leave count an allocation's room.
func (n *Node) take(a *Alloc) {
	cpu, mb := a.Group.size()
	n.UsedCPU, n.UsedMB = n.UsedCPU+cpu, n.UsedMB+mb
	n.allocs = append(n.allocs, a)
}

func (f *Fleet) leave(a *Alloc) {
	n := a.Node
	i := slices.Index(n.allocs, a)
	if i < 0 {
		return
	}
	n.allocs = slices.Delete(n.allocs, i, i+1)
	cpu, mb := a.Group.size()
	n.UsedCPU, n.UsedMB = n.UsedCPU-cpu, n.UsedMB-mb
	f.evaluateBlocked()
	f.drained(n)
}

// begin starts a run of the allocation's tasks after a delay.
func (f *Fleet) begin(a *Alloc, delay time.Duration) {
	a.life++
	a.Ready, a.Started = false, time.Time{}
	a.behaviour = f.behave(a.Build())
	if f.rng.Float64() < a.behaviour.NeverStarts {
		f.watch(a)
		return
	}
	a.boots = f.rng.Float64() >= a.behaviour.NeverBoots
	f.inRun(a, delay+f.between(a.behaviour.Start, a.behaviour.StartMost), func() { f.start(a) })
	if a.Restarts == 0 {
		f.watch(a)
	}
}

// inRun calls do after a time, unless the present run has ended before.
func (f *Fleet) inRun(a *Alloc, d time.Duration, do func()) {
	life := a.life
	f.after(d, func() {
		if a.life == life && !a.terminal() {
			do()
		}
	})
}

// start is the moment in which the tasks run.
func (f *Fleet) start(a *Alloc) {
	if !a.Node.reachable {
		return
	}
	a.Client, a.Started = ClientRunning, f.now
	a.addEvent(TaskEvent{Type: "Started", Task: a.main(), At: f.now, Message: "Task started by client"})
	f.changed(a, "AllocationUpdated")
	if a.Job.Type == TypeBatch || a.Job.Type == TypeSysBatch {
		f.inRun(a, a.behaviour.Runs, func() { f.finish(a) })
	}
	if d := a.behaviour.CrashAfter; d > 0 && (a.behaviour.CrashShare == 0 || f.rng.Float64() < a.behaviour.CrashShare) {
		f.inRun(a, d, func() { f.exit(a, 1, false) })
	}
	if a.boots {
		f.inRun(a, f.between(a.behaviour.Boot, a.behaviour.BootMost), func() { f.ready(a) })
	}
	if !a.Group.waitsForChecks() {
		f.checkHealthLater(a)
	}
}

// waitsForChecks reports whether health in a deployment is that of checks, and
// not that of tasks.
func (g *Group) waitsForChecks() bool {
	return g.checked() && (g.Update == nil || g.Update.HealthCheck != HealthTaskStates)
}

// ready is the moment in which the instance answers.
func (f *Fleet) ready(a *Alloc) {
	a.Ready = true
	f.changed(a, "AllocationUpdated")
	f.drainOn(a.state)
	if a.Group.waitsForChecks() {
		f.checkHealthLater(a)
	}
}

// finish completes a batch job's allocation.
func (f *Fleet) finish(a *Alloc) {
	a.addEvent(TaskEvent{Type: "Terminated", Task: a.main(), At: f.now, Message: "Exit Code: 0"})
	f.end(a, ClientComplete)
	f.evaluate(a.state, TriggerAllocUpdate)
}

// exit ends a run that nobody asked to end: the client restarts the tasks, or the
// allocation has failed.
func (f *Fleet) exit(a *Alloc, code int, oom bool) {
	if !a.Node.reachable {
		return
	}
	message := fmt.Sprintf("Exit Code: %d", code)
	if oom {
		message = "OOM Killed, " + message
	}
	a.addEvent(TaskEvent{Type: "Terminated", Task: a.main(), At: f.now, ExitCode: code, OOM: oom, Message: message})
	policy := a.Group.restart(a.Job.Type)
	a.restarts = slices.DeleteFunc(a.restarts, func(at time.Time) bool { return f.now.Sub(at) > policy.Interval })
	if len(a.restarts) >= policy.Attempts {
		f.fail(a, "Exceeded allowed attempts")
		return
	}
	a.restarts = append(a.restarts, f.now)
	f.restart(a, policy.Delay)
}

func (f *Fleet) restart(a *Alloc, delay time.Duration) {
	a.Restarts++
	a.addEvent(TaskEvent{Type: "Restarting", Task: a.main(), At: f.now, Message: fmt.Sprintf("Task restarting in %s", delay)})
	f.begin(a, delay)
	f.changed(a, "AllocationUpdated")
}

// fail ends an allocation as failed.
func (f *Fleet) fail(a *Alloc, why string) {
	a.addEvent(TaskEvent{Type: "Not Restarting", Task: a.main(), At: f.now, Message: why, Fails: true})
	f.end(a, ClientFailed)
	policy := a.Group.reschedule(a.Job.Type)
	if policy.Unlimited || a.Rescheduled < policy.Attempts {
		a.retry = f.now.Add(policy.delay(a.Rescheduled))
	}
	f.mark(a, HealthBad)
	if a.Job.Type != TypeSystem { // which Nomad reschedules nowhere
		f.evaluate(a.state, TriggerAllocUpdate)
	}
}

// delay before the next try, after so many that failed.
func (r Reschedule) delay(failed int) time.Duration {
	d := r.Delay
	for range failed {
		if d *= 2; d >= r.MaxDelay {
			return r.MaxDelay
		}
	}
	return d
}

// end ends an allocation with a client status.
func (f *Fleet) end(a *Alloc, status string) {
	if a.ended() {
		return
	}
	a.life++
	a.Client, a.Ready, a.Ended = status, false, f.now
	f.leave(a)
	f.changed(a, "AllocationUpdated")
}

// stop makes the scheduler stop an allocation. The tasks end a moment later. The
// room is free at once, as in Nomad.
func (f *Fleet) stop(a *Alloc, why string) {
	a.Desired, a.Description = DesiredStop, why
	f.leave(a)
	f.changed(a, "PlanResult")
	if a.Node.Status == NodeDown {
		f.end(a, ClientLost)
		return
	}
	f.after(a.behaviour.Stop, func() { f.end(a, ClientComplete) })
}

// Crash ends an allocation as failed, as a task does that dies again and again.
func (f *Fleet) Crash(id, why string) error {
	a, err := f.running(id)
	if err != nil {
		return err
	}
	a.addEvent(TaskEvent{Type: "Terminated", Task: a.main(), At: f.now, ExitCode: 1, Message: "Exit Code: 1"})
	f.fail(a, why)
	return nil
}

// Kill ends the present run of an allocation, which its client starts again as
// its restart policy says.
func (f *Fleet) Kill(id string, outOfMemory bool) error {
	a, err := f.running(id)
	if err != nil {
		return err
	}
	f.exit(a, 137, outOfMemory)
	return nil
}

// RestartAlloc starts an allocation's tasks again at once, as a person does.
func (f *Fleet) RestartAlloc(id string) error {
	a, err := f.running(id)
	if err != nil {
		return err
	}
	f.restart(a, 0)
	return nil
}

func (f *Fleet) running(id string) (*Alloc, error) {
	a, err := f.Alloc(id)
	if err != nil {
		return nil, err
	}
	if a.terminal() || !a.Node.reachable {
		return nil, api.Errorf(api.CodeConflict, "alloc %s does not run", id)
	}
	return a, nil
}
