package fleet

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"github.com/oakumhq/oakum/api"
)

// jobState is a job with its versions and its instances.
type jobState struct {
	current     *Job   // the latest version
	versions    []*Job // newest first
	allocs      []*Alloc
	deployments []*Deployment // newest first
	evals       []*Evaluation // newest first
	pending     *Evaluation
	blocked     *Evaluation
	purged      bool
}

// Registered is what became of a registration.
type Registered struct {
	Job        *Job
	New        bool        // there is a new version
	Evaluation *Evaluation // nil when nothing changed
}

func utoa(n uint64) string { return strconv.FormatUint(n, 10) }

func (j *jobState) system() bool {
	return j.current.Type == TypeSystem || j.current.Type == TypeSysBatch
}

// version finds a version that is kept; nil when there is none.
func (j *jobState) version(n uint64) *Job {
	for _, v := range j.versions {
		if v.Version == n {
			return v
		}
	}
	return nil
}

// stableBefore is the newest stable version before one; nil when there is none.
func (j *jobState) stableBefore(n uint64) *Job {
	for _, v := range j.versions {
		if v.Stable && v.Version < n {
			return v
		}
	}
	return nil
}

// registered finds a job that is not purged; the error has code not_found.
func (f *Fleet) registered(id JobID) (*jobState, error) {
	if j := f.jobs[id]; j != nil && !j.purged {
		return j, nil
	}
	return nil, api.Errorf(api.CodeNotFound, "job not found: %s", id.ID)
}

// Job is the latest version of a job; the error has code not_found.
func (f *Fleet) Job(id JobID) (*Job, error) {
	j, err := f.registered(id)
	if err != nil {
		return nil, err
	}
	return j.current, nil
}

// Versions lists the versions of a job that are kept, newest first; the error
// has code not_found.
func (f *Fleet) Versions(id JobID) ([]*Job, error) {
	j, err := f.registered(id)
	if err != nil {
		return nil, err
	}
	return j.versions, nil
}

// Status is the status of a job as Nomad reports it: pending, running or dead.
func (f *Fleet) Status(id JobID) string {
	j, err := f.registered(id)
	if err != nil || j.current.Stopped {
		return "dead"
	}
	if j.current.Launch != "" {
		return "running"
	}
	for _, a := range j.allocs {
		if !a.terminal() {
			return "running"
		}
	}
	if len(j.allocs) == 0 || j.pending != nil || j.blocked != nil || j.current.Type == TypeService {
		return "pending"
	}
	return "dead"
}

// Register registers a job. With enforce it is a compare-and-set on the modify
// index, where 0 means that there must be no such job; the error has code
// conflict then. A job like the present one is no new version.
func (f *Fleet) Register(job Job, enforce bool, expect uint64) (Registered, error) {
	job.Groups, job.digest = slices.Clone(job.Groups), "" // it may be a changed copy of one whose digest is known
	if err := job.complete(); err != nil {
		return Registered{}, err
	}
	j, err := f.registered(job.JobID)
	if err := enforced(j, err == nil, enforce, expect); err != nil {
		return Registered{}, err
	}
	if err != nil {
		j = f.newState(job.JobID)
	} else if !j.current.Stopped && sameJob(j.current, &job) {
		return Registered{Job: j.current}, nil
	}
	v := f.newVersion(j, job)
	if v.Launch != "" {
		return Registered{Job: v, New: true}, nil
	}
	return Registered{Job: v, New: true, Evaluation: f.evaluate(j, TriggerRegister)}, nil
}

// KeepCounts gives the groups of a job that is about to be registered the counts that they
// have now, as Nomad's PreserveCounts does.
func (f *Fleet) KeepCounts(job *Job) {
	was, err := f.Job(job.JobID)
	if err != nil {
		return
	}
	job.Groups = slices.Clone(job.Groups)
	for i := range job.Groups {
		if g := was.Group(job.Groups[i].Name); g != nil {
			job.Groups[i].Count = g.Count
		}
	}
}

// enforced is the compare-and-set, in Nomad's words.
func enforced(j *jobState, exists, enforce bool, expect uint64) error {
	prefix := fmt.Sprintf("Enforcing job modify index %d: ", expect)
	switch {
	case !enforce:
		return nil
	case expect == 0 && exists:
		return &api.Error{Code: api.CodeConflict, Message: prefix + "job already exists"}
	case expect != 0 && !exists:
		return &api.Error{Code: api.CodeConflict, Message: prefix + "job does not exist"}
	case expect != 0 && j.current.ModifyIndex != expect:
		return &api.Error{Code: api.CodeConflict, Message: fmt.Sprintf("%sjob exists with conflicting job modify index: %d", prefix, j.current.ModifyIndex)}
	}
	return nil
}

// sameJob reports whether a registration changes nothing.
func sameJob(a, b *Job) bool {
	if a.Digest() != b.Digest() || !bytes.Equal(a.Text, b.Text) {
		return false
	}
	for i := range a.Groups {
		if a.Groups[i].Count != b.Groups[i].Count || !SameUpdate(a.Groups[i].Update, b.Groups[i].Update) {
			return false
		}
	}
	return true
}

// SameUpdate reports whether two update blocks say the same.
func SameUpdate(a, b *Update) bool {
	return a == b || (a != nil && b != nil && *a == *b)
}

