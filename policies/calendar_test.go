package policies_test

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

func TestCalendar_AsksForWindowsAndFreezesAlone(t *testing.T) {
	t.Parallel()
	shipped := load(t)
	must.False(t, shipped.HasCalendar())
	for body, reads := range map[string]bool{
		"select { affected = true }":                              false,
		"strategy \"selective\" {}":                               false,
		"critical = target.affected":                              true,
		"select { where = target.packages[\"openssl\"] != null }": true,
	} {
		lib := load(t, selecting(body))
		must.True(t, lib.ReadsInstalled(), must.Sprint(body))
		must.EqOp(t, reads, lib.CalendarReadsInstalled(), must.Sprint(body))
	}
	empty, err := shipped.Calendar(facts())
	must.NoError(t, err)
	must.Eq(t, api.Decision{Target: facts().Target.TargetRef, Because: empty.Because}, empty)

	lib := load(t, `policy "prod" {
  applies = target.namespace == "prod"
  window "nights" {
    start  = "0 22 * * *"
    length = "6h"
    cutoff = "hold"
  }
  freeze "year-end" {
    from   = "2026-12-18"
    to     = "2027-01-04"
    reason = "trading freeze"
  }
  approval { from = "ops" }
}`, `policy "other" {
  applies = target.namespace == "prod"
  approval { from = "dev" }
}`)
	must.True(t, lib.HasCalendar())
	_, err = lib.Decide(facts())
	must.Error(t, err, must.Sprint("the two policies contradict each other"))
	d, err := lib.Calendar(facts())
	must.NoError(t, err, must.Sprint("not about windows and freezes"))
	must.Len(t, 1, d.Windows)
	must.EqOp(t, "prod/nights", d.Windows[0].Name)
	f, on := d.Frozen(time.Date(2026, 12, 24, 0, 0, 0, 0, time.UTC))
	must.True(t, on)
	must.EqOp(t, "prod/year-end", f.Name)

	elsewhere := facts()
	elsewhere.Target.Namespace = "test"
	d, err = lib.Calendar(elsewhere)
	must.NoError(t, err)
	must.SliceEmpty(t, d.Windows)
	must.SliceEmpty(t, d.Freezes)
}
