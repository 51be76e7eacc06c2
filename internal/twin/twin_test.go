package twin_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/twin"
)

func TestJobID_NamesTheSimulation(t *testing.T) {
	id := twin.JobID("01J-rollout/3", "a1b2", twin.Treatment)
	must.Eq(t, "oakum-twin-01J-rollout-3-a1b2-treatment", id)
	sim, ok := twin.Simulation(id)
	must.True(t, ok)
	must.Eq(t, "01J-rollout-3", sim)
}

func TestSimulation_OfWhatIsNoTwin(t *testing.T) {
	for _, job := range []string{"web", "oakum-twin-", "oakum-twin-x", "oakum-twin--a-control"} {
		_, ok := twin.Simulation(job)
		must.False(t, ok, must.Sprint(job))
	}
}
