package nomad

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/twin"
)

const (
	// twinGoneInterval is how often Stop looks whether the machine has ended;
	// QEMU takes about a second.
	twinGoneInterval = 250 * time.Millisecond
	// digestLength is that of a SHA-256 in hex digits.
	digestLength = 64
)

// StartTwin registers a twin. It is an error if a job of this ID exists, if the
// target has moved on, or if the machine can't be cut off.
func (c *Client) StartTwin(ctx context.Context, spec twin.Spec) (twin.Machine, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	job, err := c.job(ctx, spec.Target.Namespace, spec.Target.Job)
	if err != nil {
		return twin.Machine{}, err
	}
	if spec.Expect != 0 && *job.JobModifyIndex != spec.Expect {
		return twin.Machine{}, api.Errorf(api.CodeConflict, "job %s was registered anew (modify index %d, want %d)",
			spec.Target.Job, *job.JobModifyIndex, spec.Expect)
	}
	next, err := patched(job, spec.Target.Group, spec.Apply)
	if err != nil {
		return twin.Machine{}, err
	}
	next, m, err := twinJob(next, spec)
	if err != nil {
		return twin.Machine{}, err
	}
	opts := &nomadapi.RegisterOptions{EnforceIndex: true, ModifyIndex: 0} // create only
	if _, _, err := c.api.Jobs().RegisterOpts(next, opts, c.write(ctx, m.Namespace)); err != nil {
		return twin.Machine{}, explain("register twin "+m.Job, err)
	}
	return m, nil
}

// InspectTwin looks at a twin.
func (c *Client) InspectTwin(ctx context.Context, m twin.Machine) (twin.State, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	stubs, _, err := c.api.Jobs().Allocations(m.Job, true, c.query(ctx, m.Namespace))
	if err != nil {
		return twin.State{}, explain("list allocations of twin "+m.Job, err)
	}
	if len(stubs) == 0 {
		return c.unplaced(ctx, m)
	}
	newest := slices.MaxFunc(stubs, func(a, b *nomadapi.AllocationListStub) int { return cmp.Compare(a.CreateIndex, b.CreateIndex) })
	alloc, _, err := c.api.Allocations().Info(newest.ID, c.query(ctx, m.Namespace))
	if err != nil {
		return twin.State{}, explain("read allocation of twin "+m.Job, err)
	}
	s := twinState(m, alloc, newest)
	if s.Phase == twin.Dead {
		s.Why = c.causeOfDeath(ctx, m, alloc, s.Why)
		s.Refused = diedOfMonitor(m, alloc.TaskStates, s.Why)
	}
	if s.Phase != twin.Running {
		return s, nil
	}
	// A machine that has just started, or ends just now, has no statistics; the
	// simulator counts what it did not get as missing.
	usage, err := c.api.Allocations().Stats(alloc, c.query(ctx, m.Namespace))
	if err != nil {
		usage = &nomadapi.AllocResourceUsage{}
	}
	if u := usage.Tasks[m.Task]; u != nil && u.Timestamp > 0 {
		own := allocStats(alloc, &nomadapi.AllocResourceUsage{ResourceUsage: u.ResourceUsage})
		s.Usage = twin.Usage{At: time.Unix(0, u.Timestamp), CPUCores: own.CPUCores, Memory: own.MemoryBytes}
	}
	s.Digest = c.twinDigest(ctx, m, alloc)
	s.Blocks, s.NoBlocks = c.twinBlocks(ctx, m, alloc)
	return s, nil
}

