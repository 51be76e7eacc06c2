package nomad

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

const (
	// layoutPage is how many allocations one answer holds: a few megabytes.
	layoutPage = 2_000
	// layoutWidth is how many jobs, nodes or services are read at once, after a
	// change: enough to hide the way to Nomad and back, few enough to leave its
	// servers alone.
	layoutWidth = 8
	// layoutRest is how many times as long as a look took the next one waits at
	// least: looking takes a tenth of the time at most, however large the fleet.
	layoutRest = 9
	// defaultRack is the key of a node's meta that holds its rack.
	defaultRack = "rack"
)

// layout is what was read before and has not changed since.
type layout struct {
	mu    sync.Mutex
	jobs  map[[2]string]jobFacts // namespace and ID
	racks map[string]rack        // node ID
	last  graph.Layout
	at    time.Time
	took  time.Duration

	index      uint64 // of Nomad's catalog when it was read last
	registered []graph.Registration
}

// jobFacts is all that the graph needs of a job's specification, which itself
// is too large to keep 20,000 of.
type jobFacts struct {
	modify  uint64
	targets []api.Target
	volumes map[api.TargetRef][]string
	needs   map[graph.Pair][]string
	native  []string // services in Nomad's own catalog
}

type rack struct {
	modify uint64
	name   string
}

// Layout says what runs where: targets as Targets lists them, their instances
// with node, rack and addresses, and the volumes that they mount. Jobs and
// nodes are read again only when they have changed, and allocations in pages;
// in a large fleet the last answer is given again for a while.
func (c *Client) Layout(ctx context.Context) (graph.Layout, error) {
	l := &c.layout
	l.mu.Lock()
	defer l.mu.Unlock()
	began := time.Now()
	if !l.at.IsZero() && began.Sub(l.at) < layoutRest*l.took {
		return l.last, nil
	}
	facts, err := c.jobFacts(ctx)
	if err != nil {
		return graph.Layout{}, err
	}
	racks, err := c.readRacks(ctx)
	if err != nil {
		return graph.Layout{}, err
	}
	out := graph.Layout{Volumes: make(map[api.TargetRef][]string)}
	known := make(map[api.TargetRef]bool)
	for _, f := range facts {
		for _, t := range f.targets {
			known[t.TargetRef] = true
			out.Targets = append(out.Targets, t)
			if v := f.volumes[t.TargetRef]; len(v) > 0 {
				out.Volumes[t.TargetRef] = v
			}
		}
	}
	slices.SortFunc(out.Targets, func(a, b api.Target) int { return a.Compare(b.TargetRef) })
	if out.Instances, err = c.placed(ctx, known, racks); err != nil {
		return graph.Layout{}, err
	}
	l.last, l.at, l.took = out, time.Now(), time.Since(began)
	return out, nil
}

// placed lists the instances of the known targets, page by page.
func (c *Client) placed(ctx context.Context, known map[api.TargetRef]bool, racks map[string]rack) ([]graph.Instance, error) {
	var out []graph.Instance
	next := ""
	for {
		q := c.query(ctx, "*")
		q.PerPage, q.NextToken, q.Filter = layoutPage, next, `DesiredStatus == "run"`
		q.Params = map[string]string{"resources": "true"}
		stubs, meta, err := c.api.Allocations().List(q)
		if err != nil {
			return nil, explain("list allocations", err)
		}
		for _, stub := range stubs {
			ref := api.TargetRef{Namespace: stub.Namespace, Job: stub.JobID, Group: stub.TaskGroup}
			if !known[ref] || stub.DesiredStatus != nomadapi.AllocDesiredStatusRun || stub.NextAllocation != "" {
				continue
			}
			word, _ := health(stub)
			in := graph.Instance{ID: stub.ID, Target: ref, Node: stub.NodeName, Rack: racks[stub.NodeID].name, Healthy: word == api.Healthy}
			if stub.AllocatedResources != nil {
				for _, p := range stub.AllocatedResources.Shared.Ports {
					in.Addresses = append(in.Addresses, hostPort(p.HostIP, p.Value))
				}
			}
			out = append(out, in)
		}
		if next = meta.NextToken; next == "" {
			slices.SortFunc(out, func(a, b graph.Instance) int { return strings.Compare(a.ID, b.ID) })
			return out, nil
		}
	}
}

