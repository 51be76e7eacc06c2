package stats

import "time"

// Week is the mean of a load in each hour of the week; 0 is Monday 00:00 UTC, nil
// an hour that was never seen.
type Week [168]*float64

// mondayHours are from the Monday before 1970 to its first hour, a Thursday.
const mondayHours = 3 * 24

// hourOf counts the hours from 1970; all before it are the first.
func hourOf(t time.Time) int64 { return max(t.Unix()/3600, 0) }

// HourOfWeek is the index of an instant in a Week.
func HourOfWeek(t time.Time) int {
	return int((hourOf(t) + mondayHours) % weekLength)
}

// At forecasts the load of an instant. It returns the mean of the same hour of the
// week, else the mean of the same hour on other days, else the mean of the hours
// that are known. It returns false if no hour is known.
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

// HoursOfDay is how many of the 24 hours of a day were seen on any day.
func (w *Week) HoursOfDay() int {
	var seen [24]bool
	for i, v := range w {
		seen[i%24] = seen[i%24] || v != nil
	}
	n := 0
	for _, s := range seen {
		if s {
			n++
		}
	}
	return n
}

// Known is how many hours of the week were seen.
func (w *Week) Known() int {
	n := 0
	for _, v := range w {
		if v != nil {
			n++
		}
	}
	return n
}
