package nomad

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"sync"

	nomadapi "github.com/hashicorp/nomad/api"
	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
)

// versionsEach is up to how many jobs are asked for their allocations one by one. Of more
// jobs, the list of all allocations is read, in pages.
const versionsEach = 32

// versionRow is the part of a row in Nomad's list of allocations that RunningVersions needs.
type versionRow struct {
	ID, Namespace, JobID, TaskGroup             string
	DesiredStatus, ClientStatus, NextAllocation string
	JobVersion                                  uint64
}

// runs reports whether an allocation runs something, or is about to. One of which Nomad hears
// nothing may still run.
func (r *versionRow) runs() bool {
	ended := r.ClientStatus == nomadapi.AllocClientStatusComplete || r.ClientStatus == nomadapi.AllocClientStatusFailed
	return !ended && isInstance(r.DesiredStatus, r.ClientStatus, r.NextAllocation)
}

// versionsOf is how many instances of a target run each version of its job, with one of them.
type versionsOf map[uint64]struct {
	instances int
	example   string // ID of an allocation
}

// RunningVersions says what the instances of targets run, by job version, for each of the
// targets of which some instances run something else than the version that it has. Versions
// that ask for the same count as that one.
func (c *Client) RunningVersions(ctx context.Context, targets []api.Target) (map[api.TargetRef][]api.RunningVersion, error) {
	running, err := c.versions(ctx, targets)
	if err != nil {
		return nil, err
	}
	out := map[api.TargetRef][]api.RunningVersion{}
	var mu sync.Mutex
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(layoutWidth)
	for _, t := range targets {
		of := running[t.TargetRef]
		if _, current := of[t.JobVersion]; len(of) == 0 || len(of) == 1 && current {
			continue
		}
		group.Go(func() error {
			found, err := c.differing(groupCtx, t, of)
			if err != nil {
				found = unknown(of, err)
			}
			if len(found) == 0 {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			out[t.TargetRef] = found
			return nil
		})
	}
	return out, group.Wait()
}

// unknown are the versions that instances run of which nobody says what they are.
func unknown(running versionsOf, err error) []api.RunningVersion {
	var out []api.RunningVersion
	for _, version := range slices.Sorted(maps.Keys(running)) {
		out = append(out, api.RunningVersion{JobVersion: version, Instances: running[version].instances, Unknown: api.AsError(err).Message})
	}
	return out
}

// versions counts the instances of targets by the version of the job that they run.
func (c *Client) versions(ctx context.Context, targets []api.Target) (map[api.TargetRef]versionsOf, error) {
	out := map[api.TargetRef]versionsOf{}
	jobs := map[[2]string]bool{}
	for _, t := range targets {
		out[t.TargetRef] = versionsOf{}
		jobs[[2]string{t.Namespace, t.Job}] = true
	}
	count := func(rows []versionRow) {
		for i := range rows {
			row := &rows[i]
			of := out[api.TargetRef{Namespace: row.Namespace, Job: row.JobID, Group: row.TaskGroup}]
			if of == nil || !row.runs() {
				continue
			}
			one := of[row.JobVersion]
			one.instances++
			one.example = row.ID
			of[row.JobVersion] = one
		}
	}
	if len(jobs) > versionsEach {
		return out, c.versionPages(ctx, "/v1/allocations", "*", count)
	}
	for job := range jobs {
		if err := c.versionPages(ctx, "/v1/job/"+url.PathEscape(job[1])+"/allocations", job[0], count); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// versionPages reads a list of allocations, page by page.
func (c *Client) versionPages(ctx context.Context, path, namespace string, each func([]versionRow)) error {
	for next := ""; ; {
		page, token, err := c.versionPage(ctx, path, namespace, next)
		if err != nil {
			return err
		}
		each(page)
		if next = token; next == "" {
			return nil
		}
	}
}

func (c *Client) versionPage(ctx context.Context, path, namespace, token string) (page []versionRow, next string, err error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	q := c.Query(ctx, namespace)
	if namespace == "*" { // else it is the short list of one job, which has no pages
		q.PerPage, q.NextToken, q.Filter = layoutPage, token, `DesiredStatus == "run"`
		q.Params = map[string]string{"task_states": "false"}
	}
	meta, err := c.api.Raw().Query(path, &page, q)
	if err != nil {
		return nil, "", Explain("list allocations", err)
	}
	return page, meta.NextToken, nil
}

// differing describes what the instances of one target run, by version. It is empty when the versions ask
// for the same as the one that the target has.
func (c *Client) differing(ctx context.Context, t api.Target, running versionsOf) ([]api.RunningVersion, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	kept, _, _, err := c.api.Jobs().Versions(t.Job, false, c.Query(ctx, t.Namespace))
	if err != nil {
		return nil, Explain("list versions of "+t.Job, err)
	}
	byVersion := map[uint64]*nomadapi.Job{}
	for _, v := range kept {
		byVersion[*v.Version] = v
	}
	now := ""
	if own := byVersion[t.JobVersion]; own != nil {
		if now, err = digest(own); err != nil {
			return nil, err
		}
	}
	current := api.RunningVersion{JobVersion: t.JobVersion, Tasks: t.Tasks}
	var others []api.RunningVersion
	for _, version := range slices.Sorted(maps.Keys(running)) {
		job := byVersion[version]
		if job == nil { // Nomad keeps a few versions, and each allocation its own
			if alloc, _, err := c.api.Allocations().Info(running[version].example, c.Query(ctx, t.Namespace)); err == nil {
				job = alloc.Job
			}
		}
		same, one := false, api.RunningVersion{JobVersion: version, Instances: running[version].instances}
		if same, err = c.describe(&one, job, t, now); err != nil {
			return nil, err
		}
		if same {
			current.Instances += one.Instances
			continue
		}
		others = append(others, one)
	}
	if len(others) > 0 && current.Instances > 0 {
		others = append(others, current)
	}
	return others, nil
}

// describe says what a version of a target runs, or why nobody knows. It reports whether that is
// what the target's own version asks for, whose digest is now.
func (c *Client) describe(b *api.RunningVersion, job *nomadapi.Job, t api.Target, now string) (same bool, err error) {
	if b.JobVersion == t.JobVersion {
		return true, nil
	}
	if job == nil {
		b.Unknown = "Nomad keeps that version no more"
		return false, nil
	}
	is, err := digest(job)
	if err != nil || is == now {
		return is == now, err
	}
	group := job.LookupTaskGroup(t.Group)
	if group == nil {
		b.Unknown = "that version has no group " + t.Group
		return false, nil
	}
	b.Tasks = target(job, group).Tasks
	for _, task := range b.Tasks {
		again := func(own api.Task) bool { return own.Name == task.Name && own.Image == task.Image && own.Digest == "" }
		if task.Digest == "" && task.Image != "" && slices.ContainsFunc(t.Tasks, again) {
			b.Unknown = fmt.Sprintf("image %s has the name of what the job runs now, and no digest tells whether it is the same", task.Image)
			b.Tasks = nil
			return false, nil
		}
	}
	return false, nil
}
