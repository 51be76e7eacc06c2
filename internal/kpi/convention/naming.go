package convention

import (
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// Way is how a label names an instance.
type Way string

// Ways, the better ones first.
const (
	ByID      Way = "id"      // the value is the allocation's ID
	Inside    Way = "inside"  // the ID is a part of the value, as in the ID of a service that Nomad registers in Consul
	ByAddress Way = "address" // the value is an address and port that Nomad or Consul has for the allocation
	ByShort   Way = "short"   // the value ends in the first eight digits of the ID, as names of containers and hosts do
)

// Queried reports whether a query can find the allocation by the label: its ID is in it,
// or the reader of the answer finds the address.
func (w Way) Queried() bool { return w == ByID || w == Inside || w == ByAddress }

// Naming is a label and how it names instances.
type Naming struct {
	Label string
	Way   Way
}

// Labels are those by which series name instances, the most exact first. The first is the
// one that the configuration names.
func Labels(configured string) []string {
	out := []string{configured}
	for _, l := range [...]string{
		"alloc_id", "nomad_alloc_id", "exported_alloc_id", "nomad_allocation_id", "allocation_id", "container_label_com_hashicorp_nomad_alloc_id",
		"consul_service_id", "service_id", "service_instance_id", "instance_id", "name", "container", "container_name", "id",
		"exported_instance", "instance", "address", "pod", "pod_name", "hostname", "host",
	} {
		if l != configured {
			out = append(out, l)
		}
	}
	return out
}

// Instance is one allocation, and the addresses (host:port) that it is registered with.
type Instance struct {
	ID        string
	Target    api.TargetRef
	Addresses []string
}

// Instances finds instances by what labels say.
type Instances struct {
	byID, byAddress, byShort map[string]*Instance
	count                    map[api.TargetRef]int
}

// NewInstances returns the instances that there are. An address or a beginning of an ID
// that two instances share names neither.
func NewInstances(all []Instance) *Instances {
	s := &Instances{byID: map[string]*Instance{}, byAddress: map[string]*Instance{}, byShort: map[string]*Instance{}, count: map[api.TargetRef]int{}}
	for n := range all {
		i := &all[n]
		s.count[i.Target]++
		s.byID[i.ID] = i
		if len(i.ID) >= shortID {
			once(s.byShort, i.ID[:shortID], i)
		}
		for _, a := range i.Addresses {
			s.addressed(a, i)
		}
	}
	return s
}

// Register adds an address to the instance whose ID is in the name of a registration.
func (s *Instances) Register(name, address string) {
	i := s.named(name, Inside)
	if i == nil || address == "" || slices.Contains(i.Addresses, address) {
		return
	}
	i.Addresses = append(i.Addresses, address)
	s.addressed(address, i)
}

// addressed notes that an address is an instance's, or nobody's when it is another's too.
func (s *Instances) addressed(address string, i *Instance) { once(s.byAddress, address, i) }

func once(in map[string]*Instance, key string, i *Instance) {
	if have, ok := in[key]; ok && have != i {
		i = nil
	}
	in[key] = i
}

// Named is the ID of the instance that a text is the ID or the address of, "" for none.
func (s *Instances) Named(text string) string {
	for _, way := range [...]Way{ByID, ByAddress} {
		if i := s.named(text, way); i != nil {
			return i.ID
		}
	}
	return ""
}

// Addresses are those at which one instance alone answers, with its ID.
func (s *Instances) Addresses() map[string]string {
	out := make(map[string]string, len(s.byAddress))
	for address, i := range s.byAddress {
		if i != nil {
			out[address] = i.ID
		}
	}
	return out
}

// Count is how many instances a target has.
func (s *Instances) Count(target api.TargetRef) int { return s.count[target] }

// Tally counts some allocations by their targets. What does not run is left out.
func (s *Instances) Tally(ids map[string]bool) map[api.TargetRef]int {
	out := map[api.TargetRef]int{}
	for id := range ids {
		if i := s.byID[id]; i != nil {
			out[i.Target]++
		}
	}
	return out
}

// Targets are the targets that have instances, sorted.
func (s *Instances) Targets() []api.TargetRef {
	out := make([]api.TargetRef, 0, len(s.count))
	for t := range s.count {
		out = append(out, t)
	}
	slices.SortFunc(out, api.TargetRef.Compare)
	return out
}

const (
	shortID = 8  // digits of an ID that people and names of containers use
	fullID  = 36 // characters of an ID
)

// Of is the instance that a series is of, and the label that says so: the first of some
// labels that names an instance which runs, by the best way that any of them does.
func (s *Instances) Of(series map[string]string, labels []string) (*Instance, Naming) {
	for _, way := range [...]Way{ByID, Inside, ByAddress, ByShort} {
		for _, l := range labels {
			value := series[l]
			if value == "" {
				continue
			}
			if i := s.named(value, way); i != nil {
				return i, Naming{Label: l, Way: way}
			}
		}
	}
	return nil, Naming{}
}

func (s *Instances) named(value string, way Way) *Instance {
	switch way {
	case ByID:
		return s.byID[value]
	case Inside:
		for at := 0; at+fullID <= len(value); at++ {
			if value[at+shortID] == '-' {
				if i := s.byID[value[at:at+fullID]]; i != nil {
					return i
				}
			}
		}
	case ByAddress:
		return s.byAddress[value]
	case ByShort:
		end := value[strings.LastIndexAny(value, "-_.")+1:]
		if len(end) == shortID {
			return s.byShort[end]
		}
	}
	return nil
}