// twinState reads the task states of the machine's allocation.
func twinState(m twin.Machine, alloc *nomadapi.Allocation, stub *nomadapi.AllocationListStub) twin.State {
	s := twin.State{Phase: twin.Pending, Alloc: alloc.ID, Node: alloc.NodeID}
	if r := alloc.AllocatedResources; r != nil {
		for _, p := range r.Shared.Ports {
			if p.Label == m.Port {
				s.Address = hostPort(cmp.Or(m.Host, p.HostIP), p.Value)
			}
		}
	}
	if state := alloc.TaskStates[m.Task]; state != nil {
		s.Started, s.Restarts = state.StartedAt, int(state.Restarts)
		if state.State == "running" {
			s.Phase = twin.Running
		}
	}
	if h, why := health(stub); h == api.Unhealthy || alloc.ClientStatus == nomadapi.AllocClientStatusComplete {
		s.Phase, s.Why = twin.Dead, why
	} else if s.Phase == twin.Pending {
		s.Why = cmp.Or(why, "its disk is being made")
	}
	return s
}

// causeOfDeath is what a person wants to read: which task failed with what, and
// what it said last.
func (c *Client) causeOfDeath(ctx context.Context, m twin.Machine, alloc *nomadapi.Allocation, known string) string {
	for _, name := range []string{prepareTask, askTask, m.Task} {
		state := alloc.TaskStates[name]
		if state == nil || !state.Failed {
			continue
		}
		why := known
		for _, e := range state.Events {
			switch e.Type {
			case nomadapi.TaskTerminated, nomadapi.TaskDriverFailure, nomadapi.TaskSetupFailure, nomadapi.TaskFailedValidation:
				why = e.DisplayMessage
			}
		}
		if said := c.lastWords(ctx, m, alloc.ID, name); said != "" {
			why += ": " + said
		}
		return fmt.Sprintf("task %s: %s", name, why)
	}
	return known
}

