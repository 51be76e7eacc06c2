package state_test

import (
	"testing"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
	"github.com/shoenig/test/must"
)

// learned is a profile of one KPI as it was at an age before the epoch of the tests.
func learned(ref api.TargetRef, age time.Duration, b api.Baseline) *state.ProfilesPut {
	b.KPI = api.KPICPU
	return &state.ProfilesPut{Profiles: []api.Profile{{Target: ref, Updated: epoch().Add(-age), KPIs: []api.Baseline{b}}}}
}

func TestProfilesPut_KeepsHoursThatARecordHasNot(t *testing.T) {
	t.Parallel()
	m := raised(t)
	kpi := func() api.Baseline {
		p, ok := m.store.Profile(web())
		must.True(t, ok)
		must.Len(t, 1, p.KPIs)
		return p.KPIs[0]
	}
	m.must(t, learned(web(), 0, api.Baseline{Samples: 1}))
	must.Nil(t, kpi().HourSketches)
	must.NoError(t, m.commit(learned(web(), 0, api.Baseline{Samples: 2, Hours: []*float64{nil, new(1.0)}, HourSketches: []byte("a week")})))
	must.NoError(t, m.commit(learned(web(), 0, api.Baseline{Samples: 3})))
	must.Eq(t, 3, kpi().Samples)
	must.Eq(t, "a week", string(kpi().HourSketches))
	must.Eq(t, []*float64{nil, new(1.0)}, kpi().Hours)
	must.NoError(t, m.commit(learned(web(), 0, api.Baseline{Hours: []*float64{new(2.0)}, HourSketches: []byte("the next")})))
	must.Eq(t, "the next", string(kpi().HourSketches))
	must.Eq(t, []*float64{new(2.0)}, kpi().Hours)

	t.Log("a KPI that the record has not is not kept, and none gets another's")
	other := learned(web(), 0, api.Baseline{})
	other.Profiles[0].KPIs[0].KPI = api.KPIMemory
	must.NoError(t, m.commit(other))
	must.Nil(t, kpi().HourSketches)
}

func TestProfilesPut_TakesHoursOnlyAtTheirLevel(t *testing.T) {
	t.Parallel()
	m := newMachine()
	m.must(t, &state.LevelSet{Level: 2})
	hours := []*float64{new(1.0)}
	must.NoError(t, m.commit(learned(web(), 0, api.Baseline{Hours: hours, HourSketches: []byte("a week")})))
	p, _ := m.store.Profile(web())
	must.Eq(t, hours, p.KPIs[0].Hours)
	must.SliceEmpty(t, p.KPIs[0].HourSketches)
	must.True(t, api.IsCode(m.commit(&state.ProfilesForget{Targets: []api.TargetRef{web()}, Unseen: 1}), api.CodeConflict))
	must.NoError(t, m.commit(learned(web(), 0, api.Baseline{})))
	p, _ = m.store.Profile(web())
	must.Nil(t, p.KPIs[0].Hours, must.Sprint("at level 2 a record is the whole profile"))
}

func TestProfilesPut_RefusesHoursThatAreTooLarge(t *testing.T) {
	t.Parallel()
	m := raised(t)
	before := m.store.Hash()
	must.True(t, api.IsCode(m.commit(learned(web(), 0, api.Baseline{HourSketches: make([]byte, 24<<10+1)})), api.CodeInvalid))
	must.Eq(t, before, m.store.Hash())
}

func TestProfilesForget_ForgetsTargetsThatAreGone(t *testing.T) {
	t.Parallel()
	m := raised(t)
	const day = 24 * time.Hour
	mail := api.TargetRef{Namespace: "prod", Job: "mail", Group: "vm"}
	must.NoError(t, m.commit(learned(web(), 8*day, api.Baseline{})))
	must.NoError(t, m.commit(learned(db(), 6*day, api.Baseline{})))
	seen := learned(mail, 30*day, api.Baseline{}) // no sample for a month, but it was there yesterday
	seen.Profiles[0].Seen = epoch().Add(-day)
	must.NoError(t, m.commit(seen))
	nobody := api.TargetRef{Namespace: "prod", Job: "nobody", Group: "vm"}
	must.NoError(t, m.commit(&state.ProfilesForget{Targets: []api.TargetRef{web(), db(), mail, nobody}, Unseen: api.Duration(7 * day)}))
	_, ok := m.store.Profile(web())
	must.False(t, ok)
	must.Len(t, 2, m.store.Profiles())
	events := m.store.Events(0, 0)
	last := events[len(events)-1]
	must.Eq(t, "profile_forgotten", last.Type)
	must.Eq(t, "the profile of prod/web/vm is forgotten: nobody has seen it for 168h0m0s", last.Text)
	must.Error(t, m.commit(&state.ProfilesForget{Targets: []api.TargetRef{db()}}))
	must.Len(t, 2, m.store.Profiles())
}
