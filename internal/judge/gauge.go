package judge

import (
	"cmp"
	"math"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/stats"
)

// freshLooks is how many looks at a stable arm are a better reference than
// what was known before: enough for a deviation, and of the same hour.
const freshLooks = 5

// laterFrom is after how many readings the second evidence for a promotion begins. An
// instance that has just begun works more than it ever will again. Of virtual machines
// this was seen for some ten seconds, at a reading every second or two.
const laterFrom = 8

// laterShare is the second evidence's share of the whole. At an eighth, a canary that
// begins as it goes on waits some two seconds in forty longer, and one that began busy
// is promoted after thirty readings.
const laterShare = 1.0 / 8

// DefaultScrape is how far scrapes are apart where nobody says so. For that long, a
// reading that is the same in both arms to the last digit is taken for the same sample
// read again. After that it counts, so that a constant is judged too.
const DefaultScrape = 15 * time.Second

// gaugeModel judges means by paired differences: each interval gives one
// difference between the canary's mean and the margin around the stable one.
type gaugeModel struct {
	margins
	Alone   bool         `json:"alone,omitempty"`
	N       float64      `json:"n"`
	Canary  float64      `json:"canary"`           // mean
	Last    [2]float64   `json:"last"`             // canary and stable, of the last reading that counted
	Age     float64      `json:"age"`              // seconds since then
	Stable  Reference    `json:"stable"`           // seen by this bank
	Carried Reference    `json:"carried,omitzero"` // given to it
	Worth   float64      `json:"worth,omitempty"`  // how many independent values one of its values is worth
	Worse   stats.Paired `json:"worse"`
	Better  stats.Paired `json:"better"`
	// Later is Better without the first readings; nil until they are over. A weighted
	// mean of two e-processes is one, whenever the second begins, so both share the
	// evidence for a promotion. A first reading far off costs Better minutes, and Later
	// does not see it. Later itself costs a good canary next to nothing.
	Later *stats.Paired `json:"later,omitempty"`
}

func newGauge(kpi KPI, spec api.KPISpec, alone bool) *gaugeModel {
	m := &gaugeModel{
		margins: marginsOf(kpi, spec),
		Alone:   alone,
		Carried: Reference{N: kpi.Reference.N, Mean: kpi.Reference.Mean, M2: kpi.Reference.M2},
		Worth:   kpi.worth(),
		Worse:   stats.NewPaired(kpi.history(spec.AbortAbove, alone)),
		Better:  stats.NewPaired(kpi.history(spec.PromoteBelow, alone)),
	}
	// A canary that has just begun moves more than instances at rest. That must
	// turn nothing back; a promotion, which may be wrong more often, does not wait
	// for as many looks as it takes to know its noise from nothing.
	m.Worse.Doubt = true
	return m
}

// worth is how many independent values one value of a gauge is worth, at most one: the
// next value resembles it. While nobody knows how much, it is a tenth.
func (k KPI) worth() float64 {
	if k.Level == nil {
		return 0.1
	}
	phi := min(k.Level.Phi+k.Level.Error, 0.98)
	return (1 - phi) / (1 + phi)
}

// history is what is known of the differences canary - margin * stable; of a
// canary without a stable arm, of its values.
func (k KPI) history(margin float64, alone bool) stats.History {
	switch {
	case alone && k.Level != nil:
		return *k.Level
	case alone || !k.PhiKnown:
		return stats.History{Unknown: true}
	}
	return stats.History{Phi: k.Phi, Error: k.PhiError, Variance: k.Noise.Canary + margin*margin*k.Noise.Stable, N: k.Noise.N}
}

func (m *gaugeModel) observe(kpi KPI, pair Pair, seconds float64) {
	canary, low, high := pair.Canary.Value, pair.Stable.Value, pair.Stable.Value
	m.Age += max(seconds, 0)
	reading := [2]float64{canary, high}
	if m.Alone {
		reading[1] = 0
	}
	if m.N > 0 && reading == m.Last && m.Age < cmp.Or(kpi.Scrape, DefaultScrape.Seconds()) {
		return
	}
	m.Last, m.Age = reading, 0
	m.N++
	m.Canary += (canary - m.Canary) / m.N
	if m.Alone {
		if m.Carried.N < 2 {
			return
		}
		slack := m.slack()
		low, high = max(m.Carried.Mean-slack, 0), m.Carried.Mean+slack
	} else {
		m.Stable.N++
		delta := high - m.Stable.Mean
		m.Stable.Mean += delta / m.Stable.N
		m.Stable.M2 += delta * (high - m.Stable.Mean)
	}
	m.Worse.Observe(canary - m.AbortLimit(high))
	better := m.PromoteLimit(low) - canary
	m.Better.Observe(better)
	if m.N <= laterFrom {
		return
	}
	if m.Later == nil {
		later := m.Better.Anew()
		m.Later = &later
	}
	m.Later.Observe(better)
}

// slack is how uncertain the reference of a canary without a stable arm is.
func (m *gaugeModel) slack() float64 {
	if !m.Alone || m.Carried.N < 2 {
		return 0
	}
	return 2.58 * math.Sqrt(m.Carried.M2/(m.Carried.N-1)) / math.Sqrt(max(m.Carried.N*m.Worth, 1))
}

func (m *gaugeModel) evidence() (abort, promote float64) {
	later := 0.0 // it counts as 1 until it begins
	if m.Later != nil {
		later = m.Later.LogE()
	}
	return m.Worse.LogE(), stats.LogMeanExp(m.Better.LogE()+math.Log(2*(1-laterShare)), later+math.Log(2*laterShare))
}

func (m *gaugeModel) most() (abort, promote float64) {
	if m.Later == nil {
		return m.Worse.Most(), max(m.Better.Most(), 0)
	}
	return m.Worse.Most(), max(m.Better.Most(), m.Later.Most())
}

func (m *gaugeModel) figures(KPI) (stable, canary, exposure float64) {
	if m.Alone {
		return m.Carried.Mean, m.Canary, m.N
	}
	return m.Stable.Mean, m.Canary, m.N
}

func (m *gaugeModel) reference() Reference {
	if m.Stable.N >= freshLooks {
		return m.Stable
	}
	return m.Carried
}
