package stats

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

func TestWeek_Forecasts(t *testing.T) {
	monday := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	var w Week
	_, ok := w.At(monday)
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
	must.Eq(t, 48, w.Known())
	must.Eq(t, 24, w.HoursOfDay())
	for day := range 7 {
		w[day*24+5] = nil
	}
	must.Eq(t, 46, w.Known())
	must.Eq(t, 23, w.HoursOfDay())
}

func TestHourOfWeek_BeginsOnMonday(t *testing.T) {
	must.Eq(t, 0, HourOfWeek(time.Date(2026, 3, 2, 0, 30, 0, 0, time.UTC)))
	must.Eq(t, 167, HourOfWeek(time.Date(2026, 3, 8, 23, 59, 0, 0, time.UTC)))
}
