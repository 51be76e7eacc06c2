package sandbox

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/twin"
)

// bakeTask is the task of a job that works on images.
const bakeTask = "oakum-bake"

// onceJob is a batch job that runs a task once on one node, as root. An empty pool is
// that of the other job.
func onceJob(like *nomadapi.Job, id, node, pool string, task *nomadapi.Task) *nomadapi.Job {
	group := nomadapi.NewTaskGroup("bake", 1)
	group.RestartPolicy = neverRestart()
	group.ReschedulePolicy = &nomadapi.ReschedulePolicy{Attempts: new(0), Unlimited: new(false)}
	group.Tasks = []*nomadapi.Task{task}
	job := &nomadapi.Job{
		ID: new(id), Name: new(id), Namespace: like.Namespace, Region: like.Region, NodePool: like.NodePool,
		Datacenters: like.Datacenters, Type: new(nomadapi.JobTypeBatch), Priority: new(twinPriority),
		Constraints: []*nomadapi.Constraint{nomadapi.NewConstraint("${node.unique.id}", "=", node)},
		TaskGroups:  []*nomadapi.TaskGroup{group},
	}
	if pool != "" {
		job.NodePool, job.Datacenters = new(pool), []string{"*"}
	}
	return job
}

// shellTask is a task that runs a short shell script. Nomad interpolates a brace after
// a dollar sign, so the script has none.
func shellTask(script string, args ...string) *nomadapi.Task {
	task := nomadapi.NewTask(bakeTask, "raw_exec").
		SetConfig("command", "/bin/sh").
		SetConfig("args", append([]string{"-c", script, "oakum"}, args...))
	task.Resources = &nomadapi.Resources{CPU: new(100), MemoryMB: new(64)}
	task.LogConfig = &nomadapi.LogConfig{MaxFiles: new(1), MaxFileSizeMB: new(1)}
	return task
}

// runOnce runs a job that onceJob made, waits for its end and has its allocation read.
// It removes the job afterwards.
func (s *Sandbox) runOnce(ctx context.Context, job *nomadapi.Job, read func(context.Context, *nomadapi.AllocationListStub) error) error {
	return s.runJob(ctx, job, goneInterval, func(ctx context.Context) (bool, error) {
		ended, err := s.endedAlloc(ctx, *job.Namespace, *job.ID)
		if err != nil || ended == nil {
			return false, err
		}
		return true, read(ctx, ended)
	})
}

// runJob registers a job and looks at it until the look says that it is done. It removes the
// job afterwards.
func (s *Sandbox) runJob(ctx context.Context, job *nomadapi.Job, every time.Duration, look func(context.Context) (done bool, err error)) (err error) {
	namespace, id := *job.Namespace, *job.ID
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = cmp.Or(err, s.StopTwin(ctx, namespace, id))
	}()
	if err := s.nomad.Register(ctx, job, 0); err != nil {
		return err
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if done, err := look(ctx); err != nil || done {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("run %s: %w", id, context.Cause(ctx))
		}
	}
}

// endedAlloc is the allocation of a job that onceJob made, once it has ended, and nil
// before. A job that no node has room for is an error.
func (s *Sandbox) endedAlloc(ctx context.Context, namespace, id string) (*nomadapi.AllocationListStub, error) {
	ctx, cancel := context.WithTimeout(ctx, nomad.CallTimeout)
	defer cancel()
	stubs, _, err := s.api.Jobs().Allocations(id, true, s.nomad.Query(ctx, namespace))
	if err != nil {
		return nil, nomad.Explain("list allocations of "+id, err)
	}
	if len(stubs) == 0 {
		state, err := s.unplaced(ctx, twin.Machine{Namespace: namespace, Job: id, Task: bakeTask})
		if err == nil && state.Phase == twin.Unplaced {
			err = api.Errorf(api.CodeUnavailable, "no room to work on the image: %s", state.Why)
		}
		return nil, err
	}
	if ended(stubs[0]) {
		return stubs[0], nil
	}
	return nil, nil
}

// ended reports whether an allocation runs no more.
func ended(stub *nomadapi.AllocationListStub) bool {
	switch stub.ClientStatus {
	case nomadapi.AllocClientStatusComplete, nomadapi.AllocClientStatusFailed, nomadapi.AllocClientStatusLost:
		return true
	}
	return false
}

// failed says why the task of an allocation of onceJob failed: an event of Nomad, and
// the last line that it wrote to its standard error.
func (s *Sandbox) failed(ctx context.Context, namespace string, stub *nomadapi.AllocationListStub) string {
	m := twin.Machine{Namespace: namespace, Job: stub.JobID, Task: bakeTask}
	alloc := &nomadapi.Allocation{ID: stub.ID, TaskStates: stub.TaskStates}
	return s.failureReason(ctx, m, alloc, "allocation is "+stub.ClientStatus)
}

// readFile reads the beginning of a file of an allocation, by the path that Nomad's
// file API uses. A file that is not there has Nomad's complaint for its text, with
// status 200, so the caller must know what it expects.
func (s *Sandbox) readFile(ctx context.Context, namespace, allocID, path string, most int64) (string, error) {
	// The call goes through the servers. The library's own call opens a new
	// connection to the node each time and leaves it open.
	q := s.nomad.Query(ctx, namespace)
	q.Params = map[string]string{"path": path}
	file, err := s.api.Raw().Response("/v1/client/fs/cat/"+allocID, q)
	if err != nil {
		return "", nomad.Explain("read "+path+" of "+allocID, err)
	}
	text, err := io.ReadAll(io.LimitReader(file, most))
	if err := cmp.Or(err, file.Close(), collected(allocID, string(text))); err != nil {
		return "", fmt.Errorf("read %s of %s: %w", path, allocID, err)
	}
	return string(text), nil
}

// collected is an error when a text is no file's, but what Nomad answers, with status
// 200, where the client has removed the folder of an ended allocation.
func collected(allocID, text string) error {
	if text != "state for allocation "+allocID+" not found on client" {
		return nil
	}
	return api.Errorf(api.CodeUnavailable, "its node has removed it already, which a client does at once while its disk is fuller than gc_disk_usage_threshold")
}
