package profiler

import (
	"fmt"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/stats"
)

// AtHour returns a recorded profile with what each KPI usually has at an hour of the
// week, 0 to 167: by the sketch of the hour, or by that of all time where the hour has
// too few samples. KPIs that are cold have nothing usual. An error names the KPI whose
// record can't be read.
func AtHour(profile api.Profile, hour int) (api.Profile, error) {
	kpis := make([]api.Baseline, len(profile.KPIs))
	for i, b := range profile.KPIs {
		if !b.Cold {
			usual, err := usualOf(b, hour)
			if err != nil {
				return api.Profile{}, fmt.Errorf("read %s of %s: %w", b.KPI, profile.Target, err)
			}
			b.Usual = &usual
		}
		kpis[i] = b
	}
	profile.KPIs = kpis
	return profile, nil
}

func usualOf(b api.Baseline, hour int) (api.Usual, error) {
	u := api.Usual{Hour: hour, Whole: true, Samples: b.Samples, Mean: b.Mean, P50: b.P50, P90: b.P90, P99: b.P99}
	if len(b.HourSketches) > 0 {
		week, err := stats.DecodeWeek(b.HourSketches)
		if err != nil {
			return u, err
		}
		if f := week.Figures(hour); f.Enough() {
			u = api.Usual{Hour: hour, Samples: int64(f.Samples), Mean: f.Mean, P50: f.P50, P90: f.P90, P99: f.P99}
		}
	}
	u.Unusual = u.P99
	return u, nil
}
