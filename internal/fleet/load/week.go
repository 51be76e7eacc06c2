package load

import (
	"math"
	"time"

	"github.com/oakumhq/oakum/internal/stats"
)

const (
	hours   = 7 * 24
	anHour  = 3600.0
	aWeek   = hours * anHour
	ripples = 3
)

// Week is how much there is to do at the start of each hour of a week, in units
// of its mean; in between it changes evenly. Hours are those of
// stats.HourOfWeek.
type Week [hours]float64

// Steady is a week without days.
func Steady() Week {
	var w Week
	for h := range w {
		w[h] = 1
	}
	return w
}

// Office is a week of people at work: weekdays from 8 to 18 o'clock UTC.
func Office() Week {
	return daily(func(weekend bool, hour float64) float64 {
		if weekend {
			return 0.25
		}
		return 0.25 + 1.8*bump(hour, 13, 4)
	})
}

// Evenings is a week of people at leisure: most at 20 o'clock UTC, and more at
// the weekend.
func Evenings() Week {
	return daily(func(weekend bool, hour float64) float64 {
		if weekend {
			return 0.4 + 1.3*bump(hour, 19, 5)
		}
		return 0.4 + bump(hour, 20, 4)
	})
}

// bump is one at its centre and goes round the clock.
func bump(hour, centre, width float64) float64 {
	d := math.Mod(math.Abs(hour-centre), 24)
	d = min(d, 24-d) / width
	return math.Exp(-d * d / 2)
}

func daily(at func(weekend bool, hour float64) float64) Week {
	var w Week
	monday := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	for h := range w {
		t := monday.Add(time.Duration(h) * time.Hour)
		weekend := t.Weekday() == time.Saturday || t.Weekday() == time.Sunday
		w[stats.HourOfWeek(t)] = at(weekend, float64(t.Hour()))
	}
	return w
}

// flow is a week with the ripples on it, and its integral.
type flow struct {
	origin time.Time // integrals are from here on
	phase  float64   // seconds of the week at the origin
	at     Week      // mean 1
	sums   [hours + 1]float64
	ripple [ripples]ripple
}

// ripple is a small wave.
type ripple struct{ height, speed, shift float64 }

// newFlow returns a week that wanders by a few percent of its quietest hour. Its
// mean is one.
func newFlow(w Week, origin time.Time, key uint64) *flow {
	f := &flow{origin: origin}
	into := origin.Sub(origin.Truncate(time.Hour)).Seconds()
	f.phase = float64(stats.HourOfWeek(origin))*anHour + into
	total := 0.0
	for _, v := range w {
		total += v
	}
	least := math.Inf(1)
	for h, v := range w {
		f.at[h] = v * hours / total
		least = min(least, f.at[h])
	}
	for h := range f.at {
		f.sums[h+1] = f.sums[h] + anHour*(f.at[h]+f.at[(h+1)%hours])/2
	}
	// Periods of about a minute and a half, ten minutes and an hour.
	for i, period := range [ripples]float64{97, 613, 3571} {
		key = mix(key)
		f.ripple[i] = ripple{height: 0.04 * least, speed: 2 * math.Pi / period, shift: 2 * math.Pi * uniform(key)}
	}
	return f
}

// rate is how much there is to do at a moment, in units of the mean; it is
// positive.
func (f *flow) rate(t time.Time) float64 {
	s := t.Sub(f.origin).Seconds()
	h, into := f.hour(s)
	v := f.at[h] + (f.at[(h+1)%hours]-f.at[h])*into/anHour
	for _, r := range f.ripple {
		v += r.height * math.Sin(r.speed*s+r.shift)
	}
	return v
}

// integral is the integral of the rate from the origin, in seconds.
func (f *flow) integral(t time.Time) float64 {
	s := t.Sub(f.origin).Seconds()
	v := f.week(f.phase+s) - f.week(f.phase)
	for _, r := range f.ripple {
		v -= r.height / r.speed * (math.Cos(r.speed*s+r.shift) - math.Cos(r.shift))
	}
	return v
}

// hour is which hour of the week it is, and how many seconds of it have passed.
func (f *flow) hour(s float64) (h int, into float64) {
	s = math.Mod(f.phase+s, aWeek)
	if s < 0 {
		s += aWeek
	}
	h = min(int(s/anHour), hours-1)
	return h, s - float64(h)*anHour
}

// week is the integral of the week's line from its first hour on.
func (f *flow) week(s float64) float64 {
	whole := math.Floor(s / aWeek)
	s -= whole * aWeek
	h := min(int(s/anHour), hours-1)
	into := s - float64(h)*anHour
	slope := (f.at[(h+1)%hours] - f.at[h]) / anHour
	return whole*f.sums[hours] + f.sums[h] + into*(f.at[h]+slope*into/2)
}
