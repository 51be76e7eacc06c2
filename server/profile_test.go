package server

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

func TestARecordSaysWhatItsLevelTakes(t *testing.T) {
	hours := []*float64{new(1.0)}
	profiles := func() []api.Profile {
		return []api.Profile{{Seen: time.Unix(1, 0), KPIs: []api.Baseline{{Hours: hours, HourSketches: []byte("x")}, {Hours: hours}}}}
	}
	have := profiles()
	old := sayHours(have, false)[0]
	must.True(t, old.Seen.IsZero())
	for _, b := range old.KPIs {
		must.Eq(t, api.Baseline{Hours: hours}, b)
	}
	fresh := sayHours(have, true)[0]
	must.False(t, fresh.Seen.IsZero())
	must.Eq(t, []api.Baseline{{Hours: hours, HourSketches: []byte("x")}, {}}, fresh.KPIs)
	must.Eq(t, profiles(), have, must.Sprint("the profiler's own stay as they are"))
}
