package fleet

import (
	"slices"
	"strconv"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Values of Alloc.Desired, which the scheduler sets.
const (
	DesiredRun  = "run"
	DesiredStop = "stop"
)

// Values of Alloc.Client, which the client reports.
const (
	ClientPending  = "pending"
	ClientRunning  = "running"
	ClientComplete = "complete"
	ClientFailed   = "failed"
	ClientLost     = "lost"
)

// Health is what a deployment knows of an allocation.
type Health int

// Values of Health.
const (
	HealthUnknown Health = iota
	HealthGood
	HealthBad
)

// Alloc is an allocation.
type Alloc struct {
	ID    string
	Name  string // job.group[number]
	Slot  int    // the number in Name
	Job   *Job   // the version that it runs
	Group *Group // of Job
	Node  *Node
	Ports []int // as Group.Ports

	Desired, Description string // what Nomad wants, and why
	Client               string
	Deployment           string // ID of the one that counts it
	Health               Health // in that deployment
	HealthAt             time.Time
	Canary               bool
	Previous, Next       string // IDs of what it replaces and of what replaces it
	Rescheduled          int    // how often it and those before it have failed and were replaced

	CreateIndex, ModifyIndex uint64
	Created, Modified        time.Time
	Started                  time.Time // of the present run; zero while it is pending
	Ended                    time.Time
	Ready                    bool // it answers, and its checks pass
	Restarts                 int
	Events                   []TaskEvent // newest last, ten at most

	state     *jobState
	life      uint64      // of the present run, so that what was due in another does nothing
	restarts  []time.Time // within the policy's interval
	migrate   bool        // the drainer, or a person, wants it elsewhere
	behaviour Behaviour
	boots     bool // it will answer in this run
	retry     time.Time
	watched   int // how often its health was given a deadline
}

// TaskEvent is something that happened to an allocation's tasks.
type TaskEvent struct {
	Type     string // as Nomad names it
	Task     string
	Message  string
	At       time.Time
	ExitCode int
	OOM      bool // it was killed for lack of memory
	Fails    bool // its task has failed with it
}

// keptTaskEvents is as in Nomad.
const keptTaskEvents = 10

// Ref is the target that the allocation is an instance of.
func (a *Alloc) Ref() api.TargetRef {
	return api.TargetRef{Namespace: a.Job.Namespace, Job: a.Job.ID, Group: a.Group.Name}
}

// Build is what the allocation runs.
func (a *Alloc) Build() Build {
	return Build{Target: a.Ref(), Version: a.Job.Version, Group: a.Group}
}

// ended reports whether the client has ended the allocation.
func (a *Alloc) ended() bool {
	return a.Client == ClientComplete || a.Client == ClientFailed || a.Client == ClientLost
}

// terminal reports whether the allocation takes no room on its node any more.
func (a *Alloc) terminal() bool { return a.Desired != DesiredRun || a.ended() }

// Current reports whether it is one of the job's instances: Nomad wants it to
// run, and nothing has replaced it.
func (a *Alloc) Current() bool { return a.Desired == DesiredRun && a.Next == "" }

// Answers reports whether the instance can be reached and serves.
func (a *Alloc) Answers() bool { return a.Ready && a.Client == ClientRunning && a.Node.reachable }

// Address is host:port of the first port; empty when there is none.
func (a *Alloc) Address() string {
	if len(a.Ports) == 0 {
		return ""
	}
	return a.PortAddress(0)
}

// PortAddress is host:port of one of the ports.
func (a *Alloc) PortAddress(i int) string { return a.Node.Address + ":" + strconv.Itoa(a.Ports[i]) }

// TaskState is the state of one of the group's tasks: pending, running or dead,
// and whether it failed.
func (a *Alloc) TaskState(t Task) (state string, failed bool) {
	passes := t.Lifecycle == "prestart" || t.Lifecycle == "poststart"
	switch {
	case t.Lifecycle == "poststop" && !a.ended():
		return "pending", false
	case a.ended():
		return "dead", a.Client == ClientFailed && !passes
	case a.Client == ClientPending || a.Started.IsZero():
		return "pending", false
	case passes:
		return "dead", false
	}
	return "running", false
}

// main is the task that lives as long as the allocation.
func (a *Alloc) main() string {
	for _, t := range a.Group.Tasks {
		if t.Lifecycle == "" {
			return t.Name
		}
	}
	return a.Group.Tasks[0].Name
}

// Alloc finds an allocation by ID; the error has code not_found.
func (f *Fleet) Alloc(id string) (*Alloc, error) {
	if a := f.allocs[id]; a != nil {
		return a, nil
	}
	return nil, api.Errorf(api.CodeNotFound, "alloc not found: %s", id)
}

// Allocs lists the allocations of a job, the oldest first: its instances, and
// ended allocations that are still kept. It also works for a job that was purged.
func (f *Fleet) Allocs(id JobID) []*Alloc {
	j := f.jobs[id]
	if j == nil {
		return nil
	}
	return j.allocs
}

// Instances lists the allocations of a target that are current, by slot.
func (f *Fleet) Instances(ref api.TargetRef) []*Alloc {
	var out []*Alloc
	for _, a := range f.Allocs(JobID{ref.Namespace, ref.Job}) {
		if a.Current() && a.Group.Name == ref.Group {
			out = append(out, a)
		}
	}
	slices.SortStableFunc(out, bySlot)
	return out
}

func bySlot(a, b *Alloc) int { return a.Slot - b.Slot }

// changed sets the allocation's modify index and publishes an event about it.
func (f *Fleet) changed(a *Alloc, what string) {
	a.ModifyIndex, a.Modified = f.touch(TableAllocs), f.now
	f.publish(a)
	f.event(Event{
		Topic: TopicAllocation, Type: what, Key: a.ID, Namespace: a.Job.Namespace, Filter: []string{a.Job.ID, a.Deployment},
	})
}

// addEvent adds a task event; the oldest beyond keptTaskEvents go.
func (a *Alloc) addEvent(e TaskEvent) {
	if len(a.Events) >= keptTaskEvents {
		a.Events = slices.Delete(a.Events, 0, len(a.Events)-keptTaskEvents+1)
	}
	a.Events = append(a.Events, e)
}

// StopAlloc has Nomad replace an allocation.
func (f *Fleet) StopAlloc(id string) error {
	a, err := f.Alloc(id)
	if err != nil || a.terminal() {
		return err
	}
	a.migrate = true
	f.evaluate(a.state, TriggerAllocStop)
	return nil
}
