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
	must.EqOp(t, twin.Treatment, twin.Role(id))
}

func TestSimulation_OfWhatIsNoTwin(t *testing.T) {
	for _, job := range []string{"web", "oakum-twin-", "oakum-twin-x", "oakum-twin--a-control"} {
		_, ok := twin.Simulation(job)
		must.False(t, ok, must.Sprint(job))
	}
}

func TestBakedPath_IsBesideTheImage(t *testing.T) {
	for image, want := range map[string]string{
		"/images/web.qcow2":             "/images/web+a1b2.qcow2",
		"/images/web+0011.qcow2":        "/images/web+a1b2.qcow2",
		"/c++/images/web.img":           "/c++/images/web.img+a1b2.qcow2",
		"/images/web+0011+2233.qcow2":   "/images/web+0011+a1b2.qcow2",
		"/images/c+d/debian-12.0.qcow2": "/images/c+d/debian-12.0+a1b2.qcow2",
	} {
		must.EqOp(t, want, twin.BakedPath(image, "a1b2"))
	}
}
