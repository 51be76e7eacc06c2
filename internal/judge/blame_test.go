package judge_test

import (
	"math"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/judge"
)

func TestExplainBlamesTheChangeThatFitsInTimeAndSpace(t *testing.T) {
	now := began()
	change := func(id string, ago time.Duration, instances ...string) judge.Change {
		return judge.Change{ID: id, Began: []time.Time{now.Add(-ago)}, Reached: instances}
	}
	changes := []judge.Change{
		change("kernel", 30*time.Minute, "a", "b", "c", "d"),
		change("openssl", 30*time.Minute, "e", "f", "g", "h"),
		change("old", 60*time.Hour, "a", "b", "c", "d", "e", "f", "g", "h"),
		change("later", 5*time.Minute, "a", "b"),
	}
	var faults []judge.Fault
	for _, i := range []string{"a", "b", "c"} {
		faults = append(faults, judge.Fault{Instance: i, At: now.Add(-20 * time.Minute)}, judge.Fault{Instance: i, At: now.Add(-10 * time.Minute)})
	}
	got := judge.Explain(changes, faults, now)
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
			faults = append(faults, judge.Fault{Instance: i, At: now.Add(-time.Duration(day*20+10) * time.Hour)})
		}
	}
	for _, b := range judge.Explain(changes, faults, now) {
		if b.ID == "kernel" {
			must.Less(t, 0, b.Score)
		}
	}
	must.SliceEmpty(t, judge.Explain(changes, nil, now))
	must.False(t, math.IsNaN(got[0].Score))
}

func TestExplainCountsFromTheStageBeforeAFault(t *testing.T) {
	now := began()
	ago := func(minutes ...int) (times []time.Time) {
		for _, m := range minutes {
			times = append(times, now.Add(-time.Duration(m)*time.Minute))
		}
		return times
	}
	both := []string{"a", "b"}
	faults := []judge.Fault{{Instance: "a", At: now.Add(-20 * time.Minute)}, {Instance: "b", At: now.Add(-19 * time.Minute)}}
	for what, c := range map[string]struct {
		staged []time.Time // of a rollout beside one that began 90 minutes ago
		best   string
	}{
		"a stage just before the faults":            {ago(200, 21), "staged"},
		"stages long before the faults":             {ago(200, 180), "single"},
		"a stage after them makes no difference":    {ago(200, 180, 5), "single"},
		"a first stage after them explains nothing": {ago(5), "single"},
	} {
		got := judge.Explain([]judge.Change{{ID: "staged", Began: c.staged, Reached: both}, {ID: "single", Began: ago(90), Reached: both}}, faults, now)
		must.SliceNotEmpty(t, got, must.Sprint(what))
		must.Eq(t, c.best, got[0].ID, must.Sprint(what))
	}
	must.SliceEmpty(t, judge.Explain([]judge.Change{{ID: "not begun", Reached: both}}, faults, now))
}
