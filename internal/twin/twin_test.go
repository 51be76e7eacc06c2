package twin_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/twin"
)

func TestJobID_NamesTheSimulation(t *testing.T) {
	id := twin.JobID("01J-rollout/3", "a1b2", twin.Treatment)
	must.Eq(t, "oakum-twin-01J-rollout-3-a1b2-treatment", id)
	must.EqOp(t, twin.Treatment, twin.Role(id))
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
