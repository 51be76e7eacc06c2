package calendar_test

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/calendar"
)

func at(t testing.TB, text string) time.Time {
	t.Helper()
	moment, err := time.Parse(time.RFC3339, text)
	must.NoError(t, err)
	return moment
}

func window(t must.T, name, start, length, zone string) api.Window {
	t.Helper()
	d, err := time.ParseDuration(length)
	must.NoError(t, err)
	return api.Window{Name: name, Start: start, Length: api.Duration(d), Timezone: zone, Cutoff: "finish"}
}

func TestOpens_FindsTheNextMoment(t *testing.T) {
	t.Parallel()
	berlin := "Europe/Berlin"
	nights := window(t, "a/nights", "0 22 * * 1-5", "6h", berlin)
	freeze := api.Freeze{Name: "a/end", From: at(t, "2026-12-18T00:00:00Z"), To: at(t, "2027-01-04T00:00:00Z"), Reason: "trading freeze"}
	gap := window(t, "a/gap", "30 2 * * *", "1h", berlin)
	cases := []struct {
		name     string
		decision api.Decision
		now      string
		want     string // empty: at once
		why      string
	}{
		{name: "no windows", now: "2026-10-07T12:00:00Z"},
		{name: "inside", decision: api.Decision{Windows: []api.Window{nights}}, now: "2026-10-07T23:00:00Z"},
		{name: "first moment", decision: api.Decision{Windows: []api.Window{nights}}, now: "2026-10-07T20:00:00Z"},
		{name: "before", decision: api.Decision{Windows: []api.Window{nights}}, now: "2026-10-07T19:59:59Z",
			want: "2026-10-07T20:00:00Z", why: `window "a/nights" opens at 2026-10-07T22:00:00+02:00`},
		{name: "last moment is outside", decision: api.Decision{Windows: []api.Window{nights}}, now: "2026-10-08T02:00:00Z",
			want: "2026-10-08T20:00:00Z", why: `window "a/nights" opens at 2026-10-08T22:00:00+02:00`},
		{name: "weekend and winter time", decision: api.Decision{Windows: []api.Window{nights}}, now: "2026-10-24T03:00:00Z",
			want: "2026-10-26T21:00:00Z", why: `window "a/nights" opens at 2026-10-26T22:00:00+01:00`},
		{name: "hour that the clock skips", decision: api.Decision{Windows: []api.Window{gap}}, now: "2026-03-29T00:00:00Z",
			want: "2026-03-29T01:30:00Z", why: `window "a/gap" opens at 2026-03-29T03:30:00+02:00`},
		{name: "hour that comes twice", decision: api.Decision{Windows: []api.Window{gap}}, now: "2026-10-25T00:00:00Z",
			want: "2026-10-25T00:30:00Z", why: `window "a/gap" opens at 2026-10-25T02:30:00+02:00`},
		{name: "second of the two hours", decision: api.Decision{Windows: []api.Window{gap}}, now: "2026-10-25T01:31:00Z",
			want: "2026-10-26T01:30:00Z", why: `window "a/gap" opens at 2026-10-26T02:30:00+01:00`},
		{name: "freeze", decision: api.Decision{Freezes: []api.Freeze{freeze}}, now: "2026-12-31T12:00:00Z",
			want: "2027-01-04T00:00:00Z", why: `freeze "a/end" until 2027-01-04T00:00:00Z: trading freeze`},
		{name: "end of the freeze", decision: api.Decision{Freezes: []api.Freeze{freeze}}, now: "2027-01-04T00:00:00Z"},
		{name: "freeze, then window", decision: api.Decision{Freezes: []api.Freeze{freeze}, Windows: []api.Window{nights}}, now: "2026-12-18T03:00:00Z",
			want: "2027-01-04T21:00:00Z", why: `window "a/nights" opens at 2027-01-04T22:00:00+01:00`},
		{name: "windows of one policy are alternatives", now: "2026-10-07T12:30:00Z", decision: api.Decision{Windows: []api.Window{
			nights, window(t, "a/noon", "0 12 * * *", "1h", "UTC")}}},
		{name: "windows of two policies both count", now: "2026-10-07T12:30:00Z", decision: api.Decision{Windows: []api.Window{
			nights, window(t, "b/late", "30 23 * * *", "1h", "UTC")}}, want: "2026-10-07T23:30:00Z", why: `window "b/late" opens at 2026-10-07T23:30:00Z`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			now := at(t, c.now)
			got, why := calendar.Opens(c.decision, now)
			want := now
			if c.want != "" {
				want = at(t, c.want)
			}
			must.EqOp(t, want, got.UTC())
			must.EqOp(t, c.why, why)
		})
	}
}

func TestOpens_SaysWhenThereIsNone(t *testing.T) {
	t.Parallel()
	d := api.Decision{Windows: []api.Window{window(t, "a/x", "0 1 * * *", "1h", "UTC"), window(t, "b/y", "0 2 * * *", "1h", "UTC")}}
	got, why := calendar.Opens(d, at(t, "2026-10-07T12:00:00Z"))
	must.True(t, got.IsZero())
	must.StrContains(t, why, "leave no moment within two years")
}

// TestOpens_AgreesWithAWalkInFiveMinutes compares the answer with a walk in steps of five minutes.
func TestOpens_AgreesWithAWalkInFiveMinutes(t *testing.T) {
	t.Parallel()
	start := at(t, "2026-10-24T12:00:00Z") // the clocks of Berlin go back on the 25th
	rapid.Check(t, func(t *rapid.T) {
		var d api.Decision
		for _, name := range rapid.SliceOfN(rapid.SampledFrom([]string{"a/1", "a/2", "b/1"}), 0, 3).Draw(t, "windows") {
			cron := rapid.SampledFrom([]string{"30 2 * * *", "0 */5 * * *", "15 22 * * 6", "0 3 25 * *"}).Draw(t, "cron")
			length := rapid.SampledFrom([]string{"10m", "1h", "9h"}).Draw(t, "length")
			d.Windows = append(d.Windows, window(t, name, cron, length, rapid.SampledFrom([]string{"UTC", "Europe/Berlin"}).Draw(t, "zone")))
		}
		if rapid.Bool().Draw(t, "freeze") {
			from := start.Add(time.Duration(rapid.IntRange(-60, 600).Draw(t, "from")) * time.Minute)
			d.Freezes = []api.Freeze{{Name: "a/f", From: from, To: from.Add(7 * time.Hour), Reason: "r"}}
		}
		now := start.Add(time.Duration(rapid.IntRange(0, 1500).Draw(t, "now")) * time.Minute)
		opens, why := calendar.Opens(d, now)
		must.EqOp(t, why == "", opens.Equal(now))
		for m := now; m.Before(now.Add(6 * time.Hour)); m = m.Add(5 * time.Minute) {
			at, _ := calendar.Opens(d, m)
			switch {
			case opens.IsZero() || m.Before(opens):
				must.False(t, at.Equal(m), must.Sprintf("open at %s, though it opens at %s", m, opens))
			default:
				must.True(t, opens.Before(m) || at.Equal(m), must.Sprintf("closed at %s, though it opens then", m))
			}
			if !opens.IsZero() && !m.Before(opens) {
				break
			}
		}
	})
}
