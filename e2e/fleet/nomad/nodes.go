package nomad

import (
	"maps"
	"net/http"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/internal/fleet"
)

func (n *Door) nodeRoutes() map[string]any {
	routes := map[string]any{
		"/v1/nodes":                   reader(listNodes),
		"/v1/node/{node}":             reader(readNode),
		"/v1/node/{node}/allocations": reader(nodeAllocs),
	}
	for _, method := range []string{"PUT ", "POST "} {
		routes[method+"/v1/node/{node}/drain"] = writer(drainNode)
		routes[method+"/v1/node/{node}/eligibility"] = writer(setEligibility)
	}
	return routes
}

// drivers are those that every node of the model has.
func drivers() map[string]*nomadapi.DriverInfo {
	out := map[string]*nomadapi.DriverInfo{}
	for _, name := range []string{"docker", "exec", "qemu", "raw_exec"} {
		out[name] = &nomadapi.DriverInfo{Detected: true, Healthy: true, HealthDescription: "Healthy"}
	}
	return out
}

func toNode(n *fleet.Node) *nomadapi.Node {
	out := &nomadapi.Node{
		ID: n.ID, Name: n.Name, Datacenter: n.Datacenter, NodePool: n.Pool, NodeClass: n.Class, HTTPAddr: n.Address + ":4646",
		Meta: n.Meta, Attributes: attributes(n), Status: n.Status, SchedulingEligibility: eligibility(n), Drivers: drivers(),
		Drain: n.Drain != nil, LastDrain: lastDrain(n), CreateIndex: n.CreateIndex, ModifyIndex: n.ModifyIndex,
		NodeResources: &nomadapi.NodeResources{
			Cpu:    nomadapi.NodeCpuResources{CpuShares: int64(n.CPU)},
			Memory: nomadapi.NodeMemoryResources{MemoryMB: int64(n.MemoryMB)},
		},
		Events: []*nomadapi.NodeEvent{},
	}
	if d := n.Drain; d != nil {
		out.DrainStrategy = &nomadapi.DrainStrategy{
			DrainSpec: nomadapi.DrainSpec{Deadline: d.Deadline, IgnoreSystemJobs: d.IgnoreSystemJobs}, StartedAt: n.LastDrainAt,
		}
		if d.Deadline > 0 {
			out.DrainStrategy.ForceDeadline = n.LastDrainAt.Add(d.Deadline)
		}
	}
	return out
}

func attributes(n *fleet.Node) map[string]string {
	out := map[string]string{"kernel.name": "linux", "nomad.version": nomadVersion}
	maps.Copy(out, n.Attributes)
	return out
}

func eligibility(n *fleet.Node) string {
	if n.Ineligible {
		return nomadapi.NodeSchedulingIneligible
	}
	return nomadapi.NodeSchedulingEligible
}

func lastDrain(n *fleet.Node) *nomadapi.DrainMetadata {
	if n.LastDrain == "" {
		return nil
	}
	return &nomadapi.DrainMetadata{StartedAt: n.LastDrainAt, UpdatedAt: n.LastDrainAt, Status: nomadapi.DrainStatus(n.LastDrain)}
}

func listNodes(f *fleet.Fleet, q *question) (any, uint64, error) {
	out := []*nomadapi.NodeListStub{}
	for _, n := range f.Nodes() {
		if !strings.HasPrefix(n.ID, q.query("prefix")) {
			continue
		}
		out = append(out, &nomadapi.NodeListStub{
			ID: n.ID, Name: n.Name, Address: n.Address, Datacenter: n.Datacenter, NodePool: n.Pool, NodeClass: n.Class, Version: nomadVersion,
			Drain: n.Drain != nil, SchedulingEligibility: eligibility(n), Status: n.Status, Drivers: drivers(), LastDrain: lastDrain(n),
			CreateIndex: n.CreateIndex, ModifyIndex: n.ModifyIndex,
		})
	}
	return out, f.TableIndex(fleet.TableNodes), nil
}

func readNode(f *fleet.Fleet, q *question) (any, uint64, error) {
	n, err := f.Node(q.path("node"))
	if err != nil {
		return nil, f.TableIndex(fleet.TableNodes), answer(http.StatusNotFound, "node not found")
	}
	return toNode(n), n.ModifyIndex, nil
}

func nodeAllocs(f *fleet.Fleet, q *question) (any, uint64, error) {
	out := []*nomadapi.Allocation{}
	n, err := f.Node(q.path("node"))
	if err != nil {
		return out, f.TableIndex(fleet.TableAllocs), nil
	}
	for _, a := range n.Allocs() {
		stub := toStub(a, true)
		out = append(out, &nomadapi.Allocation{
			ID: a.ID, Namespace: stub.Namespace, Name: a.Name, NodeID: stub.NodeID, NodeName: stub.NodeName, JobID: stub.JobID,
			TaskGroup: stub.TaskGroup, AllocatedResources: stub.AllocatedResources, DesiredStatus: a.Desired, ClientStatus: a.Client,
			TaskStates: stub.TaskStates, DeploymentID: a.Deployment, CreateIndex: a.CreateIndex, ModifyIndex: a.ModifyIndex,
			CreateTime: stub.CreateTime, ModifyTime: stub.ModifyTime,
		})
	}
	return out, f.TableIndex(fleet.TableAllocs), nil
}

func drainNode(f *fleet.Fleet, q *question) (any, error) {
	var req nomadapi.NodeUpdateDrainRequest
	if err := q.body(&req); err != nil {
		return nil, err
	}
	n, err := f.Node(q.path("node"))
	if err != nil {
		return nil, answer(http.StatusInternalServerError, "node not found")
	}
	var drain *fleet.Drain
	if d := req.DrainSpec; d != nil {
		drain = &fleet.Drain{Deadline: d.Deadline, IgnoreSystemJobs: d.IgnoreSystemJobs, Meta: req.Meta}
	}
	if err := f.DrainNode(n.ID, drain, req.MarkEligible); err != nil {
		return nil, plainly(err)
	}
	return &nomadapi.NodeDrainUpdateResponse{NodeModifyIndex: n.ModifyIndex}, nil
}

func setEligibility(f *fleet.Fleet, q *question) (any, error) {
	var req struct{ Eligibility string }
	if err := q.body(&req); err != nil {
		return nil, err
	}
	n, err := f.Node(q.path("node"))
	if err != nil {
		return nil, answer(http.StatusInternalServerError, "node not found")
	}
	if err := f.SetEligibility(n.ID, req.Eligibility == nomadapi.NodeSchedulingEligible); err != nil {
		return nil, plainly(err)
	}
	return &nomadapi.NodeEligibilityUpdateResponse{NodeModifyIndex: n.ModifyIndex}, nil
}

// heartbeat is how often the event stream says that it lives.
const heartbeat = 10 * time.Second
