package stats

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/shoenig/test/must"
)

// recorded are values that SciPy computed; testdata/oracle.py wrote them.
type recorded struct {
	Share []struct {
		Hits, Trials    int
		Miss, Low, High float64
	}
	Rate  []struct{ Events, Exposure, Miss, Low, High float64 }
	TTest []struct {
		X    []float64
		LogE float64 `json:"log_e"`
	}
}

func TestStatistics_AgreeWithSciPy(t *testing.T) {
	raw, err := os.ReadFile("testdata/oracle.json")
	must.NoError(t, err)
	var want recorded
	must.NoError(t, json.Unmarshal(raw, &want))
	must.SliceNotEmpty(t, want.TTest)
	for _, c := range want.Share {
		low, high := ShareBounds(c.Hits, c.Trials, c.Miss)
		must.InDelta(t, c.Low, low, 1e-9)
		must.InDelta(t, c.High, high, 1e-9)
	}
	for _, c := range want.Rate {
		low, high := RateBounds(c.Events, c.Exposure, c.Miss)
		must.InDelta(t, c.Low, low, 1e-9)
		must.InDelta(t, c.High, high, 1e-9)
	}
	// Without autocorrelation the evidence of a series is that of a mixture of
	// noncentral t distributions, up to the approximation of one tail.
	for _, c := range want.TTest {
		p := NewPaired(History{})
		for _, x := range c.X {
			p.Observe(x)
		}
		must.InDelta(t, c.LogE, p.LogE(), 0.01)
	}
}
