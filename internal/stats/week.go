package stats

import "time"

// Week is the mean of a load in each hour of the week; 0 is Monday 00:00 UTC, nil
// an hour that was never seen.
type Week [168]*float64

// HourOfWeek is the index of an instant in a Week.
func HourOfWeek(t time.Time) int {
	t = t.UTC()
	return (int(t.Weekday())+6)%7*24 + t.Hour()
}

// At forecasts the load of an instant: what the same hour of the week had, else
// the mean of the same hour on other days, else the mean of the hours that are
// known. It is false when none is.
func (w *Week) At(t time.Time) (float64, bool) {
	hour := HourOfWeek(t)
	if v := w[hour]; v != nil {
		return *v, true
	}
	if v, ok := w.mean(hour%24, 24); ok {
		return v, true
	}
	return w.mean(0, 1)
}

func (w *Week) mean(from, step int) (float64, bool) {
	var sum, n float64
	for i := from; i < len(w); i += step {
		if w[i] != nil {
			sum += *w[i]
			n++
		}
	}
	if n == 0 {
		return 0, false
	}
	return sum / n, true
}

// Quietest finds, among the full hours from a time on for which something that
// lasts length can begin and end before until, the one with the least mean load,
// the earliest of equals. It is false when there is no such hour, or nothing is
// known of the load.
func (w *Week) Quietest(from, until time.Time, length time.Duration) (start time.Time, load float64, ok bool) {
	first := from.Truncate(time.Hour)
	if first.Before(from) {
		first = first.Add(time.Hour)
	}
	// A week has all there is to choose from.
	for i := range len(w) {
		at := first.Add(time.Duration(i) * time.Hour)
		if at.Add(length).After(until) {
			break
		}
		var sum, weight float64
		for t := at; t.Before(at.Add(max(length, time.Second))); t = t.Truncate(time.Hour).Add(time.Hour) {
			v, known := w.At(t)
			if !known {
				return time.Time{}, 0, false
			}
			part := min(time.Hour, at.Add(max(length, time.Second)).Sub(t)).Hours()
			sum += part * v
			weight += part
		}
		if mean := sum / weight; !ok || mean < load {
			start, load, ok = at, mean, true
		}
	}
	return start, load, ok
}
