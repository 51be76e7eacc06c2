// Package mesh is what Consul knows of a fleet in memory: which services are
// registered where, with their sidecars and upstreams, how their checks stand,
// and the config entries that people have written, intentions among them.
//
// Registrations follow from the allocations: Nomad registers an instance when it
// starts and takes it out when it is to stop. The instances of a lost node stay,
// and its own check is critical. Config entries are kept as they were written;
// what they mean is for their readers.
//
// It shares the fleet's time and index, and is as little safe for concurrent use.
package mesh

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/oakumhq/oakum/internal/fleet"
)

// Kinds of registrations, as Consul names them.
const (
	KindTypical = ""
	KindProxy   = "connect-proxy"
)

// Status of a check.
const (
	Passing  = "passing"
	Warning  = "warning"
	Critical = "critical"
)

// proxySuffix ends the name of a service's sidecars.
const proxySuffix = "-sidecar-proxy"

// Registration is one instance of a service in the catalog.
type Registration struct {
	Service, ID string
	Node        string // name of the Nomad node, which Consul's agent shares
	Address     string
	Port        int
	Kind        string
	ProxyFor    string   // service that a proxy stands for
	ProxyForID  string   // the instance of it
	Upstreams   []string // services that a proxy is configured to reach
	Tags        []string
	Meta        map[string]string
	CreateIndex uint64
	ModifyIndex uint64
	alloc       *fleet.Alloc // nil of what somebody registered by hand
	checked     bool
	byHand      []Check
}

// Check is one check, of an instance or of its node.
type Check struct {
	Node, ID, Name     string
	Service, ServiceID string // empty for a check of the node
	Status, Output     string
}

// Mesh is Consul's state. Make it with New.
type Mesh struct {
	f        *fleet.Fleet
	services map[string]map[string]*Registration // by name and ID
	allocs   map[string]*member
	away     map[string]bool // nodes that are lost, by ID
	hand     map[string]*Registration
	entries  map[string]map[string]Entry
	// DefaultDeny says that no call is allowed that no intention allows.
	DefaultDeny bool
}

// member is an allocation as it was registered.
type member struct {
	group *fleet.Group
	ready bool
	list  []*Registration
}

// New returns the state that follows a fleet from now on.
func New(f *fleet.Fleet) *Mesh {
	m := &Mesh{
		f: f, services: map[string]map[string]*Registration{}, allocs: map[string]*member{}, away: map[string]bool{},
		hand: map[string]*Registration{}, entries: map[string]map[string]Entry{},
	}
	for _, id := range f.JobIDs() {
		for _, a := range f.Allocs(id) {
			m.allocChanged(a)
		}
	}
	f.Subscribe(m.allocChanged)
	return m
}

// allocChanged brings the registrations of an allocation up to date.
func (m *Mesh) allocChanged(a *fleet.Alloc) {
	if !a.Node.Reachable() {
		if !m.away[a.Node.ID] {
			m.away[a.Node.ID] = true
			m.f.Touch(fleet.TableChecks)
		}
		return // its agent says nothing more
	}
	m.returned()
	have := m.allocs[a.ID]
	runs := a.Client == fleet.ClientRunning && a.Desired == fleet.DesiredRun && !a.Started.IsZero()
	switch {
	case have != nil && (!runs || !registersAlike(have.group, a.Group)):
		m.drop(a.ID)
		if runs {
			m.add(a)
		}
	case have == nil:
		if runs {
			m.add(a)
		}
	case have.ready != a.Ready:
		have.ready = a.Ready
		m.f.Touch(fleet.TableChecks)
	}
}

// registersAlike reports whether an instance that is updated in place stays as it
// is in the catalog.
func registersAlike(a, b *fleet.Group) bool {
	return a == b || reflect.DeepEqual(a.Services, b.Services) && slices.Equal(a.Ports, b.Ports)
}

// returned takes out what has ended on nodes that are back.
func (m *Mesh) returned() {
	for node := range m.away {
		n, err := m.f.Node(node)
		if err != nil || !n.Reachable() {
			continue
		}
		delete(m.away, node)
		m.f.Touch(fleet.TableChecks)
		for id, have := range m.allocs {
			if len(have.list) > 0 && have.list[0].Node == n.Name && !slices.Contains(n.Allocs(), have.list[0].alloc) {
				m.drop(id)
			}
		}
	}
}

