package calendar

import (
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/cronexpr"

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

// startAfter returns the first start of a window after t. The expression is
// read on the wall clock of the window's time zone: a start in an hour that
// the clock skips happens an hour later by that clock, and a start in an hour
// that it repeats happens once.
func startAfter(expr *cronexpr.Expression, location *time.Location, t time.Time) time.Time {
	wall := onWall(t.In(location), time.UTC).Add(-shiftMax)
	for range windowSteps {
		wall = expr.Next(wall)
		if wall.IsZero() {
			return time.Time{}
		}
		if start := onWall(wall, location); start.After(t) {
			return start
		}
	}
	return time.Time{}
}

// onWall is the moment at which clocks in location show what t shows: the
// first one, when they show it twice.
func onWall(t time.Time, location *time.Location) time.Time {
	moment := time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), location)
	shift, _ := moment.ZoneBounds()
	if shift.IsZero() {
		return moment
	}
	_, offset := moment.Zone()
	_, former := shift.Add(-time.Second).Zone()
	if first := moment.Add(-time.Duration(former-offset) * time.Second); former > offset && first.Before(shift) {
		return first
	}
	return moment
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
	start    *cronexpr.Expression
	location *time.Location
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
		start, cronErr := ParseStart(w.Start)
		location, zoneErr := time.LoadLocation(w.Timezone)
		if cronErr != nil || zoneErr != nil {
			continue // can't come from a checked policy; its group stays closed
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
