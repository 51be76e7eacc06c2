package stats

import (
	"fmt"
	"time"

	"github.com/DataDog/sketches-go/ddsketch/mapping"
)

const (
	// hourAccuracy is the relative error of an hour's quantiles.
	hourAccuracy = 0.05
	// hourEnough is how many samples an hour needs to stand for itself: with fewer
	// there is none in the last hundredth.
	hourEnough = 100
	// weekLength is the number of hours of a week.
	weekLength = 7 * 24
)

// HourMoments sum up an hour of the week. All are 0 when it was never seen.
type HourMoments struct {
	Samples  int     // how many there are; samples of earlier weeks are halved once a week
	Mean     float64 // of the samples
	N, M2    float64 // weight of the samples, and the sum of their squared deviations
	Events   float64 // of a count, with the same weights
	Exposure float64
}

// Enough reports whether the hour has so many samples that it can stand for itself.
func (f HourMoments) Enough() bool { return f.Samples >= hourEnough }

// HourFigures are the usual figures of an hour of the week.
type HourFigures struct {
	HourMoments
	P50, P90, P99 float64 // of the samples, within five percent
}

// WeekSketch is a mergeable quantile sketch for each hour of the week (UTC). Each
// week weighs half as much as the one after it: an hour halves its weights when
// its first sample of another week comes.
type WeekSketch struct {
	bins *mapping.LogarithmicMapping
	at   int64 // hours from 1970 to the hour of the last sample
	days [7]*[24]hourSketch
}

// NewWeekSketch returns an empty sketch.
func NewWeekSketch() *WeekSketch {
	bins, err := mapping.NewLogarithmicMapping(hourAccuracy)
	if err != nil {
		panic(fmt.Sprintf("stats: sketch constants: %v", err)) //nolint:forbidigo // only wrong constants get here
	}
	return &WeekSketch{bins: bins}
}

// WeekOfMeans makes a sketch of which only the mean of each hour is known, of so
// many samples each. No hour of it has enough samples.
func WeekOfMeans(means []*float64, weight float64) *WeekSketch {
	w := NewWeekSketch()
	for i, mean := range means {
		if mean != nil && i < weekLength && takes(*mean) {
			h := w.hour(i)
			h.n, h.mean = weight, *mean
		}
	}
	return w
}

// takes reports whether a sketch takes a value.
func takes(value float64) bool { return value >= 0 && value <= hourMost }

// hour finds or begins an hour.
func (w *WeekSketch) hour(i int) *hourSketch {
	if w.days[i/24] == nil {
		w.days[i/24] = new([24]hourSketch)
	}
	return &w.days[i/24][i%24]
}

// seen is an hour that has samples, or nil.
func (w *WeekSketch) seen(i int) *hourSketch {
	if w.days[i/24] == nil || w.days[i/24][i%24].n == 0 {
		return nil
	}
	return &w.days[i/24][i%24]
}

// Add records a value. Values that are negative, not numbers or beyond 1e30 are
// refused.
func (w *WeekSketch) Add(now time.Time, value float64) error { return w.add(now, value, 0, 0) }

// AddShare records the share that events have of exposure, which must be positive.
func (w *WeekSketch) AddShare(now time.Time, events, exposure float64) error {
	if !(exposure > 0) || !takes(events) || !takes(exposure) {
		return fmt.Errorf("add share to week: %g of %g", events, exposure)
	}
	return w.add(now, events/exposure, events, exposure)
}

func (w *WeekSketch) add(now time.Time, value, events, exposure float64) error {
	if !takes(value) {
		return fmt.Errorf("add value to week: %g", value)
	}
	h := w.hour(HourOfWeek(now))
	if at := hourOf(now); at > w.at {
		if former := w.seen(int((w.at + mondayHours) % weekLength)); former != nil {
			former.trim() // it rests for a week
		}
		h.halve()
		w.at = at
	}
	h.add(w.bins, value, events, exposure)
	return nil
}

// Hour is the number of the hour of the last sample, counted from 1970; 0 when
// there was none. When it rises, an hour of the week is complete.
func (w *WeekSketch) Hour() int64 { return w.at }

// Moments are the moments of an hour of the week, 0 to 167.
func (w *WeekSketch) Moments(hour int) HourMoments {
	if hour < 0 || hour >= weekLength {
		return HourMoments{}
	}
	h := w.seen(hour)
	if h == nil {
		return HourMoments{}
	}
	return HourMoments{Samples: h.samples(), Mean: h.mean, N: h.n, M2: h.m2, Events: h.events, Exposure: h.exposure}
}

// Figures are the moments of an hour of the week, 0 to 167, and its quantiles.
func (w *WeekSketch) Figures(hour int) HourFigures {
	f := HourFigures{HourMoments: w.Moments(hour)}
	if f.Samples > 0 {
		h := w.seen(hour)
		f.P50, f.P90, f.P99 = h.quantile(w.bins, 0.5), h.quantile(w.bins, 0.9), h.quantile(w.bins, 0.99)
	}
	return f
}

// Means are the means of all hours.
func (w *WeekSketch) Means() Week {
	var out Week
	for i := range out {
		if h := w.seen(i); h != nil {
			mean := h.mean
			out[i] = &mean
		}
	}
	return out
}

// Merge adds another week's samples, hour by hour.
func (w *WeekSketch) Merge(o *WeekSketch) {
	for i := range weekLength {
		if h := o.seen(i); h != nil {
			w.hour(i).merge(h)
		}
	}
	w.at = max(w.at, o.at)
}
