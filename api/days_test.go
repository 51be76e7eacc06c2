package api_test

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/api"
)

// TestDaysAgainstASet marks random days and compares with a set of days.
func TestDaysAgainstASet(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	rapid.Check(t, func(t *rapid.T) {
		keep := rapid.IntRange(1, api.MaxDays).Draw(t, "keep")
		now := time.Date(2026, 1, 1, 5, 0, 0, 0, time.UTC)
		last := now
		days := api.Days("")
		seen := map[time.Time]bool{}
		for range rapid.IntRange(1, 30).Draw(t, "sights") {
			now = now.Add(time.Duration(rapid.IntRange(0, 20*24).Draw(t, "hours")) * time.Hour)
			days = days.Seen(last, now, keep)
			last = now
			seen[now.Truncate(day)] = true
			want := 0
			for at := range seen {
				if now.Truncate(day).Sub(at) < time.Duration(keep)*day {
					want++
				}
			}
			must.Eq(t, want, days.Count())
		}
	})
}

func TestDaysOfGarbageAreNone(t *testing.T) {
	t.Parallel()
	must.Eq(t, 0, api.Days("not hexadecimal").Count())
	must.Eq(t, api.Days("1"), api.Days("zz").Seen(time.Unix(0, 0), time.Unix(0, 0), 90))
}
