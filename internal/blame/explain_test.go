package blame

import (
	"math"
	"testing"
	"time"

	"github.com/oakumhq/oakum/internal/blame/blametest"
	"github.com/shoenig/test/must"
)

func TestExplain_BlamesTheChangeThatFitsInTimeAndSpace(t *testing.T) {
	now := blametest.Noon()
	change := func(id string, ago time.Duration, instances ...string) Change {
		return Change{ID: id, Began: []time.Time{now.Add(-ago)}, Reach: instances}
	}
	changes := []Change{
		change("kernel", 30*time.Minute, "a", "b", "c", "d"),
		change("openssl", 30*time.Minute, "e", "f", "g", "h"),
		change("old", 60*time.Hour, "a", "b", "c", "d", "e", "f", "g", "h"),
		change("later", 5*time.Minute, "a", "b"),
	}
	var faults []Fault
	for _, i := range []string{"a", "b", "c"} {
		faults = append(faults, Fault{Instance: i, At: now.Add(-20 * time.Minute)}, Fault{Instance: i, At: now.Add(-10 * time.Minute)})
	}
	got := Explain(changes, faults, now)
	must.SliceNotEmpty(t, got)
	must.Eq(t, "kernel", got[0].ID)
	must.Eq(t, 6, got[0].Faults)
	must.Eq(t, 0.75, got[0].Spatial)
	for _, b := range got {
		must.NotEq(t, "openssl", b.ID, must.Sprint("nothing failed there"))
		must.NotEq(t, "later", b.ID, must.Sprint("came after the faults"))
	}
	// Faults that were there before are nobody's doing.
	for day := range 3 {
		for _, i := range []string{"a", "b", "c"} {
			faults = append(faults, Fault{Instance: i, At: now.Add(-time.Duration(day*20+10) * time.Hour)})
		}
	}
	for _, b := range Explain(changes, faults, now) {
		if b.ID == "kernel" {
			must.Less(t, 0, b.Score)
		}
	}
	must.SliceEmpty(t, Explain(changes, nil, now))
	must.False(t, math.IsNaN(got[0].Score))
}

func TestExplain_CountsFromTheStageBeforeAFault(t *testing.T) {
	now := blametest.Noon()
	ago := func(minutes ...int) (times []time.Time) {
		for _, m := range minutes {
			times = append(times, now.Add(-time.Duration(m)*time.Minute))
		}
		return times
	}
	both := []string{"a", "b"}
	faults := []Fault{{Instance: "a", At: now.Add(-20 * time.Minute)}, {Instance: "b", At: now.Add(-19 * time.Minute)}}
	for what, c := range map[string]struct {
		staged []time.Time // of a rollout beside one that began 90 minutes ago
		best   string
	}{
		"a stage just before the faults":            {ago(200, 21), "staged"},
		"stages long before the faults":             {ago(200, 180), "single"},
		"a stage after them makes no difference":    {ago(200, 180, 5), "single"},
		"a first stage after them explains nothing": {ago(5), "single"},
	} {
		got := Explain([]Change{{ID: "staged", Began: c.staged, Reach: both}, {ID: "single", Began: ago(90), Reach: both}}, faults, now)
		must.SliceNotEmpty(t, got, must.Sprint(what))
		must.Eq(t, c.best, got[0].ID, must.Sprint(what))
	}
	must.SliceEmpty(t, Explain([]Change{{ID: "not begun", Reach: both}}, faults, now))
}
