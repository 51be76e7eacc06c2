package workload

import (
	"fmt"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/stats"
)

const (
	// rateUnknown is how many requests a second a twin is sent when nobody knows the
	// target's rate.
	rateUnknown = 5.0
	// rateMin makes something of the load of a target that has next to none.
	rateMin = 1.0
)

// Rate is how many requests a second each twin is sent, and where that comes from.
type Rate struct {
	PerSecond float64
	Scale     float64 // PerSecond ÷ what the target has; 0 when that is unknown
	Hour      int     // of the week that it was taken from, as an index of a stats.Week; -1 for none
	Reason    string  // in words, such as "12 % of the 41 requests/s that an instance has in its busiest hour of the week (Monday 9:00 UTC)"
}

// RateOf is the rate of the target's instances in their busiest hour of the week, else
// their mean rate, else that of the recording, and at most limit. What a patch does at
// the busiest hour is what it must be able to do. The profile may be nil.
func RateOf(profile *api.Profile, w Workload, limit float64) Rate {
	has, where, hour := usualRate(profile)
	if has <= 0 {
		has, where = w.Rate(), "that the recording has"
	}
	if has <= 0 {
		r := Rate{PerSecond: min(rateUnknown, limit), Hour: -1}
		r.Reason = fmt.Sprintf("%.3g requests/s, as the target's own rate is unknown", r.PerSecond)
		return r
	}
	r := Rate{PerSecond: min(max(has, rateMin), limit), Hour: hour}
	r.Scale = r.PerSecond / has
	switch {
	case r.Scale == 1:
		r.Reason = fmt.Sprintf("the %s requests/s %s", rateText(has), where)
	case r.Scale < 1:
		r.Reason = fmt.Sprintf("%.2g %% of the %s requests/s %s", 100*r.Scale, rateText(has), where)
	default:
		r.Reason = fmt.Sprintf("%.3g requests/s, and not the %.2g requests/s %s", r.PerSecond, has, where)
	}
	return r
}

// rateText writes a rate with three digits, or all of those that a large one has before
// the point: 0.25, 41.3, 1030.
func rateText(perSecond float64) string {
	if perSecond < 100 {
		return fmt.Sprintf("%.3g", perSecond)
	}
	return fmt.Sprintf("%.0f", perSecond)
}

// usualRate is the rate that a profile has for an instance, and which one that is. It is
// 0 when nothing was learned. Hour is that of the week, or -1 for a mean.
func usualRate(profile *api.Profile) (rate float64, where string, hour int) {
	if profile == nil {
		return 0, "", -1
	}
	for _, b := range profile.KPIs {
		if b.KPI != api.KPIRequests || b.Cold {
			continue
		}
		busiest := -1
		if len(b.Hours) == len(stats.Week{}) {
			for hour, rate := range b.Hours {
				if rate != nil && *rate > 0 && (busiest < 0 || *rate > *b.Hours[busiest]) {
					busiest = hour
				}
			}
		}
		if busiest < 0 {
			return b.Mean, "that an instance has on average", -1
		}
		return *b.Hours[busiest], fmt.Sprintf("that an instance has in its busiest hour of the week (%s)", hourName(busiest)), busiest
	}
	return 0, "", -1
}

// hourName names an hour of a stats.Week, such as "Monday 9:00 UTC".
func hourName(hour int) string {
	day := time.Weekday((hour/24 + int(time.Monday)) % 7)
	return fmt.Sprintf("%s %d:00 UTC", day, hour%24)
}
