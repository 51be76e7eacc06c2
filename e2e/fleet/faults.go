package fleet

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/fleet/nomad"
	"github.com/oakumhq/oakum/internal/fleet"
)

// Kinds of faults.
const (
	faultNodeAway   = "node-away"
	faultDrain      = "drain"
	faultNoCapacity = "no-capacity"
	faultAutoscaler = "autoscaler"
	faultPipeline   = "pipeline"
	faultAPIAway    = "api-away"
	faultAPISlow    = "api-slow"
	faultAPIStale   = "api-stale"
)

// faultMost bounds each of a fault's times.
const faultMost = 365 * 24 * time.Hour

// Fault is a fault that begins at a time after the start of the fleet.
type Fault struct {
	Kind string `hcl:"kind,label"`
	At   string `hcl:"at"`           // after the beginning
	For  string `hcl:"for,optional"` // it never ends when empty

	Nodes   []string `hcl:"nodes,optional"`   // names
	Service string   `hcl:"service,optional"` // whose job is scaled or registered
	Every   string   `hcl:"every,optional"`   // between two turns of an autoscaler or a pipeline
	Counts  []int    `hcl:"counts,optional"`  // that an autoscaler sets, in turn
	Images  []string `hcl:"images,optional"`  // that a pipeline registers, in turn
	API     string   `hcl:"api,optional"`     // nomad, consul or prometheus
	Delay   string   `hcl:"delay,optional"`   // of every answer
	Age     string   `hcl:"age,optional"`     // of what is answered

	Range hcl.Range `hcl:",def_range"`

	at, length, every, delay, age time.Duration // as parsed; a length of 0 has no end
}

// faultFields are what each kind says on top of at and for. All of them are
// needed.
func faultFields() map[string][]string {
	return map[string][]string{
		faultNodeAway: {"nodes"}, faultDrain: {"nodes"}, faultNoCapacity: {},
		faultAutoscaler: {"service", "every", "counts"}, faultPipeline: {"service", "every", "images"},
		faultAPIAway: {"api"}, faultAPISlow: {"api", "delay"}, faultAPIStale: {"api", "age"},
	}
}

// check finds what a fault can't mean, in a fleet of those services and nodes.
func (b *Fault) check(services, nodes map[string]bool) (found []error) {
	needs, ok := faultFields()[b.Kind]
	if !ok {
		return []error{errors.New("want one of node-away, drain, no-capacity, autoscaler, pipeline, api-away, api-slow and api-stale")}
	}
	for _, field := range []struct {
		name string
		set  bool
	}{
		{"nodes", len(b.Nodes) > 0}, {"service", b.Service != ""}, {"every", b.Every != ""}, {"counts", len(b.Counts) > 0},
		{"images", len(b.Images) > 0}, {"api", b.API != ""}, {"delay", b.Delay != ""}, {"age", b.Age != ""},
	} {
		switch needed := slices.Contains(needs, field.name); {
		case needed && !field.set:
			found = append(found, fmt.Errorf("want %s", field.name))
		case !needed && field.set:
			found = append(found, fmt.Errorf("%s: it has none", field.name))
		}
	}
	for _, d := range []struct {
		field, text string
		to          *time.Duration
	}{{"at", b.At, &b.at}, {"for", b.For, &b.length}, {"every", b.Every, &b.every}, {"delay", b.Delay, &b.delay}, {"age", b.Age, &b.age}} {
		if err := span(d.text, d.to); err != nil {
			found = append(found, fmt.Errorf("%s: %w", d.field, err))
		} else if *d.to > faultMost {
			found = append(found, fmt.Errorf("%s: want at most %s, have %s", d.field, faultMost, d.text))
		}
	}
	if b.every > 0 && b.every < time.Second {
		found = append(found, fmt.Errorf("every: want at least 1s, have %s", b.Every))
	}
	for _, n := range b.Nodes {
		if !nodes[n] {
			found = append(found, fmt.Errorf("nodes: there is no node %q", n))
		}
	}
	if b.Service != "" && !services[b.Service] {
		found = append(found, fmt.Errorf("service: there is no service %q", b.Service))
	}
	if slices.ContainsFunc(b.Counts, func(n int) bool { return n < 0 || n > nomad.JobMaxCount }) {
		found = append(found, fmt.Errorf("counts: want 0 to %d each, have %v", nomad.JobMaxCount, b.Counts))
	}
	if b.API != "" && !slices.Contains([]string{"nomad", "consul", "prometheus"}, b.API) {
		found = append(found, fmt.Errorf("api: want nomad, consul or prometheus, have %q", b.API))
	}
	return found
}

