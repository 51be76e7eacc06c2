package canary

import (
	"fmt"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/kpi"
)

// Stage is a stage before anybody reads its instances.
type Stage struct {
	Target api.TargetRef
	Spec   api.JudgeSpec
	Canary int // patched instances
	Stable int // former instances
	At     time.Time
}

// read is how many instances of each arm a look reads.
func (s Stage) read() (canary, stable int) {
	return min(s.Canary, JudgedInstances), min(s.Stable, JudgedInstances)
}

// traffic is the traffic of a stage in which one instance has so many requests a
// second.
func traffic(rate float64, canary, stable int) judge.Traffic {
	return judge.Traffic{Canary: rate * float64(canary), Stable: rate * float64(stable)}
}

// Judged describes the KPIs that a stage can be judged by, and returns the policy's
// specification without the others. The text names the others, with the reason for each.
// References are what the stable arm showed in the stages before, by KPI.
func Judged(known kpi.Catalogue, history History, s Stage, references map[string]judge.Reference) ([]judge.KPI, api.JudgeSpec, string) {
	spec := s.Spec
	spec.KPIs = nil
	var kpis []judge.KPI
	var without []string
	for _, want := range s.Spec.KPIs {
		k, ok := known.Known(want)
		if !ok {
			spec.KPIs = append(spec.KPIs, want) // for judge.New to refuse
			continue
		}
		if source := known.Lacks(want.KPI); source != "" {
			without = append(without, fmt.Sprintf("%s (%s is not configured)", want.KPI, source))
			continue
		}
		if why := history.Distrust(s.Target, k); why != "" {
			without = append(without, fmt.Sprintf("%s (%s)", want.KPI, why))
			continue
		}
		k = s.describe(history, k)
		k.Scrape = known.Scrape().Seconds()
		if ref, ok := references[want.KPI]; ok {
			k.Reference = ref
		}
		kpis, spec.KPIs = append(kpis, k), append(spec.KPIs, want)
	}
	return kpis, spec, strings.Join(without, ", ")
}

// describe adds the learned figures to a KPI, for the arms of this stage.
func (s Stage) describe(history History, k judge.KPI) judge.KPI {
	k = history.Describe(s.Target, k, s.Spec.Interval.D(), s.At)
	// With a stable arm, the reference of a latency only says where to look. The last
	// minute is then worth more than all time, in which there may have been worse.
	if s.Stable > 0 {
		if recent := history.Recent(s.Target, k, s.At); judge.Placeable(k, recent.Counts) {
			k.Reference = recent
		}
	}
	canary, stable := s.read()
	k.Noise.Canary /= float64(max(canary, 1))
	k.Noise.Stable /= float64(max(stable, 1))
	return k
}
