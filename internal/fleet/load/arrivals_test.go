package load

import (
	"math"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/internal/stats"
)

// TestArrivals_ArePoisson: over many processes, the number of points in an interval
// has the mean and the variance of a Poisson variable, and those in the next
// interval do not depend on it, whatever the place and the length.
func TestArrivals_ArePoisson(t *testing.T) {
	t.Parallel()
	const keys = 20_000
	for _, at := range []struct{ from, length float64 }{{0, 0.3}, {0, 5}, {3, 50}, {60, 10}, {1000.4, 7}, {123_456.7, 20}, {5e6, 1000}} {
		var sum, squares, next, cross float64
		for key := range uint64(keys) {
			k := mix(key)
			a, b, c := arrivals(k, at.from), arrivals(k, at.from+at.length), arrivals(k, at.from+2*at.length)
			x, y := b-a-at.length, c-b-at.length
			sum, next, squares, cross = sum+x, next+y, squares+x*x, cross+x*y
		}
		deviation := math.Sqrt(at.length / keys)
		must.Less(t, 4*deviation, math.Abs(sum/keys), must.Sprintf("mean of [%g, +%g]", at.from, at.length))
		must.Less(t, 4*deviation, math.Abs(next/keys), must.Sprintf("mean after [%g, +%g]", at.from, at.length))
		wide := at.length * math.Sqrt((2+1/at.length)/keys)
		must.Less(t, 4*wide, math.Abs(squares/keys-at.length), must.Sprintf("variance of [%g, +%g]", at.from, at.length))
		must.Less(t, 4*at.length/math.Sqrt(keys), math.Abs(cross/keys), must.Sprintf("covariance of [%g, +%g]", at.from, at.length))
	}
}

func TestArrivals_Rise(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.Uint64().Draw(t, "key")
		x := rapid.Float64Range(0, 1e7).Draw(t, "x")
		more := rapid.Float64Range(0, 1e3).Draw(t, "more")
		a, b := arrivals(key, x), arrivals(key, x+more)
		must.LessEq(t, b, a)
		must.Eq(t, a, arrivals(key, x))
		must.Eq(t, math.Trunc(a), a)
	})
}

// TestWeek_IsItsIntegral compares the closed form with sums over small steps.
func TestWeek_IsItsIntegral(t *testing.T) {
	t.Parallel()
	origin := time.Date(2026, 11, 29, 10, 17, 3, 0, time.UTC)
	for name, w := range map[string]Week{"steady": Steady(), "office": Office(), "evenings": Evenings()} {
		f := newFlow(w, origin, keyOf(3, name))
		must.Eq(t, 0.0, f.integral(origin))
		for _, after := range []time.Duration{0, 3 * time.Hour, 40 * time.Hour, 8 * 24 * time.Hour} {
			const step = time.Second
			from := origin.Add(after)
			sum := 0.0
			for at := from; at.Before(from.Add(2 * time.Hour)); at = at.Add(step) {
				r := f.rate(at.Add(step / 2))
				must.Positive(t, r)
				sum += r * step.Seconds()
			}
			got := f.integral(from.Add(2*time.Hour)) - f.integral(from)
			must.Less(t, 1e-3*sum, math.Abs(got-sum), must.Sprintf("%s after %s", name, after))
		}
		const year = 52 * 7 * 24 * time.Hour
		must.Less(t, 1e-4, math.Abs(f.integral(origin.Add(year))/year.Seconds()-1), must.Sprint(name))
	}
	noon := time.Date(2026, 12, 1, 13, 0, 0, 0, time.UTC)
	must.Eq(t, stats.HourOfWeek(noon), 37) // Tuesday
	f := newFlow(Office(), origin, 1)
	must.Greater(t, 4*f.rate(noon.Add(-11*time.Hour)), f.rate(noon))
}