// names are those of a kind of nodes.
func (n Nodes) names() []string {
	var out []string
	for i := range min(n.Count, mostNodes) {
		out = append(out, fmt.Sprintf("%s-%d", n.Kind, i+1))
	}
	return out
}

// scheduleFaults schedules the faults of nodes and jobs in a fleet that starts now.
func (d *Description) scheduleFaults(f *fleet.Fleet) error {
	for i := range d.Faults {
		b := &d.Faults[i]
		var err error
		switch b.Kind {
		case faultNodeAway:
			b.onNodes(f, f.LoseNode, f.ReturnNode)
		case faultDrain:
			b.onNodes(f,
				func(id string) error { return f.DrainNode(id, &fleet.Drain{}, false) },
				func(id string) error { return f.DrainNode(id, nil, true) })
		case faultNoCapacity:
			b.onNodes(f,
				func(id string) error { return f.SetEligibility(id, false) },
				func(id string) error { return f.SetEligibility(id, true) })
		case faultAutoscaler:
			b.scale(f)
		case faultPipeline:
			err = b.deliver(f, d.Services)
		}
		if err != nil {
			return fmt.Errorf("%s: fault %s: %w", b.Range, b.Kind, err)
		}
	}
	return nil
}

// happens has something begin when it is time, and end when it is over.
func (b *Fault) happens(f *fleet.Fleet, begin, end func()) {
	f.At(f.Now().Add(b.at), begin)
	if b.length > 0 {
		f.At(f.Now().Add(b.at+b.length), end)
	}
}

// onNodes has something happen to the fault's nodes, or to all when it names
// none. What can't be done to a node by then, because of another fault, is not.
func (b *Fault) onNodes(f *fleet.Fleet, begin, end func(id string) error) {
	each := func(do func(string) error) func() {
		return func() {
			for _, n := range f.Nodes() {
				if len(b.Nodes) == 0 || slices.Contains(b.Nodes, n.Name) {
					_ = do(n.ID) // another fault has the node
				}
			}
		}
	}
	b.happens(f, each(begin), each(end))
}

// over reports whether the fault has ended.
func (b *Fault) over(began, now time.Time) bool {
	return b.length > 0 && !now.Before(began.Add(b.at+b.length))
}

// scale begins an autoscaler, whose first turn is one interval after the fault
// begins.
func (b *Fault) scale(f *fleet.Fleet) {
	began, turn := f.Now(), 0
	f.At(began.Add(b.at), func() {
		f.Autoscale(fleet.Autoscaler{
			Target: api.TargetRef{Namespace: "default", Job: b.Service, Group: b.Service}, Every: b.every,
			Want: func(now time.Time, count int) int {
				if b.over(began, now) {
					return count
				}
				turn++
				return b.Counts[(turn-1)%len(b.Counts)]
			},
		})
	})
}

// deliver begins a pipeline, whose first turn is one interval after the fault
// begins.
func (b *Fault) deliver(f *fleet.Fleet, services []Service) error {
	at := slices.IndexFunc(services, func(s Service) bool { return s.Name == b.Service })
	var jobs []fleet.Job
	for _, image := range b.Images {
		s := services[at]
		s.Image = image
		job, err := nomad.FromNomad(s.job())
		if err != nil {
			return err
		}
		jobs = append(jobs, job)
	}
	began, turn := f.Now(), 0
	f.At(began.Add(b.at), func() {
		f.Deliver(fleet.Pipeline{
			Job: fleet.JobID{Namespace: "default", ID: b.Service}, Every: b.every,
			Next: func(now time.Time, present fleet.Job) fleet.Job {
				if b.over(began, now) {
					return present
				}
				turn++
				return jobs[(turn-1)%len(jobs)]
			},
		})
	})
	return nil
}

// scheduleAPIFaults schedules the faults of APIs. The caller holds the model's lock at the start
// of the fleet. Where two faults of a kind overlap, the first end ends both.
func (d *Description) scheduleAPIFaults(f *fleet.Fleet, apis Health) {
	for i := range d.Faults {
		b := &d.Faults[i]
		health, ok := apis[b.API]
		if !ok || !strings.HasPrefix(b.Kind, "api-") {
			continue
		}
		set := func(on bool) func() {
			var howLong time.Duration
			if on {
				howLong = b.delay + b.age // a kind has one of them
			}
			return func() {
				fault := health.Fault()
				switch b.Kind {
				case faultAPIAway:
					fault.Away = on
				case faultAPISlow:
					fault.Slow = howLong
				case faultAPIStale:
					fault.Stale = howLong
				}
				health.SetFault(fault)
			}
		}
		b.happens(f, set(true), set(false))
	}
}
