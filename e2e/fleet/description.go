package fleet

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/fleet/load"
)

// Description is a fleet as a person writes it down: nodes, services that call
// each other, and what the builds that patches bring do to them.
type Description struct {
	Seed     uint64
	Nodes    []Nodes
	Services []Service
	Builds   []Build
}

// Nodes are clients of one kind.
type Nodes struct {
	Kind     string `hcl:"kind,label"` // prefix of their names, and their node class
	Count    int    `hcl:"count"`
	CPU      int    `hcl:"cpu,optional"`       // MHz; 16,000 when 0
	MemoryMB int    `hcl:"memory_mb,optional"` // 32,768 when 0
	Racks    int    `hcl:"racks,optional"`     // they stand in so many racks in turn; 1 when 0
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
		return nil, api.Errorf(api.CodeInvalid, "read the fleet's description: %v", errors.Join(diags.Errs()...))
	}
	d := &Description{Seed: 1, Nodes: f.Nodes, Services: f.Services, Builds: f.Builds}
	if f.Seed != nil {
		d.Seed = *f.Seed
	}
	if err := d.check(); err != nil {
		return nil, api.Errorf(api.CodeInvalid, "read the fleet's description: %v", err)
	}
	return d, nil
}

// check finds what a description can't mean.
func (d *Description) check() error {
	var found []error
	names := map[string]bool{}
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
		if n.Count < 1 {
			found = append(found, fmt.Errorf("nodes %s: want a count of at least 1, have %d", n.Kind, n.Count))
		}
	}
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
	return errors.Join(found...)
}

func (s *Service) check(names map[string]bool) (found []error) {
	if s.Count < 0 {
		found = append(found, fmt.Errorf("count: want 0 or more, have %d", s.Count))
	}
	if _, ok := weeks()[s.Week]; !ok {
		found = append(found, fmt.Errorf("week: want steady, office or evenings, have %q", s.Week))
	}
	if s.Rate < 0 || s.Errors < 0 || s.Errors > 1 || math.IsNaN(s.Rate) {
		found = append(found, errors.New("want a rate of at least 0 and errors between 0 and 1"))
	}
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
	if b.Errors < 0 || b.Errors > 1 {
		found = append(found, fmt.Errorf("errors: want a share between 0 and 1, have %g", b.Errors))
	}
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
