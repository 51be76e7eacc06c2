package evidence

import (
	"cmp"
	"fmt"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/twin"
)

// A simulation may reject a patch that changes nothing once in 1/false_alarm runs. Of
// that, three parts in ten each are for the looks of the judge, for the pairs of boots,
// and for boots that differ more than the judge leaves to them. The last part is for the
// reservation of memory and for the revert. Each KPI has its share of the first three.
const (
	partOfEach        = 0.3
	partOfReservation = 0.05
	// PartOfRevert is the part of false_alarm that the rehearsal of a revert has.
	PartOfRevert = 0.05
)

// Of the miss, the pairs of boots have most, because they acquit sooner than the looks.
// The looks and the boots that differ more than the judge leaves to them have the rest.
const (
	missOfPairs = 2.0 / 3
	missOfLooks = 1.0 / 6
)

const (
	// durationDefault is long enough for some hundred requests.
	durationDefault = 30 * time.Second
	// pairLeast is how long a pair is measured at least, where the whole simulation takes
	// as long.
	pairLeast = 5 * time.Second
	// AlmostAll is the share of a workload's requests that must be answered
	// before a simulation ends. The last requests are still under way when its
	// time has passed.
	AlmostAll = 0.9
	// resolving is the product of requests and of the difference of two shares from which
	// on requests show that difference at a miss of a twentieth: about half of it without
	// an event, and all of it with a few.
	resolving = 12
	// resolutionMost is the largest share of failed requests that a pass may leave unseen.
	resolutionMost = 0.05
	// pairsFrom is how long a simulation is from which on it has two pairs of boots,
	// where the policy does not say how many. The second pair costs a boot and a warm-up
	// more, and more than halves what the difference of two boots hides.
	pairsFrom = time.Minute
)

// pairsOf is how many pairs of boots a simulation has.
func pairsOf(spec api.SimulateSpec) int {
	switch {
	case spec.Pairs > 0:
		return spec.Pairs
	case spec.Duration.D() >= pairsFrom:
		return 2
	}
	return 1
}

// Panel gathers the evidence about one patch from all pairs of boots, about those of
// the policy's KPIs that a sandbox can measure. It starts no request and reads no clock.
type Panel struct {
	policy     api.JudgeSpec // its KPIs are those of the panel
	spec       api.JudgeSpec // for the bank
	kpis       []judge.KPI
	replicates []*replicate // by KPI; nil where events of all pairs are counted together
	left       []string     // KPIs of the policy that a sandbox can't measure
	pairs      int          // planned
	resolution float64      // the share of failed requests that the planned ones show
	duration   time.Duration
	bank       *judge.Bank
	began      time.Time

	// Of all pairs.
	requests, failures int        // of the control
	sent               int        // to the treatment
	figures            [][]figure // by KPI and pair
	median             []figure   // of the latencies, by pair
	boots, growth      []figure   // see kpiBootTime and kpiMemoryGrowth
	disks              disks
	series             series

	now pairMeasures
}

// pairMeasures is what both twins of the pair that runs now have shown.
type pairMeasures struct {
	control, treatment []float64      // latencies
	gauges             [][2][]float64 // by KPI: the control's looks and the treatment's
	memory             [2][]memoryUse
}

// Interval is what one twin showed between two looks.
type Interval struct {
	Latencies []float64 // seconds, of each request that was answered or has failed
	Requests  int
	Errors    int
	Usage     []twin.Usage
	Disk      Work
}

// memoryUse is the memory of a machine at one time.
type memoryUse struct {
	at    time.Time
	bytes float64
}

// New chooses those of the policy's KPIs that a sandbox can measure. It returns an error
// if none is left. Rate is that of the requests to each twin, per second. Former is what
// boots of the target have differed by in former runs.
func New(policy api.JudgeSpec, simulate api.SimulateSpec, rate float64, former []api.BootSpread) (*Panel, error) {
	p := &Panel{policy: policy, pairs: pairsOf(simulate)}
	whole := cmp.Or(simulate.Duration.D(), durationDefault)
	p.duration = max(whole/time.Duration(p.pairs), min(pairLeast, whole))
	p.policy.KPIs = nil
	for _, k := range policy.KPIs {
		kpi, ok := known(k.KPI)
		if !ok {
			p.left = append(p.left, k.KPI)
			continue
		}
		p.kpis = append(p.kpis, kpi)
		p.policy.KPIs = append(p.policy.KPIs, k)
	}
	if len(p.kpis) == 0 {
		return nil, api.Errorf(api.CodeInvalid, "the policy judges by no KPI that a sandbox can measure (error_rate, latency_pN, cpu, memory, io_operations, io_bytes)")
	}
	if err := judge.Check(p.policy); err != nil {
		return nil, err
	}
	p.spec = p.policy
	p.spec.Method = api.JudgeEvidence
	p.spec.MinDuration, p.spec.MaxDuration = 0, 0
	p.spec.FalseAlarm, p.spec.Miss = partOfEach*p.policy.FalseAlarm, missOfLooks*p.policy.Miss
	weights := judge.Weights(p.spec.KPIs)
	p.resolution = resolving / (AlmostAll * rate * p.duration.Seconds() * float64(p.pairs))
	for i, k := range p.spec.KPIs {
		if p.kpis[i].Kind == api.KPICount {
			p.kpis[i].Resolution = min(p.resolution, resolutionMost)
		}
		p.replicates = append(p.replicates, newReplicate(p.kpis[i], k, p.pairs, rate*p.duration.Seconds(), former))
		p.kpis[i].Unlike = unlike(newSpreads(p.kpis[i], former).room(), p.pairs, weights[i]*p.spec.FalseAlarm, p.spec.Miss)
	}
	p.figures = make([][]figure, len(p.kpis))
	p.now.gauges = make([][2][]float64, len(p.kpis))
	return p, nil
}

