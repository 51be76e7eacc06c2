package stats

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

func TestWeekForecastsAndFindsTheQuietestHours(t *testing.T) {
	monday := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	var w Week
	_, ok := w.At(monday)
	must.False(t, ok)
	_, _, ok = w.Quietest(monday, monday.Add(48*time.Hour), time.Hour)
	must.False(t, ok)
	for h := range 48 { // Monday and Tuesday
		w[h] = new(100 + 10*float64(h%24))
	}
	w[26] = new(5.0) // Tuesday 02:00
	v, ok := w.At(monday.Add(3 * time.Hour))
	must.True(t, ok)
	must.Eq(t, 130, v)
	v, ok = w.At(monday.Add(4*24*time.Hour + 3*time.Hour)) // Friday, never seen
	must.True(t, ok)
	must.Eq(t, 130, v)

	start, load, ok := w.Quietest(monday.Add(30*time.Minute), monday.Add(48*time.Hour), time.Hour)
	must.True(t, ok)
	must.Eq(t, monday.Add(26*time.Hour), start)
	must.Eq(t, 5, load)
	_, _, ok = w.Quietest(monday, monday.Add(30*time.Minute), time.Hour)
	must.False(t, ok, must.Sprint("it would not end in time"))
	start, _, ok = w.Quietest(monday, monday.Add(20*time.Hour), 90*time.Minute)
	must.True(t, ok)
	must.Eq(t, monday, start)
}

func TestHourOfWeekBeginsOnMonday(t *testing.T) {
	must.Eq(t, 0, HourOfWeek(time.Date(2026, 3, 2, 0, 30, 0, 0, time.UTC)))
	must.Eq(t, 167, HourOfWeek(time.Date(2026, 3, 8, 23, 59, 0, 0, time.UTC)))
}
