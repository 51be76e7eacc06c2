package stats

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/shoenig/test/must"
)

// TestSeries_LearnsNoise estimates a first-order process whose mean is far away,
// before and after it has faded.
func TestSeries_LearnsNoise(t *testing.T) {
	for _, rho := range []float64{0, 0.5, 0.9} {
		rng := rand.New(rand.NewPCG(2, 2))
		var s Series
		x := rng.NormFloat64()
		for range 4000 {
			x = rho*x + math.Sqrt(1-rho*rho)*rng.NormFloat64()
			s.Observe(1e6 + 3*x)
			if s.N > 2880 {
				s.Fade()
			}
		}
		s.Observe(math.NaN())
		must.InDelta(t, rho, s.Autocorrelation(), 4*s.Error()+0.01)
		must.InDelta(t, 9, s.Variance(), 4)
		must.InDelta(t, 1e6, s.Mean(), 2)
		h := s.History(2, 20)
		must.InDelta(t, rho*rho, h.Phi, 0.1)
		must.True(t, s.History(0, 20).Unknown)
		must.True(t, s.History(1, 1e9).Unknown)
	}
	var constant Series
	for range 100 {
		constant.Observe(5)
	}
	must.Eq(t, 0, constant.Autocorrelation())
	must.Eq(t, 0, constant.Variance())
	must.Eq(t, 5, constant.Mean())
	must.True(t, constant.History(1, 20).Unknown, must.Sprint("what stood still says nothing about what moves"))
}
