package mesh

import (
	"maps"
	"slices"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/fleet"
)

// agentNode is the node of what is registered by hand: the agent that is asked.
const agentNode = "consul"

// Register keeps what somebody registers with the agent, in place of what had the
// same ID. Its checks begin as critical.
func (m *Mesh) Register(r Registration, checks []Check) {
	if old := m.hand[r.ID]; old != nil {
		m.remove(old)
	}
	r.Node = agentNode
	if r.Address == "" {
		r.Address = "127.0.0.1"
	}
	for _, c := range checks {
		c.Node, c.Service, c.ServiceID = agentNode, r.Service, r.ID
		c.Status = Critical
		r.byHand = append(r.byHand, c)
	}
	m.hand[r.ID] = &r
	m.put(&r, m.f.Touch(fleet.TableCatalog))
	m.f.Touch(fleet.TableChecks)
}

// Deregister takes it out again; the error has code not_found.
func (m *Mesh) Deregister(id string) error {
	r := m.hand[id]
	if r == nil {
		return api.Errorf(api.CodeNotFound, "Unknown service ID %q. Ensure that the service ID is passed, not the service name.", id)
	}
	delete(m.hand, id)
	m.remove(r)
	m.f.Touch(fleet.TableCatalog)
	m.f.Touch(fleet.TableChecks)
	return nil
}

// Registered finds what was registered by hand; the error has code not_found.
func (m *Mesh) Registered(id string) (*Registration, error) {
	if r := m.hand[id]; r != nil {
		return r, nil
	}
	return nil, api.Errorf(api.CodeNotFound, "unknown service ID: %s", id)
}

// Report sets a check of what was registered by hand; the error has code
// not_found.
func (m *Mesh) Report(check, status, output string) error {
	for _, id := range slices.Sorted(maps.Keys(m.hand)) {
		for i := range m.hand[id].byHand {
			c := &m.hand[id].byHand[i]
			if c.ID != check {
				continue
			}
			if c.Status != status || c.Output != output {
				c.Status, c.Output = status, output
				m.f.Touch(fleet.TableChecks)
			}
			return nil
		}
	}
	return api.Errorf(api.CodeNotFound, "Unknown check ID %q. Ensure that the check ID is passed, not the check name.", check)
}

// Entry is a config entry as somebody wrote it.
type Entry struct {
	Kind, Name               string
	Body                     []byte // JSON
	CreateIndex, ModifyIndex uint64
}

// SetEntry writes a config entry. With expect it does so only while the entry's
// ModifyIndex is that, or there is none and it is 0, and says whether it did.
func (m *Mesh) SetEntry(e Entry, expect *uint64) bool {
	old, ok := m.entries[e.Kind][e.Name]
	if expect != nil && old.ModifyIndex != *expect {
		return false
	}
	if ok && string(old.Body) == string(e.Body) {
		return true
	}
	e.ModifyIndex = m.f.Touch(fleet.TableEntries)
	e.CreateIndex = e.ModifyIndex
	if ok {
		e.CreateIndex = old.CreateIndex
	}
	if m.entries[e.Kind] == nil {
		m.entries[e.Kind] = map[string]Entry{}
	}
	m.entries[e.Kind][e.Name] = e
	return true
}

// DeleteEntry takes a config entry out. With expect it does so only while the
// entry's ModifyIndex is that, and says whether it did.
func (m *Mesh) DeleteEntry(kind, name string, expect *uint64) bool {
	old, ok := m.entries[kind][name]
	if expect != nil && (!ok || old.ModifyIndex != *expect) {
		return false
	}
	if ok {
		delete(m.entries[kind], name)
		m.f.Touch(fleet.TableEntries)
	}
	return true
}

// Entries lists the config entries of a kind, by name.
func (m *Mesh) Entries(kind string) []Entry {
	var out []Entry
	for _, name := range slices.Sorted(maps.Keys(m.entries[kind])) {
		out = append(out, m.entries[kind][name])
	}
	return out
}