// add registers an allocation's services and their sidecars.
func (m *Mesh) add(a *fleet.Alloc) {
	have := &member{group: a.Group, ready: a.Ready}
	m.allocs[a.ID] = have
	for i, s := range a.Group.Services {
		if s.Provider == "nomad" {
			continue
		}
		port := 0
		if at := slices.Index(a.Group.Ports, s.Port); at >= 0 && at < len(a.Ports) {
			port = a.Ports[at]
		}
		r := &Registration{
			Service: s.Name, ID: fmt.Sprintf("_nomad-task-%s-group-%s-%s-%s", a.ID, a.Group.Name, s.Name, s.Port),
			Node: a.Node.Name, Address: a.Node.Address, Port: port, Tags: s.Tags, Meta: s.Meta, alloc: a, checked: s.Checked,
		}
		have.list = append(have.list, r)
		if s.Connect {
			proxy := *r
			proxy.Service, proxy.ID, proxy.Kind = s.Name+proxySuffix, r.ID+proxySuffix, KindProxy
			proxy.ProxyFor, proxy.ProxyForID, proxy.Upstreams = s.Name, r.ID, s.Upstreams
			proxy.Port = max(1, port) + 12000 + i
			have.list = append(have.list, &proxy)
		}
	}
	if len(have.list) == 0 {
		return
	}
	index := m.f.Touch(fleet.TableCatalog)
	m.f.Touch(fleet.TableChecks)
	for _, r := range have.list {
		m.put(r, index)
	}
}

func (m *Mesh) put(r *Registration, index uint64) {
	r.CreateIndex, r.ModifyIndex = index, index
	if m.services[r.Service] == nil {
		m.services[r.Service] = map[string]*Registration{}
	}
	m.services[r.Service][r.ID] = r
}

// drop takes an allocation's services out.
func (m *Mesh) drop(id string) {
	list := m.allocs[id].list
	delete(m.allocs, id)
	for _, r := range list {
		m.remove(r)
	}
	if len(list) > 0 {
		m.f.Touch(fleet.TableCatalog)
		m.f.Touch(fleet.TableChecks)
	}
}

func (m *Mesh) remove(r *Registration) {
	delete(m.services[r.Service], r.ID)
	if len(m.services[r.Service]) == 0 {
		delete(m.services, r.Service)
	}
}

// Services lists all services with the tags of their instances, sorted.
func (m *Mesh) Services() map[string][]string {
	m.returned()
	out := make(map[string][]string, len(m.services))
	for name, list := range m.services {
		tags := []string{}
		var last []string
		for _, r := range list {
			if !slices.Equal(last, r.Tags) { // as those of nearly all instances are
				tags = append(tags, r.Tags...)
				last = r.Tags
			}
		}
		slices.Sort(tags)
		out[name] = slices.Compact(tags)
	}
	return out
}

// Registrations lists the instances of a service, by ID.
func (m *Mesh) Registrations(service string) []*Registration {
	m.returned()
	return slices.SortedFunc(maps.Values(m.services[service]), func(a, b *Registration) int { return cmp.Compare(a.ID, b.ID) })
}

// Checks are those of an instance, its node's first.
func (m *Mesh) Checks(r *Registration) []Check {
	out := []Check{nodeCheck(r)}
	if r.alloc == nil {
		return append(out, r.byHand...)
	}
	if r.checked {
		out = append(out, instanceCheck(r))
	}
	return out
}

// nodeCheck is that of the agent on an instance's node.
func nodeCheck(r *Registration) Check {
	c := Check{Node: r.Node, ID: "serfHealth", Name: "Serf Health Status", Status: Passing, Output: "Agent alive and reachable"}
	if r.alloc != nil && !r.alloc.Node.Reachable() {
		c.Status, c.Output = Critical, "Agent not live or unreachable"
	}
	return c
}

// instanceCheck is the one that Nomad registers with an instance.
func instanceCheck(r *Registration) Check {
	c := Check{
		Node: r.Node, ID: "service:" + r.ID, Name: `service: "` + r.Service + `" check`, Service: r.Service, ServiceID: r.ID,
		Status: Passing, Output: "200 OK",
	}
	if !r.alloc.Ready {
		c.Status, c.Output = Critical, "connection refused"
	}
	return c
}

// AllChecks lists the checks of all instances, by service, and of the nodes that
// have any, each once.
func (m *Mesh) AllChecks() []Check {
	m.returned()
	var out []Check
	nodes := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(m.services)) {
		for _, r := range m.Registrations(name) {
			if !nodes[r.Node] {
				nodes[r.Node] = true
				out = append(out, nodeCheck(r))
			}
			if r.alloc == nil {
				out = append(out, r.byHand...)
			} else if r.checked {
				out = append(out, instanceCheck(r))
			}
		}
	}
	return out
}
