package calendar

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

const (
	// windowHorizon ends the search for a time at which all windows are open:
	// what does not open within two years is a mistake.
	windowHorizon = 2 * 366 * 24 * time.Hour
	// windowSteps bounds the same search by work: windows that keep missing
	// each other.
	windowSteps = 4000
	// neverText begins the reason when the search ends.
	neverText = "windows and freezes leave no moment within two years; the last obstacle is: "
	// shiftMax is more than any daylight saving transition moves a clock.
	shiftMax = 3 * time.Hour
)

// startAfter returns the first start of a window after t. The expression is read on the
// wall clock of the window's time zone: a start at a time that the clock skips happens as
// much later by that clock as it skips, never earlier, and a start at a time that it
// repeats happens once, the first time.
func startAfter(start Starts, location *time.Location, t time.Time) time.Time {
	wall := asUTC(t.In(location))
	if change, _ := t.In(location).ZoneBounds(); !change.IsZero() && t.Sub(change) < shiftMax {
		wall = wall.Add(-shiftMax) // what the change has skipped may come yet
	}
	var first, firstWall time.Time
	for range windowSteps {
		wall = start.Next(wall)
		// A start that is skipped may come after later ones, within the same change.
		if wall.IsZero() || !first.IsZero() && wall.Sub(firstWall) > shiftMax {
			return first
		}
		at, skipped := onWall(wall, location)
		if !at.After(t) || !first.IsZero() && !at.Before(first) {
			continue
		}
		if first, firstWall = at, wall; !skipped {
			return first
		}
	}
	return first
}

// asUTC is the time in UTC at which clocks there show what t shows.
func asUTC(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// onWall is the moment at which clocks in location show what wall, a time in UTC, shows: the
// first one, when they show it twice. When they never do, it is as long after the change as
// wall is into what the clock skips, and skipped is true.
func onWall(wall time.Time, location *time.Location) (at time.Time, skipped bool) {
	guess := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), wall.Nanosecond(), location)
	shown := asUTC(guess)
	if !shown.Equal(wall) {
		if shown.After(wall) {
			return guess, true
		}
		// The guess is before the change, in the zone that the skipped time is read in.
		_, offset := guess.Zone()
		return wall.Add(-time.Duration(offset) * time.Second).In(location), true
	}
	shift, _ := guess.ZoneBounds()
	if shift.IsZero() {
		return guess, false
	}
	_, offset := guess.Zone()
	_, former := shift.Add(-time.Second).Zone()
	if first := guess.Add(-time.Duration(former-offset) * time.Second); former > offset && first.Before(shift) {
		return first, false
	}
	return guess, false
}

// Opens returns the first moment from now on at which the decision's windows
// and freezes let a wave start, and what it waits for until then. The reason
// is empty when it may start now. When no such moment is found within two
// years, the time is zero.
//
// Windows of one policy are alternatives; every policy that has windows must
// have one open. A window's name is its policy's name, a slash and its own.
func Opens(decision api.Decision, now time.Time) (time.Time, string) {
	groups := windowGroups(decision.Windows)
	t, reason := now.UTC(), ""
	for range windowSteps {
		if freeze, frozen := decision.Frozen(t); frozen {
			if t, reason = freeze.To.UTC(), freeze.String(); t.Sub(now) > windowHorizon {
				return time.Time{}, neverText + reason
			}
			continue
		}
		closed := false
		for _, group := range groups {
			open, next, why := group.at(t)
			if open {
				continue
			}
			if next.IsZero() || next.Sub(now) > windowHorizon {
				return time.Time{}, neverText + why
			}
			closed, t, reason = true, next.UTC(), why
			break
		}
		if !closed {
			if t.Equal(now) {
				return now, ""
			}
			return t, reason
		}
	}
	return time.Time{}, neverText + reason
}

// windowGroup are the windows of one policy.
type windowGroup struct {
	policy  string
	windows []readyWindow
}

// readyWindow is a window whose texts are read.
type readyWindow struct {
	api.Window
	start    Starts
	location *time.Location
}

// exceptStarts are starts but for some days.
type exceptStarts struct {
	Starts
	days []string // as time.DateOnly writes them
}

// Next is the first start after t on another day.
func (e exceptStarts) Next(t time.Time) time.Time {
	for {
		if t = e.Starts.Next(t); t.IsZero() || !slices.Contains(e.days, t.Format(time.DateOnly)) {
			return t
		}
		// Each of the days is left at once, whatever begins on it.
		t = time.Date(t.Year(), t.Month(), t.Day(), 23, 59, 59, 0, time.UTC)
	}
}

func windowGroups(windows []api.Window) []windowGroup {
	var groups []windowGroup
	at := map[string]int{}
	for _, w := range windows {
		policy, _, found := strings.Cut(w.Name, "/")
		if !found {
			policy = ""
		}
		i, ok := at[policy]
		if !ok {
			i = len(groups)
			at[policy] = i
			groups = append(groups, windowGroup{policy: policy})
		}
		start, startErr := ParseStart(w.Start)
		location, zoneErr := time.LoadLocation(w.Timezone)
		if startErr != nil || zoneErr != nil {
			continue // can't come from a checked policy; its group stays closed
		}
		if len(w.Except) > 0 {
			start = exceptStarts{start, w.Except}
		}
		groups[i].windows = append(groups[i].windows, readyWindow{w, start, location})
	}
	return groups
}

// at says whether a window of the group is open at t, and if not which opens
// next and when.
func (g windowGroup) at(t time.Time) (open bool, next time.Time, why string) {
	why = "a window that never opens"
	for _, w := range g.windows {
		// The first start after t-length is at t or before it exactly when the
		// window that it begins is still open at t.
		start := startAfter(w.start, w.location, t.Add(-w.Length.D()))
		if start.IsZero() {
			continue
		}
		if !start.After(t) {
			return true, t, ""
		}
		if next.IsZero() || start.Before(next) {
			next = start
			why = fmt.Sprintf("window %q opens at %s", w.Name, start.Format(time.RFC3339))
		}
	}
	return false, next, why
}
