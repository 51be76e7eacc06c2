package config

import (
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/appliance"
)

type applianceBlock struct {
	Kernel  *applianceFile `hcl:"kernel,block"`
	Initrd  *applianceFile `hcl:"initrd,block"`
	Reader  *applianceFile `hcl:"reader,block"`
	Memory  *hcl.Attribute `hcl:"memory,optional"`
	Timeout *hcl.Attribute `hcl:"timeout,optional"`
	Range   hcl.Range      `hcl:",def_range"`
}

type applianceFile struct {
	Source   *hcl.Attribute `hcl:"source,optional"`
	Checksum *hcl.Attribute `hcl:"checksum,optional"`
	Range    hcl.Range      `hcl:",def_range"`
}

// appliance reads the machine in which scripts run.
func (l *loader) appliance(b *applianceBlock) {
	s := &l.cfg.Simulator
	if s.Appliance == nil {
		s.Appliance = &appliance.Appliance{Memory: appliance.DefaultMemory, Within: appliance.DefaultTimeout}
	}
	for _, name := range []string{"kernel", "initrd"} { // what is missing is missing in the block
		if _, ok := l.ranges[l.path(name)]; !ok {
			l.ranges[l.path(name)] = b.Range
		}
	}
	block(l, "kernel", b.Kernel, l.nodeFile(&s.Appliance.Kernel))
	block(l, "initrd", b.Initrd, l.nodeFile(&s.Appliance.Initrd))
	block(l, "reader", b.Reader, l.nodeFile(&s.Appliance.Reader))
	l.megabytes(b.Memory, &s.Appliance.Memory)
	l.duration(b.Timeout, &s.Appliance.Within)
}

// nodeFile reads where the nodes find a file, and its checksum.
func (l *loader) nodeFile(to *appliance.File) func(*applianceFile) {
	return func(b *applianceFile) {
		l.begins(b.Range)
		l.str(b.Source, &to.Source)
		l.str(b.Checksum, &to.Checksum)
	}
}

// megabytes reads an amount of memory, of 2^20 bytes.
func (l *loader) megabytes(a *hcl.Attribute, to *int) {
	v, ok := l.value(a, cty.String, `an amount of memory such as "512MB"`)
	if !ok {
		return
	}
	digits, unit := strings.CutSuffix(v.AsString(), "MB")
	factor := 1
	if !unit {
		digits, unit = strings.CutSuffix(v.AsString(), "GB")
		factor = 1024
	}
	n, err := strconv.Atoi(strings.TrimSpace(digits))
	if err != nil || !unit || n < 0 || n > 1<<20 {
		l.problem(l.path(a.Name), "want an amount of memory such as \"512MB\" or \"2GB\", have %q", v.AsString())
		return
	}
	*to = n * factor
}

func (l *loader) checkAppliance() {
	a := l.cfg.Simulator.Appliance
	if a == nil {
		return
	}
	for _, part := range []struct {
		path string
		err  error
	}{
		{"kernel", a.Kernel.Check()}, {"initrd", a.Initrd.Check()},
	} {
		if part.err != nil {
			l.problem("simulator.appliance."+part.path, "%s", api.AsError(part.err).Message)
		}
	}
	if a.Reader != (appliance.File{}) {
		if err := a.Reader.Check(); err != nil {
			l.problem("simulator.appliance.reader", "%s", api.AsError(err).Message)
		}
	}
	if a.Memory < appliance.LeastMemory {
		l.problem("simulator.appliance.memory", "want at least %dMB, have %dMB", appliance.LeastMemory, a.Memory)
	}
	if most := l.cfg.Simulator.Timeout; a.Within < shortestInterval || a.Within > most {
		l.problem("simulator.appliance.timeout", "want %s to %s (simulator.timeout), have %s", shortestInterval, most, a.Within)
	}
}
