package fleet

import (
	"time"

	"github.com/oakumhq/oakum/api"
)

// Others change jobs too, and know nothing of Oakum.

// Autoscaler sets a group's count again and again.
type Autoscaler struct {
	Target api.TargetRef
	Every  time.Duration
	Want   func(now time.Time, count int) int
}

// Autoscale scales a group at intervals until its job is gone. When Nomad refuses
// because of an active deployment, it tries again at the next interval.
func (f *Fleet) Autoscale(s Autoscaler) {
	f.every(s.Every, JobID{s.Target.Namespace, s.Target.Job}, func(j *Job) {
		if g := j.Group(s.Target.Group); g != nil {
			_, _ = f.Scale(s.Target, s.Want(f.now, g.Count)) // refused: the next turn
		}
	})
}

// Pipeline registers a job again and again.
type Pipeline struct {
	Job   JobID
	Every time.Duration
	Next  func(now time.Time, present Job) Job
}

// Deliver registers a job at intervals until the job is gone. When Nomad refuses,
// it tries again at the next interval.
func (f *Fleet) Deliver(p Pipeline) {
	f.every(p.Every, p.Job, func(j *Job) {
		_, _ = f.Register(p.Next(f.now, *j), false, 0) // refused: the next turn
	})
}

// every calls do again and again while a job runs.
func (f *Fleet) every(d time.Duration, id JobID, do func(*Job)) {
	f.after(d, func() {
		j, err := f.Job(id)
		if err != nil {
			return
		}
		if !j.Stopped {
			do(j)
		}
		f.every(d, id, do)
	})
}
