package fleet

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Node is a Nomad client.
type Node struct {
	ID, Name   string
	Datacenter string // dc1 when empty
	Pool       string // default when empty
	Class      string
	Address    string            // 127.0.0.1 when empty
	Meta       map[string]string // the key rack holds its rack
	Attributes map[string]string
	CPU        int      // MHz to give away
	MemoryMB   int      // to give away
	Drivers    []string // of tasks that it can run; all when empty

	Status      string // ready or down
	Ineligible  bool   // takes nothing new
	Drain       *Drain // while it drains
	LastDrain   string // draining, complete or canceled; empty when there was none
	LastDrainAt time.Time
	CreateIndex uint64
	ModifyIndex uint64
	UsedCPU     int
	UsedMB      int

	reachable bool   // heartbeats arrive
	life      uint64 // raised by each loss and return
	allocs    []*Alloc
}

// Status of a node.
const (
	NodeReady = "ready"
	NodeDown  = "down"
)

// Drain is how a node is emptied.
type Drain struct {
	Deadline         time.Duration // all that is left moves at once then; 0 means never, negative means now
	IgnoreSystemJobs bool
	Meta             map[string]string
	began            time.Time
}

// Reachable reports whether the node's instances can be reached.
func (n *Node) Reachable() bool { return n.reachable }

// Allocs are the node's allocations that have not ended.
func (n *Node) Allocs() []*Alloc { return n.allocs }

// AddNode joins a node. The ID is drawn when it has none.
func (f *Fleet) AddNode(n Node) *Node {
	if n.ID == "" {
		n.ID = f.newID()
	}
	n.Name, n.Datacenter, n.Pool = cmp.Or(n.Name, n.ID), cmp.Or(n.Datacenter, "dc1"), cmp.Or(n.Pool, "default")
	n.Address = cmp.Or(n.Address, "127.0.0.1")
	n.Status, n.reachable, n.allocs = NodeReady, true, nil
	n.CreateIndex = f.touch(TableNodes)
	n.ModifyIndex = n.CreateIndex
	f.nodes[n.ID] = &n
	f.nodeIDs = append(f.nodeIDs, n.ID)
	f.event(Event{Topic: TopicNode, Type: "NodeRegistration", Key: n.ID})
	f.evaluateBlocked()
	f.evaluateSystem()
	return &n
}

// Nodes lists the nodes in the order in which they joined.
func (f *Fleet) Nodes() []*Node {
	out := make([]*Node, len(f.nodeIDs))
	for i, id := range f.nodeIDs {
		out[i] = f.nodes[id]
	}
	return out
}

// Node finds a node by ID; the error has code not_found.
func (f *Fleet) Node(id string) (*Node, error) {
	if n := f.nodes[id]; n != nil {
		return n, nil
	}
	return nil, api.Errorf(api.CodeNotFound, "node not found: %s", id)
}

// LoseNode stops a node. Its instances are gone at once. Nomad notices after 20 s
// without a heartbeat.
func (f *Fleet) LoseNode(id string) error {
	n, err := f.Node(id)
	if err != nil || !n.reachable {
		return err
	}
	n.reachable = false
	f.publishNode(n)
	n.life++
	life := n.life
	f.after(heartbeatTTL, func() {
		if n.life == life && n.Status == NodeReady {
			f.nodeDown(n)
		}
	})
	return nil
}

// nodeDown is the servers' view of a lost node.
func (f *Fleet) nodeDown(n *Node) {
	n.Status = NodeDown
	f.nodeChanged(n, "NodeEvent")
	f.evaluateNode(n, TriggerNodeUpdate)
}

// ReturnNode brings a lost node back. Allocations that Nomad has replaced are not
// started again. The others run on.
func (f *Fleet) ReturnNode(id string) error {
	n, err := f.Node(id)
	if err != nil || n.reachable {
		return err
	}
	n.reachable = true
	n.life++
	for _, a := range n.allocs {
		if a.Client == ClientPending {
			f.begin(a, 0)
		}
	}
	f.publishNode(n)
	if n.Status == NodeDown {
		n.Status = NodeReady
		f.nodeChanged(n, "NodeRegistration")
		f.evaluateBlocked()
		f.evaluateSystem()
	}
	return nil
}

// SetEligibility says whether the node takes new allocations.
func (f *Fleet) SetEligibility(id string, eligible bool) error {
	n, err := f.Node(id)
	if err != nil {
		return err
	}
	if eligible && n.Drain != nil {
		return api.Errorf(api.CodeInvalid, "can not set node's scheduling eligibility to eligible while it is draining")
	}
	if n.Ineligible == !eligible {
		return nil
	}
	n.Ineligible = !eligible
	f.nodeChanged(n, "NodeEligibility")
	if eligible {
		f.evaluateBlocked()
		f.evaluateSystem()
	}
	return nil
}

