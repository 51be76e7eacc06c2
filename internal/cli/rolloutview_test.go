package cli

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

func viewed(r api.Rollout) string {
	var out strings.Builder
	e := &env{Options{Now: func() time.Time { return time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC) }}}
	e.printRollout(&out, r)
	return out.String()
}

func TestAWaitingRolloutShowsItsQuietHour(t *testing.T) {
	r := api.Rollout{ID: "1", Status: api.RolloutWaiting, Quiet: &api.Quiet{Reason: "waits for the quietest hour"}}
	must.StrContains(t, viewed(r), "waits for the quietest hour")
	r.Former = &api.FormerJob{}
	must.StrNotContains(t, viewed(r), "waits for the quietest hour")
}

func TestAVerdictShowsWhichRolloutIsBlamed(t *testing.T) {
	r := api.Rollout{ID: "1", Verdict: &api.Verdict{Kind: api.VerdictContinue, Blame: []api.Blame{
		{Rollout: "2", Target: api.TargetRef{Namespace: "prod", Job: "db", Group: "db"}, Share: 0.75},
	}}}
	text := viewed(r)
	must.StrContains(t, text, "What got worse is explained by, best first:")
	must.StrContains(t, text, "prod/db/db")
	must.StrContains(t, text, "75 % got worse")
}

func TestAVerdictShowsWhatGotWorseBesideIt(t *testing.T) {
	front := api.TargetRef{Namespace: "prod", Job: "front", Group: "web"}
	r := api.Rollout{ID: "1", Verdict: &api.Verdict{Kind: api.VerdictContinue, Neighbours: []api.NeighbourEffect{
		{Target: front, KPI: "error_rate", Unit: "share", Value: 0.5, Before: 0.01},
		{Target: front, KPI: "cpu", Unit: "cores", Value: 2, Before: 1, Earlier: true},
	}}}
	text := viewed(r)
	must.StrContains(t, text, "Worse than usual at neighbours:")
	must.RegexMatch(t, regexp.MustCompile(`prod/front/web +error_rate +1 % +50 %`), text)
	must.StrContains(t, text, "from before the first stage")
}

func TestRatesOfBytesAreReadable(t *testing.T) {
	must.Eq(t, "3.5 MiB/s", amount(3.5*(1<<20), "bytes/s"))
}
