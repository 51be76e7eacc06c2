package fleet

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

func TestTasks_AreRestartedAndThenFail(t *testing.T) {
	r := newRig(t, 1)
	r.settled(1, rolling(1))
	a := r.Instances(ref())[0]
	must.NoError(t, r.Kill(a.ID, true))
	must.True(t, a.Events[len(a.Events)-2].OOM)
	state, _ := a.TaskState(a.Group.Tasks[0])
	must.Eq(t, "pending", state)
	r.pass(16 * time.Second)
	must.True(t, a.Answers())
	must.Eq(t, 1, a.Restarts)
	for range 2 {
		must.NoError(t, r.Kill(a.ID, false))
		r.pass(16 * time.Second)
	}
	must.Eq(t, ClientFailed, a.Client, must.Sprint("two attempts in half an hour"))
	must.Eq(t, a, r.Instances(ref())[0], must.Sprint("it is replaced 30 s later"))
	r.pass(15 * time.Second)
	b := r.Instances(ref())[0]
	must.Eq(t, a.ID, b.Previous)
	must.Eq(t, 1, b.Rescheduled)
	must.True(t, b.Answers())
	must.True(t, api.IsCode(r.Kill(a.ID, false), api.CodeConflict))
}

func TestReschedule_DoublesItsDelay(t *testing.T) {
	r := newRig(t, 1)
	r.settled(1, rolling(1))
	r.Behave(func(Build) Behaviour { return Behaviour{CrashAfter: time.Second} })
	must.NoError(t, r.Crash(r.Instances(ref())[0].ID, "Exceeded allowed attempts"))
	var gaps []time.Duration
	last := r.Instances(ref())[0]
	for len(gaps) < 3 {
		next, ok := r.Next()
		must.True(t, ok)
		r.Advance(next)
		if a := r.Instances(ref())[0]; a != last {
			gaps = append(gaps, r.Now().Sub(last.Ended).Truncate(time.Second))
			last = a
		}
	}
	must.Eq(t, []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute}, gaps)
}

func TestBehaviours(t *testing.T) {
	cases := map[string]struct {
		b       Behaviour
		running int
		answer  int
	}{
		"as usual":     {Behaviour{}, 20, 20},
		"slow":         {Behaviour{Start: time.Second, Boot: time.Hour}, 20, 0},
		"never starts": {Behaviour{NeverStarts: 1}, 0, 0},
		"never boots":  {Behaviour{NeverBoots: 1}, 20, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 3)
			r.Behave(func(Build) Behaviour { return c.b })
			r.register(web(20, "v1", rolling(20)))
			r.pass(10 * time.Minute)
			running, answer := 0, 0
			for _, a := range r.Instances(ref()) {
				if a.Client == ClientRunning {
					running++
				}
				if a.Answers() {
					answer++
				}
			}
			must.Eq(t, c.running, running)
			must.Eq(t, c.answer, answer)
		})
	}
}

func TestStopAlloc_EndsInstancesLater(t *testing.T) {
	r := newRig(t, 1)
	r.Behave(func(Build) Behaviour { return Behaviour{Stop: 5 * time.Second} })
	r.settled(2, rolling(2))
	a := r.Instances(ref())[0]
	must.NoError(t, r.StopAlloc(a.ID))
	r.pass(time.Second)
	must.Eq(t, DesiredStop, a.Desired)
	must.Eq(t, ClientRunning, a.Client)
	must.Len(t, 2, r.Instances(ref()))
	r.pass(5 * time.Second)
	must.Eq(t, ClientComplete, a.Client)
}
