package fleet

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/fleet/nomad"
	"github.com/oakumhq/oakum/internal/fleet/load"
)

// Description describes a fleet: nodes, services that call each other, the
// behaviour of builds that patches bring, and faults.
type Description struct {
	Seed     uint64
	Nodes    []Nodes
	Services []Service
	Builds   []Build
	Faults   []Fault
}

// What a description may ask for at most: some times what one machine can hold.
const (
	mostNodes     = 20_000
	mostInstances = 500_000
	mostMistakes  = 10 // that are told of; a file that is no description has thousands
	mostFigure    = 1e9
)

// Nodes are clients of one kind.
type Nodes struct {
	Kind     string `hcl:"kind,label"` // prefix of their names, and their node class
	Count    int    `hcl:"count"`
	CPU      int    `hcl:"cpu,optional"`       // MHz; 16,000 when 0
	MemoryMB int    `hcl:"memory_mb,optional"` // 32,768 when 0
	Racks    int    `hcl:"racks,optional"`     // they stand in so many racks in turn; 1 when 0

	Range hcl.Range `hcl:",def_range"`
}

// Service is a job of one group and one task, named like its service in Consul.
type Service struct {
	Name   string             `hcl:"name,label"`
	Count  int                `hcl:"count"`
	Driver string             `hcl:"driver,optional"` // docker when empty
	Image  string             `hcl:"image,optional"`  // NAME:1.0 when empty
	Env    map[string]string  `hcl:"env,optional"`
	Meta   map[string]string  `hcl:"meta,optional"`
	Calls  map[string]float64 `hcl:"calls,optional"` // of other services, for each request

	Rate    float64 `hcl:"rate,optional"`    // requests/s from outside to all instances together, mean of a week
	Week    string  `hcl:"week,optional"`    // how they spread: steady when empty, office or evenings
	Latency string  `hcl:"latency,optional"` // median; 10ms when empty
	Errors  float64 `hcl:"errors,optional"`  // share of the requests that fail; 0.001 when 0
	CPU     string  `hcl:"cpu,optional"`     // of a request; 2ms when empty
	Boot    string  `hcl:"boot,optional"`    // until an instance answers; 1s when empty

	Range hcl.Range `hcl:",def_range"`

	latency, cpu, boot time.Duration // as parsed; zero when empty
}

// Build is what instances do that run an image, or an environment, that a patch
// brings. A build that no block names does no harm.
type Build struct {
	Name  string            `hcl:"name,label"`
	Image string            `hcl:"image,optional"` // pattern as of path.Match; empty means any
	Env   map[string]string `hcl:"env,optional"`   // all of these are set so

	Errors     float64 `hcl:"errors,optional"`     // share of the requests that fail on top of the usual
	Latency    float64 `hcl:"latency,optional"`    // factor
	CPU        float64 `hcl:"cpu,optional"`        // factor
	Memory     float64 `hcl:"memory,optional"`     // factor
	Disk       float64 `hcl:"disk,optional"`       // factor
	Lies       bool    `hcl:"lies,optional"`       // its own figures are as usual, and its callers suffer
	AboveRate  float64 `hcl:"above_rate,optional"` // only from so many requests/s of an instance on
	NeverBoots bool    `hcl:"never_boots,optional"`
	CrashAfter string  `hcl:"crash_after,optional"` // each run ends so long after its start
	Boot       string  `hcl:"boot,optional"`        // until an instance answers; the service's own when empty

	Range hcl.Range `hcl:",def_range"`

	crashAfter, boot time.Duration // as parsed
}

// file is a description's outermost level.
type file struct {
	Seed     *uint64   `hcl:"seed"`
	Nodes    []Nodes   `hcl:"nodes,block"`
	Services []Service `hcl:"service,block"`
	Builds   []Build   `hcl:"build,block"`
	Faults   []Fault   `hcl:"fault,block"`
}

// Describe reads a description. The error has code invalid and names the file,
// the line and the column of every mistake.
func Describe(filename string) (*Description, error) {
	text, err := os.ReadFile(filename)
	if err != nil {
		return nil, fmt.Errorf("read the fleet's description: %w", err)
	}
	parser := hclparse.NewParser()
	parsed, diags := parser.ParseHCL(text, filename)
	var f file
	if !diags.HasErrors() {
		diags = append(diags, gohcl.DecodeBody(parsed.Body, nil, &f)...)
	}
	if diags.HasErrors() {
		return nil, mistakes(diags.Errs())
	}
	d := &Description{Seed: 1, Nodes: f.Nodes, Services: f.Services, Builds: f.Builds, Faults: f.Faults}
	if f.Seed != nil {
		d.Seed = *f.Seed
	}
	if found := d.check(); len(found) > 0 {
		return nil, mistakes(found)
	}
	return d, nil
}

// mistakes is one error of all that were found, or of the first ones.
func mistakes(found []error) error {
	told := found[:min(len(found), mostMistakes)]
	if more := len(found) - len(told); more > 0 {
		told = append(slices.Clone(told), fmt.Errorf("and %d more", more))
	}
	return api.Errorf(api.CodeInvalid, "read the fleet's description: %v", errors.Join(told...))
}