// Pairs is how many pairs of boots are planned.
func (p *Panel) Pairs() int { return p.pairs }

// Duration is how long each pair is planned to be measured.
func (p *Panel) Duration() time.Duration { return p.duration }

// Begun reports whether a pair has begun to be measured.
func (p *Panel) Begun() bool { return p.bank != nil }

// Control is how many requests the controls have answered well, and all that they got.
func (p *Panel) Control() (good, all int) { return p.requests - p.failures, p.requests }

// RefuseDisks says why QEMU has no monitor. It is empty where QEMU has one.
func (p *Panel) RefuseDisks(why string) { p.disks.refused = why }

// Usual gives the judge the control's latencies in the first warm-up.
func (p *Panel) Usual(latencies []float64) {
	m := judge.Samples(latencies)
	if !m.Present || p.bank != nil {
		return
	}
	for i := range p.kpis {
		if p.kpis[i].Kind == api.KPILatency {
			p.kpis[i].Reference = judge.Reference{Upper: m.Upper, Counts: m.Counts}
		}
	}
}

// Begin starts the judgement with the first pair, and a pair of boots with each.
func (p *Panel) Begin(now time.Time) error {
	p.now = pairMeasures{gauges: make([][2][]float64, len(p.kpis))}
	p.series.begin()
	if p.bank != nil {
		return nil
	}
	bank, err := judge.New(p.spec, p.kpis, judge.Stage{Started: now})
	if err != nil {
		return fmt.Errorf("judge the twins: %w", err)
	}
	p.bank, p.began = bank, now
	return nil
}

// Look takes one interval of both twins.
func (p *Panel) Look(now time.Time, took time.Duration, control, treatment Interval) {
	look := judge.Look{At: now, Seconds: took.Seconds(), KPIs: make(map[string]judge.Pair)}
	for i, k := range p.kpis {
		pair := judge.Pair{Canary: measureOf(k, treatment), Stable: measureOf(k, control)}
		if !pair.Canary.Present || !pair.Stable.Present {
			continue
		}
		look.KPIs[k.Name] = pair
		if k.Kind == api.KPIGauge {
			g := &p.now.gauges[i]
			g[0], g[1] = append(g[0], pair.Stable.Value), append(g[1], pair.Canary.Value)
		}
	}
	p.bank.Observe(look)
	p.now.control = append(p.now.control, control.Latencies...)
	p.now.treatment = append(p.now.treatment, treatment.Latencies...)
	p.requests, p.failures = p.requests+control.Requests, p.failures+control.Errors
	p.sent += treatment.Requests
	for arm, t := range []Interval{control, treatment} {
		for _, u := range t.Usage {
			p.now.memory[arm] = append(p.now.memory[arm], memoryUse{u.At, u.Memory})
		}
	}
	p.disks.add(control.Disk, treatment.Disk)
	p.series.add(p.kpis, took, control, treatment)
}

// End takes the pair as a whole.
func (p *Panel) End() {
	if f, ok := latencyFigure(p.now.control, p.now.treatment, 0.5); ok {
		p.median = append(p.median, f)
	}
	control, known := slope(p.now.memory[0])
	if treatment, ok := slope(p.now.memory[1]); known && ok {
		p.growth = append(p.growth, figure{control: control, treatment: treatment})
	}
	for i, k := range p.kpis {
		r := p.replicates[i]
		if r == nil {
			continue
		}
		f, ok := gaugeFigure(p.now.gauges[i][0], p.now.gauges[i][1])
		if k.Kind == api.KPILatency {
			f, ok = latencyFigure(p.now.control, p.now.treatment, r.quantile)
		}
		if ok {
			r.observe(f)
			p.figures[i] = append(p.figures[i], f)
		}
	}
}

// measureOf returns the measure of a KPI in one interval of one twin. It is absent
// when the interval has no measurement of the KPI.
func measureOf(k judge.KPI, t Interval) judge.Measure {
	mean := func(value func(twin.Usage) float64) judge.Measure {
		if len(t.Usage) == 0 {
			return judge.Measure{}
		}
		sum := 0.0
		for _, u := range t.Usage {
			sum += value(u)
		}
		return judge.Gauge(sum / float64(len(t.Usage)))
	}
	switch {
	case k.Kind == api.KPILatency:
		if t.Requests == 0 {
			return judge.Measure{}
		}
		return judge.Samples(t.Latencies)
	case k.Name == api.KPIErrorRate:
		if t.Requests == 0 {
			return judge.Measure{}
		}
		return judge.Count(float64(t.Errors), float64(t.Requests))
	case k.Name == api.KPICPU:
		return mean(func(u twin.Usage) float64 { return u.CPUCores })
	case k.Name == api.KPIMemory:
		return mean(func(u twin.Usage) float64 { return u.Memory })
	case k.Name == api.KPIIOOperations || k.Name == api.KPIIOBytes:
		return t.Disk.rate(k.Name)
	}
	return judge.Measure{}
}
