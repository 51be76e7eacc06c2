package nomad

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
	"github.com/oakumhq/oakum/internal/twin"
)

// jobs is what was read of the registered jobs. All readers of the fleet share it.
type jobs struct {
	turn  turn
	index uint64                 // of Nomad's table of jobs when it was listed last; 0 when that is not known
	facts map[[2]string]jobFacts // by namespace and ID
	whole bool                   // facts are those of every job in the list of index
	idle  []api.Target           // the jobs of that list that run nothing, without their groups
	known atomic.Pointer[known]  // the targets that they have, for those who don't wait for their turn
}

// known is which targets were there when the list of jobs was read last.
type known struct {
	at      time.Time
	targets map[api.TargetRef]bool
}

// jobFacts is the part of a job's specification that the graph and a plan need. A
// whole specification is too large to keep 20,000 of them.
type jobFacts struct {
	modify  uint64
	targets []api.Target
	volumes map[api.TargetRef][]string
	needs   map[graph.Pair][]string
	native  []string // services in Nomad's own catalog
}

// turn is a lock that one reader of the fleet holds at a time. A caller waits for
// it until its context ends.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

func (t turn) take(ctx context.Context, doing string) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return Explain(doing+", after another caller", ctx.Err())
	}
}

func (t turn) give() { <-t }

// jobRow is the part of a row in Nomad's list of jobs that says whether to read
// the job, and whether it changed. A whole row is ten times as large.
type jobRow struct {
	Namespace, ID, ParentID, Type, Status string
	Stop, Periodic, ParameterizedJob      bool
	JobModifyIndex                        uint64
}

// idle says why a job has nothing that a patch could change; empty when it may have.
func (r *jobRow) idle() string {
	switch {
	case strings.HasPrefix(r.ID, twin.Prefix):
		return "" // the sandbox's own
	case r.ParentID != "":
		return fmt.Sprintf("it is one run of job %q; patch that job", r.ParentID)
	case r.Stop:
		return "its job is stopped"
	case r.ended():
		return fmt.Sprintf("its job, of type %s, has run to its end and does not run again", r.Type)
	}
	return ""
}

// ended reports whether a job has run once and will not run again.
func (r *jobRow) ended() bool {
	return r.Status == "dead" && r.Type != nomadapi.JobTypeService && !r.Periodic && !r.ParameterizedJob
}

// counts reports whether a job belongs to the fleet and may run now.
func (r *jobRow) counts() bool {
	return !r.Stop && r.ParentID == "" && !strings.HasPrefix(r.ID, twin.Prefix) && !r.ended()
}

// jobFacts returns the facts of every job of the fleet. It reads the list of jobs
// only when Nomad's index of the list has moved, and a specification only when the
// job has changed; it reads several specifications at the same time. Each call to
// Nomad has a timeout of its own, and ctx ends all of them. What was read before
// an error is kept, so the next caller continues there.
func (c *Client) jobFacts(ctx context.Context) ([]jobFacts, error) {
	j := &c.jobs
	if err := j.turn.take(ctx, "list jobs"); err != nil {
		return nil, err
	}
	defer j.turn.give()
	asked := time.Now()
	index, err := c.jobsIndex(ctx)
	if err != nil {
		return nil, err
	}
	targets := map[api.TargetRef]bool{}
	if !j.whole || index == 0 || index != j.index {
		if err := c.refresh(ctx); err != nil {
			return nil, err
		}
		for _, f := range j.facts {
			for _, t := range f.targets {
				targets[t.TargetRef] = true
			}
		}
	} else if was := j.known.Load(); was != nil {
		targets = was.targets
	}
	j.known.Store(&known{asked, targets})
	out := make([]jobFacts, 0, len(j.facts))
	for _, f := range j.facts {
		out = append(out, f)
	}
	return out, nil
}

// jobsIndex reads Nomad's index of the list of jobs. A page of one row is enough
// for it.
func (c *Client) jobsIndex(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	q := c.Query(ctx, "*")
	q.PerPage = 1
	var rows []jobRow
	meta, err := c.api.Raw().Query("/v1/jobs", &rows, q)
	if err != nil {
		return 0, Explain("list jobs", err)
	}
	return meta.LastIndex, nil
}

// refresh lists all jobs and reads the changed ones. The caller holds the jobs'
// turn.
func (c *Client) refresh(ctx context.Context) error {
	j := &c.jobs
	rows, index, err := c.listJobs(ctx)
	if err != nil {
		return err
	}
	next := make(map[[2]string]jobFacts, len(rows))
	var changed []*jobRow
	var idle []api.Target
	for i := range rows {
		row := &rows[i]
		if why := row.idle(); why != "" {
			idle = append(idle, api.Target{TargetRef: api.TargetRef{Namespace: row.Namespace, Job: row.ID}, Type: typeOf(row.Type), Unfit: why})
		}
		if !row.counts() {
			continue
		}
		key := [2]string{row.Namespace, row.ID}
		if have, ok := j.facts[key]; ok && have.modify == row.JobModifyIndex {
			next[key] = have
			continue
		}
		changed = append(changed, row)
	}
	err = c.readJobs(ctx, changed, next)
	j.facts, j.index, j.whole, j.idle = next, index, err == nil, idle
	return err
}