// lastWords is the last line that a task wrote to its standard error.
func (c *Client) lastWords(ctx context.Context, m twin.Machine, allocID, task string) string {
	q := c.query(ctx, m.Namespace)
	q.Params = map[string]string{"task": task, "type": "stderr", "plain": "true", "origin": "end", "offset": "400"}
	file, err := c.api.Raw().Response("/v1/client/fs/logs/"+allocID, q)
	if err != nil {
		return ""
	}
	text, err := io.ReadAll(io.LimitReader(file, 400))
	if err := cmp.Or(err, file.Close()); err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

// unplaced says why Nomad has not placed the twin, as far as it knows yet.
func (c *Client) unplaced(ctx context.Context, m twin.Machine) (twin.State, error) {
	evals, _, err := c.api.Jobs().Evaluations(m.Job, c.query(ctx, m.Namespace))
	if err != nil {
		return twin.State{}, explain("list evaluations of twin "+m.Job, err)
	}
	for _, e := range evals {
		for _, metric := range e.FailedTGAllocs {
			return twin.State{Phase: twin.Unplaced, Why: placement(metric), Refused: lacksShell(m, metric)}, nil
		}
	}
	return twin.State{Phase: twin.Pending, Why: "not placed yet"}, nil
}

// placement says in words why no node was chosen.
func placement(m *nomadapi.AllocationMetric) string {
	var parts []string
	for what, n := range m.ConstraintFiltered {
		parts = append(parts, fmt.Sprintf("%d nodes filtered by %s", n, what))
	}
	for what, n := range m.DimensionExhausted {
		parts = append(parts, fmt.Sprintf("%d nodes lack %s", n, what))
	}
	slices.Sort(parts)
	if len(parts) == 0 {
		return fmt.Sprintf("none of %d nodes fits", m.NodesEvaluated)
	}
	return strings.Join(parts, ", ")
}

// twinDigest is what the node computed of the image that the machine's disk is
// laid over; empty where it did not.
func (c *Client) twinDigest(ctx context.Context, m twin.Machine, alloc *nomadapi.Allocation) string {
	if m.Image == "" {
		return ""
	}
	// By way of the servers: the library's own call opens new connections to
	// the node each time and leaves them open.
	q := c.query(ctx, m.Namespace)
	q.Params = map[string]string{"path": twinDigestFile}
	file, err := c.api.Raw().Response("/v1/client/fs/cat/"+alloc.ID, q)
	if err != nil {
		return ""
	}
	text, err := io.ReadAll(io.LimitReader(file, digestLength+1))
	if err := cmp.Or(err, file.Close()); err != nil || !isDigest(string(text)) {
		return "" // of a file that is not there Nomad says so where its text would be, with status 200
	}
	return string(text)
}

// isDigest reports whether a text is a SHA-256 as sha256sum writes it.
func isDigest(text string) bool {
	return len(text) == digestLength && strings.Trim(text, "0123456789abcdef") == ""
}

// StopTwin removes a twin's job and waits until its machine has ended. A twin
// that is gone already is none to stop.
//
// The job is stopped first and forgotten only when nothing of it is left to do.
// Nomad (1.11.3) loses its leader, and then the next one, to a job that is
// forgotten while its deployment runs and none of its allocations does: the
// plan that ends the deployment names no job, and the leader panics on it.
func (c *Client) StopTwin(ctx context.Context, namespace, job string) error {
	if !strings.HasPrefix(job, twin.Prefix) {
		return api.Errorf(api.CodeInternal, "stop twin %s: it is no twin", job)
	}
	eval, err := c.deregister(ctx, namespace, job, false)
	if err != nil {
		return err
	}
	ticker := time.NewTicker(twinGoneInterval)
	defer ticker.Stop()
	for {
		left, err := c.twinRest(ctx, namespace, job, eval)
		if err != nil {
			return err
		}
		if left == "" {
			_, err := c.deregister(ctx, namespace, job, true)
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("stop twin %s: %s: %w", job, left, context.Cause(ctx))
		}
	}
}

// deregister stops a job, or makes Nomad forget it as well. It returns the
// evaluation that carries it out; a job that is gone already has none.
func (c *Client) deregister(ctx context.Context, namespace, job string, forget bool) (eval string, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	eval, _, err = c.api.Jobs().Deregister(job, forget, c.write(ctx, namespace))
	if err = explain("stop twin "+job, err); api.IsCode(err, api.CodeNotFound) {
		return "", nil
	}
	return eval, err
}

// twinRest says what is left to do of a twin that was stopped, or "".
func (c *Client) twinRest(ctx context.Context, namespace, job, eval string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if eval != "" {
		e, _, err := c.api.Evaluations().Info(eval, c.query(ctx, namespace))
		err = explain("read evaluation of twin "+job, err)
		switch {
		case api.IsCode(err, api.CodeNotFound): // collected as garbage: it is long over
		case err != nil:
			return "", err
		case e.Status == nomadapi.EvalStatusPending:
			return "Nomad has not looked at it yet", nil
		}
	}
	stubs, _, err := c.api.Jobs().Allocations(job, true, c.query(ctx, namespace))
	if err != nil {
		return "", explain("list allocations of twin "+job, err)
	}
	left := 0
	for _, s := range stubs {
		switch s.ClientStatus {
		case nomadapi.AllocClientStatusComplete, nomadapi.AllocClientStatusFailed, nomadapi.AllocClientStatusLost:
		default:
			left++
		}
	}
	if left > 0 {
		return fmt.Sprintf("%d machines still run", left), nil
	}
	return "", nil
}

// Twins lists the jobs of the sandbox in every namespace.
func (c *Client) Twins(ctx context.Context) ([]twin.Machine, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	q := c.query(ctx, "*")
	q.Prefix = twin.Prefix
	stubs, _, err := c.api.Jobs().List(q)
	if err != nil {
		return nil, explain("list twins", err)
	}
	twins := make([]twin.Machine, 0, len(stubs))
	for _, s := range stubs {
		twins = append(twins, twin.Machine{Namespace: s.Namespace, Job: s.ID})
	}
	slices.SortFunc(twins, func(a, b twin.Machine) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Job, b.Job))
	})
	return twins, nil
}
