package evidence

import (
	"fmt"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

// KPIs that only a sandbox measures. No policy judges by them.
const (
	kpiBootTime     = "boot_time"     // seconds from the machine's start to its first good answer
	kpiMemoryGrowth = "memory_growth" // bytes per second over a pair
)

// unjudged are the effects that only a sandbox measures: the means over the pairs.
func (p *Panel) unjudged() []api.KPIEffect {
	var out []api.KPIEffect
	for _, k := range []struct {
		name, unit string
		list       []figure
	}{{kpiBootTime, judge.UnitSeconds, p.boots}, {kpiMemoryGrowth, judge.UnitByteRate, p.growth}} {
		if len(k.list) == 0 {
			continue
		}
		e := api.KPIEffect{KPI: k.name, Kind: api.VerdictContinue, Unit: k.unit, Unjudged: true, Exposure: float64(len(k.list))}
		for _, f := range k.list {
			e.Stable += f.control / e.Exposure
			e.Canary += f.treatment / e.Exposure
		}
		if e.Stable > 0 {
			e.Ratio = e.Canary / e.Stable
		}
		e.Reason = fmt.Sprintf("%s is %s against %s over %s; the policy does not judge by it",
			k.name, judge.Format(e.Canary, k.unit), judge.Format(e.Stable, k.unit), CountOf(len(k.list), "pair"))
		out = append(out, e)
	}
	return out
}

// Booted takes how long both twins of a pair took to their first good answer.
func (p *Panel) Booted(control, treatment time.Duration) {
	p.boots = append(p.boots, figure{control: control.Seconds(), treatment: treatment.Seconds()})
}

// slope is the growth of a machine's memory, in bytes per second, by least squares.
func slope(list []memoryUse) (float64, bool) {
	if len(list) < gaugeLeast {
		return 0, false
	}
	var x, y float64
	for _, m := range list {
		x += m.at.Sub(list[0].at).Seconds()
		y += m.bytes
	}
	n := float64(len(list))
	x, y = x/n, y/n
	var xx, xy float64
	for _, m := range list {
		d := m.at.Sub(list[0].at).Seconds() - x
		xx, xy = xx+d*d, xy+d*(m.bytes-y)
	}
	if xx == 0 {
		return 0, false
	}
	return xy / xx, true
}

// Outgrown says that the patched twin of this pair uses more memory than its job
// reserves, while the control stays below. Limits are in bytes; zero is none. What two
// boots of one image may differ by is not the patch's.
func (p *Panel) Outgrown(limits ...float64) string {
	control, treatment := bytesOf(p.now.memory[0]), bytesOf(p.now.memory[1])
	if len(control) < gaugeLeast || len(treatment) < gaugeLeast {
		return ""
	}
	spread := bootSpread(judge.KPI{Name: api.KPIMemory, Kind: api.KPIGauge})
	chance := partOfReservation * p.policy.FalseAlarm / float64(p.pairs)
	beyond := unlike(spread, 1, chance, chance).Abort * slices.Max(control)
	for _, limit := range limits {
		if used := mean(treatment); limit > 0 && slices.Max(control) <= limit && used > max(limit, beyond) {
			return fmt.Sprintf("the patched twin uses %s of memory where its job reserves %s, and the control uses %s",
				judge.Format(used, judge.UnitBytes), judge.Format(limit, judge.UnitBytes), judge.Format(mean(control), judge.UnitBytes))
		}
	}
	return ""
}

func bytesOf(list []memoryUse) []float64 {
	out := make([]float64, len(list))
	for i, m := range list {
		out[i] = m.bytes
	}
	return out
}

// seriesMost is how many points of a KPI a simulation's record keeps.
const seriesMost = 64

// series is what both arms of every pair showed at each look.
type series struct {
	pair  int
	looks []looked
}

// looked is one look: the values of control and treatment by KPI, negative where one is
// missing.
type looked struct {
	pair   int
	took   time.Duration
	values map[string][2]float64
	units  map[string]string
}

func (s *series) begin() { s.pair++ }

func (s *series) add(kpis []judge.KPI, took time.Duration, control, treatment Interval) {
	l := looked{pair: s.pair, took: took, values: map[string][2]float64{}, units: map[string]string{}}
	for _, k := range kpis {
		l.values[k.Name] = [2]float64{pointOf(k, control), pointOf(k, treatment)}
		l.units[k.Name] = k.Unit
	}
	s.looks = append(s.looks, l)
}

// pointOf is one point of a series.
func pointOf(k judge.KPI, t Interval) float64 {
	m := measureOf(k, t)
	switch {
	case !m.Present:
		return -1
	case k.Kind == api.KPILatency:
		return judge.Quantile(m.Upper, m.Counts, k.Quantile)
	case k.Kind == api.KPICount:
		return m.Events / m.Exposure
	}
	return m.Value
}

// points thins the looks to what a record keeps.
func (s *series) points() []api.Series {
	if len(s.looks) == 0 {
		return nil
	}
	every := (len(s.looks) + seriesMost - 1) / seriesMost
	var out []api.Series
	names := make([]string, 0, len(s.looks[0].values))
	for name := range s.looks[0].values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for pair := 1; pair <= s.pair; pair++ {
			line := api.Series{KPI: name, Unit: s.looks[0].units[name], Pair: pair}
			n := 0
			for _, l := range s.looks {
				if l.pair != pair {
					continue
				}
				if n++; (n-1)%every == 0 {
					v := l.values[name]
					line.Every = api.Duration(l.took * time.Duration(every))
					line.Control, line.Treatment = append(line.Control, v[0]), append(line.Treatment, v[1])
				}
			}
			if len(line.Control) > 0 {
				out = append(out, line)
			}
		}
	}
	return out
}
