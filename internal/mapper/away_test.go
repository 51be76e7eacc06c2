package mapper

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// TestMapper_CallsASourceAwayAfterSeveralTriesAndAWhile lets the traffic's source fail
// for some tries, at some pace, and looks what becomes of it.
func TestMapper_CallsASourceAwayAfterSeveralTriesAndAWhile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tries int
		pace  time.Duration
		set   func(*Options)
		want  api.SourceState
	}{
		"one slow answer":           {1, time.Minute, nil, api.SourceFailing},
		"two, far apart":            {2, time.Minute, nil, api.SourceFailing},
		"many, in no time":          {20, time.Second, nil, api.SourceFailing},
		"three, within a minute":    {3, 15 * time.Second, nil, api.SourceAway},
		"as the configuration says": {2, 2 * time.Second, func(o *Options) { o.AwayTries, o.AwayAfter = 2, time.Second }, api.SourceAway},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := shopWorld()
				m := w.bearing(t, func(o *Options) {
					o.Sources = []Source{Intentions(w), Upstreams(w), Observed(SourceTraffic, w), Placement(w)}
					if c.set != nil {
						c.set(o)
					}
				})
				w.round(t, m)
				answered := time.Now().UTC()
				w.trafficErr = errors.New("context deadline exceeded")
				var began time.Time
				for range c.tries {
					time.Sleep(c.pace)
					if began.IsZero() {
						began = time.Now().UTC()
					}
					w.round(t, m)
				}
				s := w.state.sources[SourceTraffic]
				must.Eq(t, c.want, s.State(), must.Sprint(s.String()))
				must.Eq(t, began, s.Failing)
				must.Eq(t, answered, s.LastOK)
				must.StrContains(t, s.String(), "deadline exceeded")
				if c.want == api.SourceAway {
					must.Eq(t, began, s.Since)
					must.Eq(t, c.tries, s.Failures)
				}

				w.trafficErr = nil
				w.round(t, m)
				s = w.state.sources[SourceTraffic]
				must.Eq(t, api.SourceWhole, s.State())
				must.Eq(t, 0, s.Failures)
				must.Eq(t, "", s.Error)
			})
		})
	}
}

func TestMapper_CallsASourceAwayAtOnceThatNeverAnswered(t *testing.T) {
	t.Parallel()
	w := shopWorld()
	w.trafficErr = errors.New("refused")
	w.round(t, w.mapper(t))
	s := w.state.sources[SourceTraffic]
	must.Eq(t, api.SourceAway, s.State())
	must.Eq(t, 1, s.Failures)
}

// TestMapper_CountsOnUnderANewLeader starts a mapper in the middle of an absence. It has
// read nothing at first, and then what answers it.
func TestMapper_CountsOnUnderANewLeader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := shopWorld()
		m := w.mapper(t)
		must.Eq(t, []string{SourceIntentions, SourceUpstreams, SourcePlacement, SourcePolicy, SourceTraffic}, m.Unread())
		w.round(t, m)
		must.SliceEmpty(t, m.Unread())

		w.trafficErr = errors.New("refused")
		time.Sleep(time.Minute)
		began := time.Now().UTC()
		w.round(t, m)
		must.SliceEmpty(t, m.Unread(), must.Sprint("what it answered in this term is in the record"))

		next := w.mapper(t)
		time.Sleep(20 * time.Second)
		w.round(t, next)
		must.Eq(t, []string{SourceTraffic}, next.Unread())
		time.Sleep(20 * time.Second)
		w.round(t, next)
		s := w.state.sources[SourceTraffic]
		must.Eq(t, api.SourceAway, s.State())
		must.Eq(t, began, s.Since)
		must.Eq(t, 3, s.Failures)

		third := w.mapper(t)
		w.round(t, third)
		must.Eq(t, api.SourceAway, w.state.sources[SourceTraffic].State(), must.Sprint("nobody has heard of it since"))
		w.trafficErr, w.recordErr = nil, errors.New("no leader")
		must.Error(t, third.round(t.Context()))
		must.Eq(t, []string{SourceTraffic}, third.Unread(), must.Sprint("what is not recorded is not read"))
		w.recordErr = nil
		w.round(t, third)
		must.SliceEmpty(t, third.Unread())
	})
}

// TestMapper_SeesAbsenceInALargeGraphInTime has rounds that are not folded because they
// say nothing new.
func TestMapper_SeesAbsenceInALargeGraphInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := manyWorld()
		m := w.bearing(t, func(*Options) {})
		w.round(t, m)
		w.trafficErr = errors.New("refused")
		began := time.Now().UTC()
		for range 7 { // 30 s
			w.round(t, m)
			time.Sleep(5 * time.Second)
		}
		must.Eq(t, api.SourceAway, w.state.sources[SourceTraffic].State())
		must.Eq(t, began, w.state.sources[SourceTraffic].Since)
	})
}

// TestMapper_CallsASourceWholeWhenAllItSaidIsRecorded cuts a large change into pieces.
func TestMapper_CallsASourceWholeWhenAllItSaidIsRecorded(t *testing.T) {
	t.Parallel()
	pieces := split(api.GraphChange{
		Edges: make([]api.Edge, 2*chunk), RemoveTargets: make([]api.TargetRef, 1),
		Sources: []api.SourceStatus{{Name: "away", Error: "refused"}, {Name: "partial", OK: true, Partial: "some"}, {Name: "whole", OK: true}},
	})
	first, last := pieces[0], pieces[len(pieces)-1]
	must.Eq(t, []string{"away", "partial"}, []string{first.Sources[0].Name, first.Sources[1].Name})
	must.Len(t, 1, last.Sources)
	must.Eq(t, "whole", last.Sources[0].Name)
}
