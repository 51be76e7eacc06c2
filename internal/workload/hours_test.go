package workload_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/workload"
)

// recordHours records so many requests to each path in an hour of the week, of Monday.
func recordHours(t *testing.T, requests int, by map[int]map[string]int64) workload.Workload {
	t.Helper()
	tally, err := workload.NewTally(workload.TallyOptions{Source: "test", AnyHost: true})
	must.NoError(t, err)
	for hour, paths := range by {
		at := time.Date(2026, 3, 2, hour, 5, 0, 0, time.UTC)
		for path, n := range paths {
			for range n {
				tally.Add(workload.Observation{Method: "GET", Target: path, Status: 200, At: at})
			}
		}
	}
	w, _, err := tally.Workload(requests)
	must.NoError(t, err)
	again, err := workload.Parse("w.ndjson", w.Encode())
	must.NoError(t, err)
	must.Eq(t, w, again)
	return w
}

func TestInHour_HasTheMixOfTheHour(t *testing.T) {
	w := recordHours(t, 10, map[int]map[string]int64{
		9:  {"/cart": 300, "/item": 100},
		10: {"/item": 900, "/night": 50},
	})
	nine, note := w.InHour(9)
	must.Eq(t, "the mix is the recording's of that hour", note)
	must.Len(t, 2, nine.Requests)
	for i, r := range nine.Requests {
		must.Eq(t, map[string]float64{"/cart": 0.75, "/item": 0.25}[r.Path], nine.Share(i))
		must.Nil(t, r.Hours)
	}
	must.Eq(t, 400, nine.Recorded)
	must.Eq(t, 1, nine.Kept())

	same, note := w.InHour(11)
	must.Eq(t, w, same)
	must.Eq(t, "the mix is that of all hours, since the recording has 0 requests of that hour, of which 200 are the least", note)
}

func TestInHour_KnowsNoHoursOfARecordingOfOne(t *testing.T) {
	w := recordHours(t, 10, map[int]map[string]int64{9: {"/cart": 300, "/item": 100}})
	same, note := w.InHour(9)
	must.Eq(t, w, same)
	must.Eq(t, "", note)
}

// TestInHour_CountsEveryRequestOfASample has a sample of many paths, whose requests of each
// hour must be those that were recorded.
func TestInHour_CountsEveryRequestOfASample(t *testing.T) {
	by := map[int]map[string]int64{9: {"/cart": 250}, 10: {}}
	for i := range 500 {
		by[9+i%2][fmt.Sprintf("/item/%03d", i)] = 1
	}
	w := recordHours(t, 20, by)
	must.Len(t, 20, w.Requests)
	nine, _ := w.InHour(9)
	ten, _ := w.InHour(10)
	must.Eq(t, 500, nine.Weight())
	must.Eq(t, 250, ten.Weight())
}

func TestParse_RefusesWrongHours(t *testing.T) {
	for hours, want := range map[string]string{
		`{"168":1}`: "w.ndjson:1: hours: 168 is no hour of a week",
		`{"-1":1}`:  "w.ndjson:1: hours: -1 is no hour of a week",
		`{"9":0}`:   "w.ndjson:1: hours: 0 requests are not from 1",
	} {
		_, err := workload.Parse("w.ndjson", []byte(`{"path":"/","hours":`+hours+"}\n"))
		must.ErrorContains(t, err, want)
	}
}
