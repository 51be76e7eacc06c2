package fleet

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Why a job is evaluated, as Nomad names it.
const (
	TriggerRegister     = "job-register"
	TriggerDeregister   = "job-deregister"
	TriggerScaling      = "job-scaling"
	TriggerNodeUpdate   = "node-update"
	TriggerNodeDrain    = "node-drain"
	TriggerDeployment   = "deployment-watcher"
	TriggerAllocUpdate  = "alloc-failure"
	TriggerAllocStop    = "alloc-stop"
	TriggerRetryFailed  = "failed-follow-up"
	TriggerQueuedAllocs = "queued-allocs"
)

// Status of an evaluation.
const (
	EvalPending  = "pending"
	EvalBlocked  = "blocked"
	EvalComplete = "complete"
	EvalCanceled = "canceled"
)

// Evaluation is one look of the scheduler at a job.
type Evaluation struct {
	ID                       string
	Job                      JobID
	Type                     string // of the job
	Priority                 int
	Trigger                  string
	Status                   string
	JobModifyIndex           uint64
	Deployment               string // ID
	Previous, Blocked        string // IDs of evaluations
	Failed                   map[string]Failure
	Queued                   map[string]int // instances per group without a place
	CreateIndex, ModifyIndex uint64
	Created, Modified        time.Time
}

// Failure says why a group's instances found no place.
type Failure struct {
	Evaluated  int            // nodes looked at
	Filtered   int            // nodes that constraints rule out
	Constraint map[string]int // nodes per reason why they are ruled out
	Exhausted  int            // nodes without room
	Dimension  map[string]int // nodes per dimension that has no room: cpu, memory
	Coalesced  int            // further instances of the group without a place
}

// String says what the nodes lack.
func (m Failure) String() string {
	if m.Evaluated == 0 {
		return "no node is ready and eligible"
	}
	said := []string{fmt.Sprintf("%d of %d nodes are ruled out", m.Filtered, m.Evaluated)}
	for _, what := range slices.Sorted(maps.Keys(m.Dimension)) {
		said = append(said, fmt.Sprintf("%s exhausted on %d", what, m.Dimension[what]))
	}
	return strings.Join(said, ", ")
}

// filter counts a node that is ruled out.
func (m *Failure) filter(why string) {
	if m.Constraint == nil {
		m.Constraint = map[string]int{}
	}
	m.Filtered++
	m.Constraint[why]++
}

// Evaluations lists those of a job that are kept, newest first.
func (f *Fleet) Evaluations(id JobID) []*Evaluation {
	if j := f.jobs[id]; j != nil {
		return j.evals
	}
	return nil
}

// Blocked is the evaluation of a job whose instances wait for room; nil when there is none.
func (f *Fleet) Blocked(id JobID) *Evaluation {
	if j := f.jobs[id]; j != nil {
		return j.blocked
	}
	return nil
}

// Evaluation finds one by ID; the error has code not_found.
func (f *Fleet) Evaluation(id string) (*Evaluation, error) {
	if e := f.evals[id]; e != nil {
		return e, nil
	}
	return nil, api.Errorf(api.CodeNotFound, "eval not found: %s", id)
}

// Evaluate has the scheduler look at a job; the error has code not_found.
func (f *Fleet) Evaluate(id JobID) (*Evaluation, error) {
	j, err := f.registered(id)
	if err != nil {
		return nil, err
	}
	return f.evaluate(j, TriggerRegister), nil
}

// evaluate queues an evaluation. One that is queued already stands for the new
// one, since it reads the job when its turn comes.
func (f *Fleet) evaluate(j *jobState, trigger string) *Evaluation {
	if j.pending != nil {
		return j.pending
	}
	e := f.newEvaluation(j, trigger, EvalPending)
	f.enqueue(j, e)
	return e
}

// enqueue has the scheduler carry out an evaluation soon.
func (f *Fleet) enqueue(j *jobState, e *Evaluation) {
	j.pending = e
	f.after(f.between(f.evalLeast, f.evalMost), func() {
		j.pending = nil
		f.schedule(j, e)
	})
}

func (f *Fleet) newEvaluation(j *jobState, trigger, status string) *Evaluation {
	e := &Evaluation{
		ID: f.newID(), Job: j.current.JobID, Type: j.current.Type, Priority: j.current.Priority, Trigger: trigger,
		Status: status, JobModifyIndex: j.current.ModifyIndex, Created: f.now,
	}
	f.evals[e.ID] = e
	j.evals = slices.Insert(j.evals, 0, e)
	for len(j.evals) > keptEvaluations {
		delete(f.evals, j.evals[len(j.evals)-1].ID)
		j.evals = slices.Delete(j.evals, len(j.evals)-1, len(j.evals))
	}
	f.evaluationChanged(e)
	e.CreateIndex = e.ModifyIndex
	return e
}

func (f *Fleet) evaluationChanged(e *Evaluation) {
	e.ModifyIndex, e.Modified = f.touch(TableEvaluations), f.now
	f.event(Event{
		Topic: TopicEvaluation, Type: "EvaluationUpdated", Key: e.ID, Namespace: e.Job.Namespace, Filter: []string{e.Job.ID, e.Deployment},
	})
}

// evaluateBlocked evaluates the jobs that wait for room, since there may be room
// now. The blocked evaluation of a job is used again each time.
func (f *Fleet) evaluateBlocked() {
	if len(f.blocked) == 0 || f.evaluatingBlocked {
		return
	}
	f.evaluatingBlocked = true
	f.after(0, func() {
		f.evaluatingBlocked = false
		var waiting []JobID
		for id := range f.blocked {
			waiting = append(waiting, id)
		}
		slices.SortFunc(waiting, JobID.Compare)
		for _, id := range waiting {
			if j := f.blocked[id]; j.pending == nil {
				f.enqueue(j, j.blocked) // it is called blocked until it is over
			}
		}
	})
}

// block keeps the evaluation of a job whose instances found no node, until there
// is room.
func (f *Fleet) block(j *jobState, e *Evaluation) {
	switch {
	case e == j.blocked:
		e.Status = EvalBlocked // again
		return
	case j.blocked == nil:
		j.blocked = f.newEvaluation(j, TriggerQueuedAllocs, EvalBlocked)
		j.blocked.Previous = e.ID
		f.blocked[j.current.JobID] = j
	}
	j.blocked.Failed, j.blocked.Queued = e.Failed, e.Queued
	e.Blocked = j.blocked.ID
}

// unblock ends the wait for room.
func (f *Fleet) unblock(j *jobState) {
	if j.blocked == nil {
		return
	}
	j.blocked.Status = EvalComplete
	f.evaluationChanged(j.blocked)
	j.blocked = nil
	delete(f.blocked, j.current.JobID)
}