// readRacks reads each node's rack. A token that may not read nodes leaves the
// racks unknown, which no decision depends on.
func (c *Client) readRacks(ctx context.Context) (map[string]rack, error) {
	stubs, _, err := c.api.Nodes().List(c.query(ctx, ""))
	if err != nil {
		if forbidden(err) {
			return nil, nil
		}
		return nil, explain("list nodes", err)
	}
	next := make(map[string]rack, len(stubs))
	var mu sync.Mutex
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(layoutWidth)
	for _, stub := range stubs {
		if have, ok := c.layout.racks[stub.ID]; ok && have.modify == stub.ModifyIndex {
			mu.Lock()
			next[stub.ID] = have
			mu.Unlock()
			continue
		}
		group.Go(func() error {
			node, _, err := c.api.Nodes().Info(stub.ID, c.query(groupCtx, ""))
			if err != nil {
				if forbidden(err) || api.IsCode(explain("", err), api.CodeNotFound) {
					return nil
				}
				return explain("read node "+stub.Name, err)
			}
			mu.Lock()
			defer mu.Unlock()
			next[stub.ID] = rack{modify: stub.ModifyIndex, name: node.Meta[c.rackMeta]}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	c.layout.racks = next
	return next, nil
}

func forbidden(err error) bool { return api.IsCode(explain("", err), api.CodePermissionDenied) }

// jobFacts reads what every job of the fleet says, again only where it changed.
// The caller holds the layout's lock.
func (c *Client) jobFacts(ctx context.Context) ([]jobFacts, error) {
	stubs, _, err := c.api.Jobs().List(c.query(ctx, "*"))
	if err != nil {
		return nil, explain("list jobs", err)
	}
	next := make(map[[2]string]jobFacts, len(stubs))
	var mu sync.Mutex
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(layoutWidth)
	for _, stub := range stubs {
		if stub.Stop || stub.ParentID != "" || strings.HasPrefix(stub.ID, TwinPrefix) || ended(stub) {
			continue
		}
		key := [2]string{stub.Namespace, stub.ID}
		if have, ok := c.layout.jobs[key]; ok && have.modify == stub.JobModifyIndex {
			mu.Lock()
			next[key] = have
			mu.Unlock()
			continue
		}
		group.Go(func() error {
			job, err := c.job(groupCtx, stub.Namespace, stub.ID)
			if api.IsCode(err, api.CodeNotFound) {
				return nil // purged between the two calls
			}
			if err != nil {
				return err
			}
			facts := factsOf(job)
			facts.modify = stub.JobModifyIndex
			mu.Lock()
			defer mu.Unlock()
			next[key] = facts
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	c.layout.jobs = next
	out := make([]jobFacts, 0, len(next))
	for _, f := range next {
		out = append(out, f)
	}
	return out, nil
}

// ended reports whether a job has run once and will not run again.
func ended(stub *nomadapi.JobListStub) bool {
	return stub.Status == "dead" && stub.Type != nomadapi.JobTypeService && !stub.Periodic && !stub.ParameterizedJob
}

// factsOf reads a specification.
func factsOf(job *nomadapi.Job) jobFacts {
	f := jobFacts{volumes: make(map[api.TargetRef][]string), needs: make(map[graph.Pair][]string)}
	for _, group := range job.TaskGroups {
		t := target(job, group)
		if *job.Type == nomadapi.JobTypeService {
			f.targets = append(f.targets, t)
			f.volumes[t.TargetRef] = volumes(group)
		}
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

// volumes names what a group mounts. A volume that each instance has one of its
// own is shared with nobody.
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

// Directory reads Nomad's own service catalog and what jobs of every kind,
// periodic ones included, look up in it or in Consul's.
func (c *Client) Directory(ctx context.Context) (graph.Directory, error) {
	c.layout.mu.Lock()
	defer c.layout.mu.Unlock()
	facts, err := c.jobFacts(ctx)
	if err != nil {
		return graph.Directory{}, err
	}
	out := graph.Directory{Needs: make(map[graph.Pair][]string)}
	for _, f := range facts {
		for pair, details := range f.needs {
			for _, d := range details {
				if !slices.Contains(out.Needs[pair], d) {
					out.Needs[pair] = append(out.Needs[pair], d)
				}
			}
		}
	}
	for _, details := range out.Needs {
		slices.Sort(details)
	}
	spaces, meta, err := c.api.Services().List(c.query(ctx, "*"))
	if err != nil {
		if forbidden(err) {
			out.Partial = "nomad does not show its services to this token"
			return out, nil
		}
		return graph.Directory{}, explain("list services", err)
	}
	if meta.LastIndex == 0 || meta.LastIndex != c.layout.index {
		if c.layout.registered, err = c.registrations(ctx, spaces); err != nil {
			c.layout.index = 0
			return graph.Directory{}, err
		}
		c.layout.index = meta.LastIndex
	}
	out.Registrations = c.layout.registered
	return out, nil
}

// registrations reads every entry of Nomad's catalog, sorted by service.
func (c *Client) registrations(ctx context.Context, spaces []*nomadapi.ServiceRegistrationListStub) ([]graph.Registration, error) {
	var out []graph.Registration
	var mu sync.Mutex
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(layoutWidth)
	for _, space := range spaces {
		for _, s := range space.Services {
			group.Go(func() error {
				list, _, err := c.api.Services().Get(s.ServiceName, c.query(groupCtx, space.Namespace))
				if err != nil {
					return explain("read service "+s.ServiceName, err)
				}
				mu.Lock()
				defer mu.Unlock()
				for _, r := range list {
					if !strings.HasPrefix(r.JobID, TwinPrefix) {
						out = append(out, graph.Registration{Service: r.ServiceName, Instance: r.AllocID, Address: hostPort(r.Address, r.Port)})
					}
				}
				return nil
			})
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b graph.Registration) int {
		return cmp.Or(strings.Compare(a.Service, b.Service), strings.Compare(a.Instance, b.Instance), strings.Compare(a.Address, b.Address))
	})
	return out, nil
}