// newState begins a job, in the place of one that was purged.
func (f *Fleet) newState(id JobID) *jobState {
	j := &jobState{}
	if old := f.jobs[id]; old != nil {
		j.allocs, j.evals = slices.Clone(old.allocs), old.evals
		for _, a := range j.allocs {
			a.state = j
		}
		for _, d := range old.deployments {
			delete(f.deploys, d.ID)
		}
	}
	f.jobs[id] = j
	f.ids = append(f.ids, id)
	f.unsorted = true
	return j
}

// newVersion makes a job the latest version.
func (f *Fleet) newVersion(j *jobState, job Job) *Job {
	job.Version, job.CreateIndex = 0, 0
	if j.current != nil {
		job.Version, job.CreateIndex = j.current.Version+1, j.current.CreateIndex
	}
	job.Stopped, job.Stable, job.Tag, job.digest = false, false, Tag{}, ""
	job.SubmittedAt = f.now
	job.Groups = slices.Clone(job.Groups)
	v := &job
	f.jobChanged(v, "JobRegistered")
	v.ModifyIndex = v.StatusIndex
	if v.CreateIndex == 0 {
		v.CreateIndex = v.ModifyIndex
	}
	j.current = v
	if j.system() {
		f.systems[v.JobID] = true
	}
	j.versions = slices.Insert(j.versions, 0, v)
	j.forget()
	return v
}

// forget drops the oldest versions without a tag.
func (j *jobState) forget() {
	kept := 0
	j.versions = slices.DeleteFunc(j.versions, func(v *Job) bool {
		if v.Tag.Name != "" {
			return false
		}
		kept++
		return kept > trackedVersions
	})
}

func (f *Fleet) jobChanged(v *Job, what string) {
	v.StatusIndex = f.touch(TableJobs)
	if what != "" {
		f.event(Event{Topic: TopicJob, Type: what, Key: v.ID, Namespace: v.Namespace})
	}
}

// Deregister stops a job. A purged one is gone, and its allocations end.
func (f *Fleet) Deregister(id JobID, purge bool) (*Evaluation, error) {
	j, err := f.registered(id)
	if err != nil {
		return nil, err
	}
	f.newVersion(j, *j.current).Stopped = true
	f.event(Event{Topic: TopicJob, Type: "JobDeregistered", Key: id.ID, Namespace: id.Namespace})
	if purge {
		j.purged = true
		f.ids = slices.DeleteFunc(f.ids, func(other JobID) bool { return other == id })
		delete(f.systems, id)
		f.unblock(j)
		f.after(keptEnded, func() {
			if f.jobs[id] == j {
				f.drop(j)
				delete(f.jobs, id)
			}
		})
	}
	return f.evaluate(j, TriggerDeregister), nil
}

// Scale sets the count of a group. The error has code invalid while a
// deployment is active.
func (f *Fleet) Scale(ref api.TargetRef, count int) (Registered, error) {
	j, err := f.registered(JobID{ref.Namespace, ref.Job})
	if err != nil {
		return Registered{}, err
	}
	next := *j.current
	next.Groups = slices.Clone(next.Groups)
	g := next.Group(ref.Group)
	if g == nil || next.Stopped || count < 0 {
		return Registered{}, api.Errorf(api.CodeInvalid, "group %q: not in a running job, or the count %d is negative", ref.Group, count)
	}
	if d := f.Latest(next.JobID); d != nil && d.Active() && d.JobCreateIndex == next.CreateIndex {
		return Registered{}, api.Errorf(api.CodeInvalid, "job scaling blocked due to active deployment")
	}
	if g.Count == count {
		return Registered{Job: j.current}, nil
	}
	g.Count = count
	return Registered{Job: f.newVersion(j, next), New: true, Evaluation: f.evaluate(j, TriggerScaling)}, nil
}

// Revert registers an earlier version again, its update block included.
func (f *Fleet) Revert(id JobID, version uint64, enforce bool, prior uint64) (Registered, error) {
	j, err := f.registered(id)
	if err != nil {
		return Registered{}, err
	}
	if enforce && j.current.Version != prior {
		return Registered{}, api.Errorf(api.CodeUnavailable, "Current job has version %d; enforcing version %d", j.current.Version, prior)
	}
	v := j.version(version)
	switch v {
	case nil:
		return Registered{}, api.Errorf(api.CodeNotFound, "job %q in namespace %q at version %d not found", id.ID, id.Namespace, version)
	case j.current:
		return Registered{}, api.Errorf(api.CodeInvalid, "can't revert to current version")
	}
	return f.Register(*v, false, 0)
}

// TagVersion marks a version, which is then kept. The error has code unavailable
// when another one has the tag.
func (f *Fleet) TagVersion(id JobID, version uint64, name, description string) error {
	j, err := f.registered(id)
	if err != nil {
		return err
	}
	v := j.version(version)
	if v == nil {
		return api.Errorf(api.CodeNotFound, "job %q version %d not found", id.ID, version)
	}
	for _, other := range j.versions {
		if other != v && other.Tag.Name == name {
			return api.Errorf(api.CodeUnavailable, "tag %q already exists on a different version of job %q", name, id.ID)
		}
	}
	v.Tag = Tag{Name: name, Description: description, At: f.now}
	f.jobChanged(v, "")
	return nil
}

// UntagVersion removes a mark; the error has code not_found.
func (f *Fleet) UntagVersion(id JobID, name string) error {
	j, err := f.registered(id)
	if err != nil {
		return err
	}
	for _, v := range j.versions {
		if v.Tag.Name == name {
			v.Tag = Tag{}
			f.jobChanged(v, "")
			j.forget()
			return nil
		}
	}
	return api.Errorf(api.CodeNotFound, "tag %q not found on job %q", name, id.ID)
}
