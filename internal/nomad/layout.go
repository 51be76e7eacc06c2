package nomad

import (
	"context"
	"slices"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

const (
	// layoutPage is how many jobs or allocations one answer holds: a few megabytes.
	layoutPage = 2_000
	// layoutWidth is how many jobs, nodes or services are read at once after a
	// change. Eight calls hide the round trip to Nomad and are no burden for its
	// servers.
	layoutWidth = 8
	// layoutRest is how many times the duration of a look passes before the next
	// look. So looks take at most a tenth of the time, however large the fleet
	// is.
	layoutRest = 9
	// statesUpTo is the largest number of instances that is listed with the
	// states of all tasks. Task states are most of such a list. In a larger fleet
	// an instance counts as healthy when Nomad calls it running.
	statesUpTo = 10_000
	// defaultRack is the key of a node's meta that holds its rack.
	defaultRack = "rack"
)

// layout is the last answer of Layout, and what it was made of.
type layout struct {
	turn  turn
	racks map[string]seenNode[string] // node ID
	last  graph.Layout
	at    time.Time
	took  time.Duration

	registered map[[2]string]registered // by namespace and name of the service
}

// Layout returns what runs where: the targets that Targets lists, their instances
// with node, rack and addresses, and the volumes that they mount. It reads jobs
// and nodes again only when they have changed, and allocations in pages. In a
// large fleet it returns its last answer for a while. The slices and maps of the
// answer are shared with other callers, who must not change them.
func (c *Client) Layout(ctx context.Context) (graph.Layout, error) {
	l := &c.layout
	if err := l.turn.take(ctx, "list allocations"); err != nil {
		return graph.Layout{}, err
	}
	defer l.turn.give()
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
	out := graph.Layout{Volumes: make(map[api.TargetRef][]string), Revision: l.last.Revision + 1}
	known := make(map[api.TargetRef]api.TargetRef)
	for _, f := range facts {
		for _, t := range f.targets {
			if t.Type != "" && t.Type != nomadapi.JobTypeSystem {
				continue // it comes and goes, and nothing depends on it by an edge
			}
			known[t.TargetRef] = t.TargetRef
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

// placedRow is the part of a row in Nomad's list of allocations that Layout needs.
type placedRow struct {
	ID, Namespace, JobID, TaskGroup, NodeID, NodeName string
	DesiredStatus, ClientStatus, NextAllocation       string
	TaskStates                                        map[string]*taskState
	AllocatedResources                                *struct {
		Shared struct{ Ports []nomadapi.PortMapping }
	}
}

// taskState is the part of a task's state that its health needs.
type taskState struct {
	State  string
	Failed bool
}

// healthy reports whether the allocation runs and none of its listed tasks is
// pending or has failed.
func (r *placedRow) healthy() bool {
	if r.ClientStatus != nomadapi.AllocClientStatusRunning {
		return false
	}
	for _, t := range r.TaskStates {
		if t != nil && (t.State == "pending" || t.State == "dead" && t.Failed) {
			return false
		}
	}
	return true
}

// placed lists the instances of the known targets, page by page. All instances share
// the names of their target and of their node, which each row brings anew.
func (c *Client) placed(ctx context.Context, known map[api.TargetRef]api.TargetRef, racks map[string]seenNode[string]) ([]graph.Instance, error) {
	out := make([]graph.Instance, 0, len(c.layout.last.Instances))
	nodes := make(map[string]string)
	next := ""
	for {
		page, token, err := c.placedPage(ctx, next)
		if err != nil {
			return nil, err
		}
		for i := range page {
			row := &page[i]
			ref, ok := known[api.TargetRef{Namespace: row.Namespace, Job: row.JobID, Group: row.TaskGroup}]
			if !ok || !isInstance(row.DesiredStatus, row.ClientStatus, row.NextAllocation) {
				continue
			}
			if _, ok := nodes[row.NodeName]; !ok {
				nodes[row.NodeName] = row.NodeName
			}
			in := graph.Instance{ID: row.ID, Target: ref, Node: nodes[row.NodeName], Rack: racks[row.NodeID].of, Healthy: row.healthy()}
			if row.AllocatedResources != nil {
				for _, p := range row.AllocatedResources.Shared.Ports {
					in.Addresses = append(in.Addresses, hostPort(p.HostIP, p.Value))
				}
			}
			out = append(out, in)
		}
		if next = token; next == "" {
			slices.SortFunc(out, func(a, b graph.Instance) int { return strings.Compare(a.ID, b.ID) })
			return out, nil
		}
	}
}

// placedPage reads one page of allocations.
func (c *Client) placedPage(ctx context.Context, token string) (page []placedRow, next string, err error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	q := c.Query(ctx, "*")
	q.PerPage, q.NextToken, q.Filter = layoutPage, token, `DesiredStatus == "run"`
	q.Params = map[string]string{"resources": "true"}
	if len(c.layout.last.Instances) > statesUpTo {
		q.Params["task_states"] = "false"
	}
	meta, err := c.api.Raw().Query("/v1/allocations", &page, q)
	if err != nil {
		return nil, "", Explain("list allocations", err)
	}
	return page, meta.NextToken, nil
}

// readRacks reads the rack of each node. When the token may not read nodes, the
// racks are unknown. No decision depends on a rack.
func (c *Client) readRacks(ctx context.Context) (map[string]seenNode[string], error) {
	rackOf := func(n *nomadapi.Node) string { return n.Meta[c.rackMeta] }
	mayNot := func(err error) bool { return api.IsCode(err, api.CodePermissionDenied) }
	next, err := eachNode(ctx, c, c.layout.racks, rackOf, mayNot)
	switch {
	case mayNot(err): // the list: single nodes are spared
		return nil, nil
	case err != nil:
		return nil, err
	}
	c.layout.racks = next
	return next, nil
}

func forbidden(err error) bool { return api.IsCode(Explain("", err), api.CodePermissionDenied) }