// nodeChanged sets a node's modify index and publishes an event about it.
func (f *Fleet) nodeChanged(n *Node, what string) {
	n.ModifyIndex = f.touch(TableNodes)
	f.event(Event{Topic: TopicNode, Type: what, Key: n.ID})
}

// evaluateNode evaluates every job with an allocation on the node.
func (f *Fleet) evaluateNode(n *Node, trigger string) {
	seen := map[JobID]bool{}
	for _, a := range n.allocs {
		if !seen[a.Job.JobID] {
			seen[a.Job.JobID] = true
			f.evaluate(a.state, trigger)
		}
	}
}

// evaluateSystem evaluates the jobs that run on every node.
func (f *Fleet) evaluateSystem() {
	for _, id := range slices.SortedFunc(maps.Keys(f.systems), JobID.Compare) {
		if j := f.jobs[id]; !j.current.Stopped {
			f.evaluate(j, TriggerNodeUpdate)
		}
	}
}

// Takes reports whether the scheduler may place something on the node.
func (n *Node) Takes() bool { return n.Status == NodeReady && !n.Ineligible && n.Drain == nil }

// fits names the dimension that has no room for an instance; empty means that
// there is.
func (n *Node) fits(cpu, memoryMB int) string {
	switch {
	case n.UsedCPU+cpu > n.CPU:
		return "cpu"
	case n.UsedMB+memoryMB > n.MemoryMB:
		return "memory"
	}
	return ""
}

// lookup resolves ${...} on a node.
func (n *Node) lookup(text string) (string, bool) {
	name, ok := strings.CutPrefix(text, "${")
	if !ok {
		return text, true
	}
	name = strings.TrimSuffix(name, "}")
	switch name {
	case "node.unique.id":
		return n.ID, true
	case "node.unique.name":
		return n.Name, true
	case "node.datacenter":
		return n.Datacenter, true
	case "node.class":
		return n.Class, true
	case "node.pool":
		return n.Pool, true
	}
	if key, ok := strings.CutPrefix(name, "meta."); ok {
		value, ok := n.Meta[key]
		return value, ok
	}
	value, ok := n.Attributes[strings.TrimPrefix(name, "attr.")]
	return value, ok
}

// check refuses operands that the model does not know.
func (c Constraint) check() error {
	switch c.Operand {
	case "", "=", "==", "is", "!=", "not", "distinct_hosts", "is_set", "is_not_set":
		return nil
	case "regexp":
		_, err := regexp.Compile(c.Right)
		return err
	}
	return fmt.Errorf("the model does not know the constraint operand %q", c.Operand)
}

// met reports whether a node satisfies the constraint. Whether hosts are
// distinct is the placement's question.
func (c Constraint) met(n *Node) bool {
	left, have := n.lookup(c.Left)
	right, known := n.lookup(c.Right)
	switch c.Operand {
	case "!=", "not":
		return left != right || have != known
	case "is_set":
		return have
	case "is_not_set":
		return !have
	case "distinct_hosts":
		return true
	case "regexp":
		ok, err := regexp.MatchString(right, left)
		return have && ok && err == nil
	}
	return have && known && left == right
}

// admits reports whether the job's and the group's words let it run on the node.
func (n *Node) admits(j *Job, g *Group) bool { return n.offered(j) && n.refuses(j, g) == "" }

// offered reports whether the node is of the job's pool and datacenters: others
// are not looked at.
func (n *Node) offered(j *Job) bool {
	return (n.Pool == j.NodePool || j.NodePool == "all") && (len(j.Datacenters) == 0 || slices.ContainsFunc(j.Datacenters, func(dc string) bool {
		ok, err := path.Match(dc, n.Datacenter)
		return ok && err == nil
	}))
}

// refuses names what keeps the group off the node, as Nomad does; empty when
// nothing does.
func (n *Node) refuses(j *Job, g *Group) string {
	for _, c := range j.Constraints {
		if !c.met(n) {
			return c.String()
		}
	}
	for _, t := range g.Tasks {
		if len(n.Drivers) > 0 && !slices.Contains(n.Drivers, t.Driver) {
			return "missing drivers"
		}
	}
	for _, c := range g.Constraints {
		if !c.met(n) {
			return c.String()
		}
	}
	return ""
}

// String is the constraint as Nomad writes it.
func (c Constraint) String() string {
	return fmt.Sprintf("%s %s %s", c.Left, cmp.Or(c.Operand, "="), c.Right)
}
