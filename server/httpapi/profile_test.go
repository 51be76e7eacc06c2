package httpapi

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/stats"
)

func TestProfile_TellsWhatIsUsualAtAnHour(t *testing.T) {
	web := api.TargetRef{Namespace: "default", Job: "web", Group: "vm"}
	week := stats.NewWeekSketch()
	for i := range 200 {
		must.NoError(t, week.Add(time.Date(2026, 3, 3, 14, 0, i, 0, time.UTC), 7))
	}
	store := newMemory()
	store.learned = []api.Profile{{Target: web, KPIs: []api.Baseline{
		{KPI: api.KPICPU, Samples: 9000, Mean: 3, P50: 3, P90: 4, P99: 5, Sketch: []byte("x"), HourSketches: week.Bytes()},
		{KPI: api.KPIMemory, Cold: true},
	}}}
	s := start(t, func(o *Options) { o.Store = store })
	cl := s.client(t, "")

	p, _, err := cl.ProfileAt(t.Context(), web, 38, client.Query{})
	must.NoError(t, err)
	must.Eq(t, &api.Usual{Hour: 38, Samples: 200, Mean: 7, P50: 7, P90: 7, P99: 7, Unusual: 7}, p.KPIs[0].Usual)
	must.Nil(t, p.KPIs[1].Usual)
	p, _, err = cl.ProfileAt(t.Context(), web, 0, client.Query{})
	must.NoError(t, err)
	must.Eq(t, &api.Usual{Whole: true, Samples: 9000, Mean: 3, P50: 3, P90: 4, P99: 5, Unusual: 5}, p.KPIs[0].Usual)

	before := stats.HourOfWeek(time.Now())
	p, _, err = cl.Profile(t.Context(), web, client.Query{})
	must.NoError(t, err)
	must.SliceContains(t, []int{before, stats.HourOfWeek(time.Now())}, p.KPIs[0].Usual.Hour)

	for _, hour := range []int{-1, 168} {
		_, _, err = cl.ProfileAt(t.Context(), web, hour, client.Query{})
		must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))
	}
	list, _, err := cl.Profiles(t.Context(), client.Query{})
	must.NoError(t, err)
	must.Nil(t, list[0].KPIs[0].HourSketches)
	must.Nil(t, list[0].KPIs[0].Usual)
	must.Positive(t, len(store.learned[0].KPIs[0].HourSketches))
}

func TestProfile_OfJobsWhoseNamesHaveSlashes(t *testing.T) {
	store := newMemory()
	for _, job := range []string{"team/web", "/web", "web/", "a//b", "Küche 1.0", "50%", "a?b#c"} {
		store.learned = append(store.learned, api.Profile{Target: api.TargetRef{Namespace: "default", Job: job, Group: "vm"}})
	}
	cl := start(t, func(o *Options) { o.Store = store }).client(t, "")
	for _, want := range store.learned {
		got, _, err := cl.Profile(t.Context(), want.Target, client.Query{})
		must.NoError(t, err, must.Sprint(want.Target))
		must.Eq(t, want.Target, got.Target)
	}
}
