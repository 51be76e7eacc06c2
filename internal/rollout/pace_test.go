package rollout

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/api"
)

// pacedView is a view of healthy instances of a job with a min_healthy_time of 10 s. Each
// began its run at the start of the epoch.
func pacedView(ids ...string) JobView {
	v := JobView{JobPace: JobPace{MinHealthyTime: 10 * time.Second}, Runs: map[string]time.Time{}}
	for _, id := range ids {
		v.Instances = append(v.Instances, api.Instance{ID: id, Health: api.Healthy})
		v.Runs[id] = time.Unix(0, 0)
	}
	return v
}

func TestSteady_LookWaitsForMinHealthyTime(t *testing.T) {
	begun := api.Rollout{Stages: []api.Stage{{Number: 1}}}
	s, now := Steady{}, time.Unix(1000, 0)
	look := func(r api.Rollout, v JobView, after time.Duration) api.Health {
		now = now.Add(after)
		return s.Look(r, v, now).Instances[0].Health
	}
	given := pacedView("a")
	must.Eq(t, api.Pending, look(begun, given, 0))
	must.Eq(t, api.Healthy, given.Instances[0].Health, must.Sprint("the view that is given stays as it is"))
	must.Eq(t, now.Add(10*time.Second), s.Due(given))
	must.Eq(t, api.Pending, look(begun, given, 9*time.Second))
	must.Eq(t, api.Healthy, look(begun, given, time.Second))
	must.True(t, s.Due(given).IsZero())

	sick := pacedView("a")
	sick.Instances[0].Health = api.Pending
	must.Eq(t, api.Pending, look(begun, sick, time.Second))
	must.Eq(t, api.Pending, look(begun, given, time.Second), must.Sprint("it begins anew"))
	must.Eq(t, api.Healthy, look(begun, given, 10*time.Second))

	restarted := pacedView("a")
	restarted.Runs["a"] = time.Unix(5, 0)
	must.Eq(t, api.Pending, look(begun, restarted, time.Hour), must.Sprint("no look has seen it down, and it has started anew"))
	must.Eq(t, api.Healthy, look(begun, restarted, 10*time.Second))
}

// TestSteady_TakesUpTheRecord: what a former leader has found healthy is so, and what was
// there before the rollout began.
func TestSteady_TakesUpTheRecord(t *testing.T) {
	now := time.Unix(1000, 0)
	must.Eq(t, api.Healthy, Steady{}.Look(api.Rollout{}, pacedView("a"), now).Instances[0].Health)
	r := api.Rollout{Stages: []api.Stage{{Number: 1}}, Instances: []api.Instance{{ID: "a", Health: api.Healthy}, {ID: "b", Health: api.Pending}}}
	seen := Steady{}.Look(r, pacedView("a", "b", "c"), now).Instances
	must.Eq(t, []api.Health{api.Healthy, api.Pending, api.Pending}, []api.Health{seen[0].Health, seen[1].Health, seen[2].Health})
}

// TestSteady_AnswersAsALogOfLooksDoes draws looks at one instance, and compares with what
// the whole list of them says.
func TestSteady_AnswersAsALogOfLooksDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := api.Rollout{Stages: []api.Stage{{Number: 1}}}
		s, now, run := Steady{}, time.Unix(1000, 0), 0
		began := now // of the present run of good looks
		good := false
		for range rapid.IntRange(1, 40).Draw(t, "looks") {
			now = now.Add(time.Duration(rapid.IntRange(1, 6).Draw(t, "seconds")) * time.Second)
			v := pacedView("a")
			healthy, restarted := rapid.IntRange(0, 9).Draw(t, "health") > 0, rapid.IntRange(0, 9).Draw(t, "restart") == 0
			if restarted {
				run++
			}
			v.Runs["a"] = time.Unix(int64(run), 0)
			if !healthy {
				v.Instances[0].Health = api.Pending
			}
			if !good || restarted {
				began = now
			}
			good = healthy
			want := api.Pending
			if healthy && now.Sub(began) >= v.MinHealthyTime {
				want = api.Healthy
			}
			must.Eq(t, want, s.Look(r, v, now).Instances[0].Health)
		}
	})
}

func TestGrace_SpansChecksThatMissAndThenMinHealthyTime(t *testing.T) {
	must.Eq(t, 10*time.Second, JobPace{MinHealthyTime: 10 * time.Second}.Grace())
	must.Eq(t, 22*time.Second, JobPace{MinHealthyTime: 10 * time.Second, CheckTime: 4 * time.Second}.Grace())
}