// check finds what a description can't mean.
func (d *Description) check() (found []error) {
	names, kinds := map[string]bool{}, map[string]bool{}
	for _, s := range d.Services {
		if names[s.Name] {
			found = append(found, fmt.Errorf("%s: service %s is described twice", s.Range, s.Name))
		}
		names[s.Name] = true
	}
	if len(d.Nodes) == 0 {
		found = append(found, errors.New("want at least one nodes block"))
	}
	for _, n := range d.Nodes {
		if kinds[n.Kind] {
			found = append(found, fmt.Errorf("%s: nodes %s are described twice", n.Range, n.Kind))
		}
		kinds[n.Kind] = true
		for _, err := range n.check() {
			found = append(found, fmt.Errorf("%s: nodes %s: %w", n.Range, n.Kind, err))
		}
	}
	found = append(found, d.checkFaults(names)...)
	for i := range d.Services {
		s := &d.Services[i]
		for _, err := range s.check(names) {
			found = append(found, fmt.Errorf("%s: service %s: %w", s.Range, s.Name, err))
		}
	}
	for i := range d.Builds {
		for _, err := range d.Builds[i].check() {
			found = append(found, fmt.Errorf("%s: build %s: %w", d.Builds[i].Range, d.Builds[i].Name, err))
		}
	}
	// Each count is within bounds by now or was found, so that the sums hold.
	nodes, instances := 0, 0
	for _, n := range d.Nodes {
		nodes += min(max(n.Count, 0), mostNodes)
	}
	for _, s := range d.Services {
		instances += min(max(s.Count, 0), nomad.JobMaxCount)
	}
	if nodes > mostNodes || instances > mostInstances {
		found = append(found, fmt.Errorf("want at most %d nodes and %d instances in all, have %d and %d", mostNodes, mostInstances, nodes, instances))
	}
	return found
}

func (n Nodes) check() (found []error) {
	if n.Count < 1 || n.Count > mostNodes {
		found = append(found, fmt.Errorf("count: want 1 to %d, have %d", mostNodes, n.Count))
	}
	for _, f := range []struct {
		field string
		value int
	}{{"cpu", n.CPU}, {"memory_mb", n.MemoryMB}, {"racks", n.Racks}} {
		if f.value < 0 {
			found = append(found, fmt.Errorf("%s: want 0 or more, have %d", f.field, f.value))
		}
	}
	return append(found, name(n.Kind)...)
}

// name finds what Consul would not take as a service's name.
func name(text string) []error {
	if spelled.MatchString(text) {
		return nil
	}
	return []error{errors.New("want a name of at most 63 letters, digits and dashes, with no dash at either end")}
}

var spelled = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

// figure is a number of a description by its field.
type figure struct {
	field string
	value float64
}

// outside finds the figures that are not between 0 and a maximum.
func outside(most float64, figures ...figure) (found []error) {
	for _, f := range figures {
		if !(f.value >= 0 && f.value <= most) {
			found = append(found, fmt.Errorf("%s: want 0 to %g, have %g", f.field, most, f.value))
		}
	}
	return found
}

func (d *Description) checkFaults(services map[string]bool) (found []error) {
	nodes := map[string]bool{}
	for _, n := range d.Nodes {
		for _, name := range n.names() {
			nodes[name] = true
		}
	}
	for i := range d.Faults {
		for _, err := range d.Faults[i].check(services, nodes) {
			found = append(found, fmt.Errorf("%s: fault %s: %w", d.Faults[i].Range, d.Faults[i].Kind, err))
		}
	}
	return found
}

func (s *Service) check(names map[string]bool) (found []error) {
	found = name(s.Name)
	if s.Count < 0 || s.Count > nomad.JobMaxCount {
		found = append(found, fmt.Errorf("count: want 0 to %d, have %d", nomad.JobMaxCount, s.Count))
	}
	if _, ok := weeks()[s.Week]; !ok {
		found = append(found, fmt.Errorf("week: want steady, office or evenings, have %q", s.Week))
	}
	found = append(found, outside(mostFigure, figure{"rate", s.Rate})...)
	found = append(found, outside(1, figure{"errors", s.Errors})...)
	for _, d := range []struct {
		field, text string
		to          *time.Duration
	}{{"latency", s.Latency, &s.latency}, {"cpu", s.CPU, &s.cpu}, {"boot", s.Boot, &s.boot}} {
		if err := span(d.text, d.to); err != nil {
			found = append(found, fmt.Errorf("%s: %w", d.field, err))
		}
	}
	for _, to := range slices.Sorted(maps.Keys(s.Calls)) {
		if !names[to] || to == s.Name {
			found = append(found, fmt.Errorf("calls: there is no other service %q", to))
		}
		found = append(found, outside(mostFigure, figure{"calls: " + to, s.Calls[to]})...)
	}
	return found
}

func (b *Build) check() (found []error) {
	if b.Image == "" && len(b.Env) == 0 {
		found = append(found, errors.New("want an image or env, by which it is known"))
	}
	if _, err := path.Match(b.Image, ""); err != nil {
		found = append(found, fmt.Errorf("image: %w", err))
	}
	found = append(found, outside(1, figure{"errors", b.Errors})...)
	found = append(found, outside(mostFigure, figure{"latency", b.Latency}, figure{"cpu", b.CPU}, figure{"memory", b.Memory},
		figure{"disk", b.Disk}, figure{"above_rate", b.AboveRate})...)
	if err := span(b.CrashAfter, &b.crashAfter); err != nil {
		found = append(found, fmt.Errorf("crash_after: %w", err))
	}
	if err := span(b.Boot, &b.boot); err != nil {
		found = append(found, fmt.Errorf("boot: %w", err))
	}
	return found
}

// span reads a duration that may be left out.
func span(text string, to *time.Duration) (err error) {
	if text == "" {
		return nil
	}
	if *to, err = time.ParseDuration(text); err != nil || *to <= 0 {
		return fmt.Errorf("want a duration above 0 such as 10ms, have %q", text)
	}
	return nil
}

// weeks are the courses that a service's requests can take.
func weeks() map[string]load.Week {
	return map[string]load.Week{"": load.Steady(), "steady": load.Steady(), "office": load.Office(), "evenings": load.Evenings()}
}
