package stats

// Dispersion learns how much more the arms of one target differ than chance
// allows: the index of dispersion between instances within an interval. Bursts
// that hit all instances alike cancel, as they do in a judgement.
type Dispersion struct {
	Intervals float64 `json:"intervals"`
	Events    float64 `json:"events"` // that the index rests on; old ones fade
	Index     float64 `json:"index"`  // moving mean of chi-square per degree of freedom, by events
}

const (
	// dispersionMemory is how many intervals the moving mean remembers: two
	// hours of five-second intervals.
	dispersionMemory = 1440
	// dispersionMin is how many intervals it takes before the index is used.
	dispersionMin = 30
)

// Observe adds one interval: the events and exposure of each instance.
func (d *Dispersion) Observe(events, exposures []float64) {
	var total, exposure, used float64
	for i := range events {
		if exposures[i] > 0 {
			total += events[i]
			exposure += exposures[i]
			used++
		}
	}
	if used < 2 || total == 0 {
		return
	}
	var chi float64
	for i := range events {
		if exposures[i] <= 0 {
			continue
		}
		want := total * exposures[i] / exposure
		chi += (events[i] - want) * (events[i] - want) / want
	}
	d.Intervals++
	// By events and not by intervals: an interval with one burst of k events has
	// a chi-square of k per degree of freedom, and the index of bursts is the
	// mean of k as an event sees it, sum k^2 / sum k.
	d.Events = d.Events*(1-1.0/dispersionMemory) + total
	d.Index += total / d.Events * (chi/(used-1) - d.Index)
}

// Factor is the number, at least one, that counts are divided by.
func (d *Dispersion) Factor() float64 {
	if d.Intervals < dispersionMin {
		return 1
	}
	return max(d.Index, 1)
}
