package planner

import (
	"fmt"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/calendar"
	"github.com/oakumhq/oakum/internal/stats"
)

// quietHorizon is how long a plan looks ahead for a quiet hour.
const quietHorizon = 24 * time.Hour

// quietGain is the share of the present load that the quietest hour may have at
// most, to be worth waiting for.
const quietGain = 0.9

// quietest gives each wave with targets that prefer low load the hour at which they
// start. Of the 24 hours from its opening on, that is the one with the least load
// that the windows and freezes of all of them allow. The wave starts at once when no
// hour is a tenth quieter than the present one. Loads are compared as shares of each
// target's mean, so that a large target does not outweigh a small one. A wave does
// not start before an earlier one. All waves share the 24 hours of the first, so
// that a plan does not take a day for each wave.
func quietest(in Input, waves []api.Wave) {
	now := in.Now.UTC()
	allowed := openHours{}
	var from, until time.Time
	for i := range waves {
		w := &waves[i]
		begin := now
		if w.Opens.After(begin) {
			begin = w.Opens
		}
		if begin.After(from) {
			from = begin
		}
		if until.IsZero() || until.Before(from) {
			until = from.Add(quietHorizon)
		}
		if start := quietWave(w, in.Profile, from, until, now, allowed); start.After(from) {
			w.Starts, from = start, start
		}
	}
}

// quietWave chooses the hour of a wave and says so to each of its targets that
// prefer low load.
func quietWave(w *api.Wave, profile func(api.TargetRef) (api.Profile, bool), from, until, now time.Time, allowed openHours) time.Time {
	var loads []load
	var members []*api.PlannedTarget
	for i := range w.Targets {
		t := &w.Targets[i]
		if !t.Decision.PreferLow {
			continue
		}
		var known api.Profile
		if profile != nil {
			known, _ = profile(t.Target.TargetRef)
		}
		l, why := loadOf(known, t.Target.Count)
		if why != "" {
			t.Quiet = &api.Quiet{Reason: "starts as soon as it may: " + why}
			continue
		}
		loads, members = append(loads, l), append(members, t)
	}
	if len(members) == 0 {
		return time.Time{}
	}
	best, least := from, quietGain*relative(loads, from)
	for at := from.Truncate(time.Hour).Add(time.Hour); at.Before(until); at = at.Add(time.Hour) {
		if s := relative(loads, at); s < least && allowed.all(members, at) {
			best, least = at, s
		}
	}
	for i, t := range members {
		l := loads[i]
		then, _ := l.week.At(best)
		today, _ := l.week.At(now)
		t.Quiet = &api.Quiet{Reason: fmt.Sprintf("starts as soon as it may: no hour until %s is much quieter than about %s", until.Format(time.RFC3339), l.text(then))}
		if best.After(from) {
			t.Quiet = &api.Quiet{At: best, Reason: fmt.Sprintf("waits for the quietest hour: %s, about %s against %s at %s",
				best.Format(time.RFC3339), l.text(then), l.text(today), now.Format("15:04"))}
		}
	}
	return best
}

// relative is the mean load of targets at a time, each in units of its own mean.
func relative(loads []load, at time.Time) float64 {
	sum := 0.0
	for _, l := range loads {
		v, _ := l.week.At(at)
		sum += v / l.mean
	}
	return sum / float64(len(loads))
}

// load is what a target carries by hour of the week.
type load struct {
	week  stats.Week // of one instance
	mean  float64
	count float64
	unit  string
}

func (l load) text(v float64) string { return fmt.Sprintf("%.3g %s", v*l.count, l.unit) }

// loadOf is the load that a profile has: requests, or else processors. The text says
// why there is none, and is empty when there is one.
func loadOf(profile api.Profile, count int) (load, string) {
	why := "nothing is known yet of its load"
	for _, kind := range []struct{ kpi, unit string }{{api.KPIRequests, "requests/s"}, {api.KPICPU, "cores"}} {
		for _, b := range profile.KPIs {
			if b.KPI != kind.kpi || len(b.Hours) != len(stats.Week{}) {
				continue
			}
			l := load{count: float64(max(count, 1)), unit: kind.unit}
			copy(l.week[:], b.Hours)
			if hours := l.week.HoursOfDay(); hours < 24 {
				why = fmt.Sprintf("its load is known for %d of the 24 hours of a day", hours)
				continue
			}
			for _, v := range l.week {
				if v != nil {
					l.mean += *v
				}
			}
			if l.mean > 0 {
				l.mean /= float64(l.week.Known())
				return l, ""
			}
			why = "it has had no load at all"
		}
	}
	return load{}, why
}

// openHours remembers by windows and freezes, and by hour, whether they let a wave
// start. Most targets of a plan have the same ones.
type openHours map[string]map[time.Time]bool

func (o openHours) all(members []*api.PlannedTarget, at time.Time) bool {
	for _, t := range members {
		if !o.open(t.Decision, at) {
			return false
		}
	}
	return true
}

func (o openHours) open(d api.Decision, at time.Time) bool {
	if len(d.Windows) == 0 && len(d.Freezes) == 0 {
		return true
	}
	key := fmt.Sprint(d.Windows, d.Freezes)
	if o[key] == nil {
		o[key] = map[time.Time]bool{}
	}
	is, ok := o[key][at]
	if !ok {
		_, why := calendar.Opens(d, at)
		is = why == ""
		o[key][at] = is
	}
	return is
}