// listJobs lists all jobs in pages, so that no answer takes longer than
// CallTimeout.
func (c *Client) listJobs(ctx context.Context) (rows []jobRow, index uint64, err error) {
	next := ""
	for {
		var page []jobRow
		meta, err := c.listPage(ctx, next, &page)
		if err != nil {
			return nil, 0, err
		}
		if next == "" {
			index = meta.LastIndex // a change between two pages shows in the next look
		}
		rows = append(rows, page...)
		if next = meta.NextToken; next == "" {
			return rows, index, nil
		}
	}
}

func (c *Client) listPage(ctx context.Context, token string, page *[]jobRow) (*nomadapi.QueryMeta, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	q := c.Query(ctx, "*")
	q.PerPage, q.NextToken = layoutPage, token
	meta, err := c.api.Raw().Query("/v1/jobs", page, q)
	return meta, Explain("list jobs", err)
}

// readJobs reads specifications into facts. After an error it starts no further
// calls and keeps the facts that it has.
func (c *Client) readJobs(ctx context.Context, rows []*jobRow, facts map[[2]string]jobFacts) error {
	var mu sync.Mutex
	total := len(facts) + len(rows)
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(layoutWidth)
	for _, row := range rows {
		if groupCtx.Err() != nil {
			break
		}
		group.Go(func() error {
			callCtx, cancel := context.WithTimeout(groupCtx, CallTimeout)
			defer cancel()
			job, err := c.Job(callCtx, row.Namespace, row.ID)
			if api.IsCode(err, api.CodeNotFound) {
				return nil // purged between the two calls
			}
			if err != nil {
				return err
			}
			f := factsOf(job)
			f.modify = *job.JobModifyIndex
			mu.Lock()
			defer mu.Unlock()
			facts[[2]string{row.Namespace, row.ID}] = f
			return nil
		})
	}
	err := group.Wait()
	if err == nil && ctx.Err() != nil {
		err = Explain("read jobs", ctx.Err())
	}
	if err != nil && len(rows) > layoutWidth {
		if known, ok := errors.AsType[*api.Error](err); ok {
			return api.Errorf(known.Code, "%s (%d of %d jobs were read until then; the next look goes on from there)", known.Message, len(facts), total)
		}
	}
	return err
}

// factsOf takes the facts out of a specification.
func factsOf(job *nomadapi.Job) jobFacts {
	f := jobFacts{volumes: make(map[api.TargetRef][]string), needs: make(map[graph.Pair][]string)}
	for _, group := range job.TaskGroups {
		t := target(job, group)
		f.targets = append(f.targets, t)
		f.volumes[t.TargetRef] = volumes(group)
		native, needs := lookups(group)
		f.native = append(f.native, native...)
		names := slices.DeleteFunc(slices.Clone(t.Services), func(n string) bool { return strings.HasSuffix(n, "-sidecar-proxy") })
		if len(names) == 0 {
			names = []string{*job.ID}
		}
		for to, detail := range needs {
			for _, from := range names {
				if from != to {
					pair := graph.Pair{From: from, To: to}
					f.needs[pair] = append(f.needs[pair], detail)
				}
			}
		}
	}
	slices.Sort(f.native)
	f.native = slices.Compact(f.native)
	return f
}

// volumes names the volumes that a group mounts. A volume with per_alloc is left
// out, since each instance has one of its own.
func volumes(group *nomadapi.TaskGroup) []string {
	var out []string
	for _, v := range group.Volumes {
		switch {
		case v == nil || v.PerAlloc:
		case v.Type == "csi":
			out = append(out, "csi/"+v.Source)
		default:
			out = append(out, "host/"+v.Source)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// lookup finds a service's name in a template of a task: Nomad's own catalog by
// nomadService, Consul's by service and connect. Tags stand before the name
// with a dot, and a datacenter follows an @.
var lookup = regexp.MustCompile(`\b(nomadService|service|connect)\s+"(?:[^".]+\.)?([^"@.|]+)[^"]*"`)

// lookups lists the services that a group registers with Nomad, and those that
// its templates and its proxies' upstreams ask for.
func lookups(group *nomadapi.TaskGroup) (native []string, needs map[string]string) {
	needs = make(map[string]string)
	read := func(list []*nomadapi.Service) {
		for _, s := range list {
			if s.Provider == "nomad" {
				native = append(native, s.Name)
			}
			if s.Connect == nil || s.Connect.SidecarService == nil || s.Connect.SidecarService.Proxy == nil {
				continue
			}
			for _, u := range s.Connect.SidecarService.Proxy.Upstreams {
				needs[u.DestinationName] = "upstream in the job"
			}
		}
	}
	read(group.Services)
	for _, task := range group.Tasks {
		read(task.Services)
		for _, t := range task.Templates {
			if t.EmbeddedTmpl == nil {
				continue
			}
			for _, m := range lookup.FindAllStringSubmatch(*t.EmbeddedTmpl, -1) {
				needs[m[2]] = cmp.Or(needs[m[2]], "template of task "+task.Name)
			}
		}
	}
	return native, needs
}
