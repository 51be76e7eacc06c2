package evidence

import (
	"fmt"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/twin"
)

// diskKPIs are the KPIs that QEMU counts. Every simulation reports them. The judge
// uses them only where the policy has margins for them.
func diskKPIs() []judge.KPI {
	return []judge.KPI{
		{Name: api.KPIIOOperations, Kind: api.KPIGauge, Unit: judge.UnitRate},
		{Name: api.KPIIOBytes, Kind: api.KPIGauge, Unit: judge.UnitByteRate},
	}
}

func diskKPI(name string) (judge.KPI, bool) {
	for _, k := range diskKPIs() {
		if k.Name == name {
			return k, true
		}
	}
	return judge.KPI{}, false
}

// known returns the KPI of a name when a sandbox can measure it.
func known(name string) (judge.KPI, bool) {
	if k, ok := diskKPI(name); ok {
		return k, true
	}
	switch name {
	case api.KPIRestarts, api.KPIOOMKills, api.KPIRequests:
		return judge.KPI{}, false
	}
	return judge.Known(name)
}

// Meter turns a machine's counters into the work between two looks.
type Meter struct {
	base, newest twin.Blocks
	why          string // the last reading was none
}

// Saw takes a reading of the counters. Counters that fell belong to a machine that
// has restarted; its earlier work is not known.
func (m *Meter) Saw(b twin.Blocks, why string) {
	m.why = why
	switch {
	case b.At <= m.newest.At: // none, or the same once more
	case m.newest.At == 0 || b.Operations < m.newest.Operations || b.Bytes < m.newest.Bytes:
		m.base, m.newest = b, b
	default:
		m.newest = b
	}
}

// Work is what a machine did to its disk in some seconds. When seconds is zero,
// nothing is known.
type Work struct {
	seconds    float64
	operations float64
	bytes      float64
	why        string // nothing is known
}

// Take returns the work since its last call.
func (m *Meter) Take() Work {
	w := Work{
		seconds:    (m.newest.At - m.base.At).Seconds(),
		operations: float64(m.newest.Operations - m.base.Operations),
		bytes:      float64(m.newest.Bytes - m.base.Bytes),
	}
	m.base = m.newest
	if w.seconds == 0 {
		w.why = m.why
	}
	return w
}

// rate is the value of a disk KPI per second.
func (w Work) rate(kpi string) judge.Measure {
	if w.seconds <= 0 {
		return judge.Measure{}
	}
	if kpi == api.KPIIOBytes {
		return judge.Gauge(w.bytes / w.seconds)
	}
	return judge.Gauge(w.operations / w.seconds)
}

func (w Work) plus(o Work) Work {
	sum := Work{w.seconds + o.seconds, w.operations + o.operations, w.bytes + o.bytes, w.why}
	if o.why != "" {
		sum.why = o.why
	}
	return sum
}

// disks is the work of both machines in the whole simulation.
type disks struct {
	control, treatment Work
	refused            string // why QEMU has no monitor
}

func (d *disks) add(control, treatment Work) {
	d.control, d.treatment = d.control.plus(control), d.treatment.plus(treatment)
}

// missing says why the disk KPIs were not measured, or "" when they were.
func (d *disks) missing() string {
	if d.refused != "" {
		return d.refused
	}
	for _, w := range []struct {
		of string
		Work
	}{{"patched twin", d.treatment}, {"control", d.control}} {
		switch {
		case w.seconds > 0:
		case w.why != "":
			return fmt.Sprintf("%s: %s", w.of, w.why)
		default:
			return fmt.Sprintf("%s: QEMU has not answered twice", w.of)
		}
	}
	return ""
}

// effect reports a disk KPI that the policy does not judge by: the mean of each
// twin.
func (d *disks) effect(k judge.KPI) api.KPIEffect {
	e := api.KPIEffect{KPI: k.Name, Kind: api.VerdictContinue, Unit: k.Unit, Unjudged: true}
	if why := d.missing(); why != "" {
		e.Missing, e.Reason = true, fmt.Sprintf("%s is missing (%s)", k.Name, why)
		return e
	}
	e.Stable, e.Canary = d.control.rate(k.Name).Value, d.treatment.rate(k.Name).Value
	e.Exposure = d.treatment.seconds
	if e.Stable > 0 {
		e.Ratio = e.Canary / e.Stable
	}
	e.Reason = fmt.Sprintf("%s is %s against %s; the policy does not judge by it",
		k.Name, judge.Format(e.Canary, k.Unit), judge.Format(e.Stable, k.Unit))
	return e
}
