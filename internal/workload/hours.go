package workload

import (
	"fmt"
	"maps"
	"math"

	"github.com/oakumhq/oakum/internal/stats"
)

// hourLeast is how many requests a recording must have of an hour of the week, so that
// their mix says something about that hour: one of a hundred is then there twice.
const hourLeast = 200

// InHour is the workload with the mix that the recording has of an hour of the week, an
// index of a stats.Week. Requests that the recording does not have of that hour are not in
// it. Note says which mix it is, and is "" for a recording without times. With too few
// requests of that hour, it is the workload with the mix of all hours.
func (w Workload) InHour(hour int) (out Workload, note string) {
	out = w
	out.Requests = nil
	var timed int64
	for _, r := range w.Requests {
		for _, n := range r.Hours {
			timed += n
		}
		if n := r.Hours[hour]; n > 0 {
			r.Weight, r.Hours = n, nil
			out.Requests = append(out.Requests, r)
		}
	}
	if timed == 0 {
		return w, ""
	}
	if n := out.Weight(); n < hourLeast {
		return w, fmt.Sprintf("the mix is that of all hours, since the recording has %d requests of that hour, of which %d are the least", n, int64(hourLeast))
	}
	// What the recording left out, it left out at every hour alike, as far as it knows.
	out.Recorded = int64(math.Round(float64(out.Weight()) / w.Kept()))
	return out, "the mix is the recording's of that hour"
}

// inHours has the requests of a recording say when they were made, if that was in several
// hours of the week. The mix of a single hour is the whole mix.
func inHours(requests []Request) {
	var seen map[int]int64
	for _, r := range requests {
		seen = addHours(seen, r.Hours)
	}
	if len(seen) > 1 {
		return
	}
	for i := range requests {
		requests[i].Hours = nil
	}
}

// addHours adds the requests of hours to others.
func addHours(to, hours map[int]int64) map[int]int64 {
	if len(hours) == 0 {
		return to
	}
	if to == nil {
		to = map[int]int64{}
	}
	for hour, n := range hours {
		to[hour] += n
	}
	return to
}

// checkHours says what is wrong with the hours of a request.
func checkHours(hours map[int]int64) error {
	for hour, n := range maps.All(hours) {
		if hour < 0 || hour >= len(stats.Week{}) {
			return fmt.Errorf("%d is no hour of a week, from 0 (Monday 0:00 UTC) to %d", hour, len(stats.Week{})-1)
		}
		if n < 1 || n > WeightMax {
			return fmt.Errorf("%d requests are not from 1 to %d", n, int64(WeightMax))
		}
	}
	return nil
}
