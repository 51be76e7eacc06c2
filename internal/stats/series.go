package stats

import "math"

// Series sums up a series of values in six floats, however long the series is. The
// likelihood of any first-order autocorrelation follows from them. The sums are
// about the first value, so that a large mean does not swallow the noise.
type Series struct {
	N       float64 `json:"n"`
	First   float64 `json:"first"`
	Last    float64 `json:"last"`    // about First, as all that follow
	Sum     float64 `json:"sum"`     // of the values
	Squares float64 `json:"squares"` // of the values squared
	Lag     float64 `json:"lag"`     // of the products of neighbours
}

// Observe adds one value. A value that is not a finite number is left out.
func (s *Series) Observe(d float64) {
	if !finite(d) {
		return
	}
	if s.N == 0 {
		s.First = d
	}
	e := d - s.First
	s.Sum += e
	s.Squares += e * e
	s.Lag += e * s.Last
	s.Last = e
	s.N++
}

// Fade halves the weight of all values so far, so that old ones lose theirs. What
// is estimated stays as it was.
func (s *Series) Fade() {
	s.N, s.Sum, s.Squares, s.Lag = s.N/2, s.Sum/2, s.Squares/2, s.Lag/2
}

// Mean is the mean of all values, 0 if there is none.
func (s *Series) Mean() float64 {
	if s.N == 0 {
		return 0
	}
	return s.First + s.Sum/s.N
}

// deviations is the sum of squared deviations from the mean.
func (s *Series) deviations() float64 {
	return max(s.Squares-s.Sum*s.Sum/s.N, 0)
}

// seriesLimit is the largest autocorrelation that the estimate may have. A larger
// one could not be distinguished from a random walk.
const seriesLimit = 0.98

// Autocorrelation is the estimated coefficient, 0 to 0.98, corrected for the
// bias of short series, which show (1+3f)/n less than they have (Kendall 1954).
func (s *Series) Autocorrelation() float64 {
	all := s.deviations()
	if s.N < 3 || all <= 0 {
		return 0
	}
	mean := s.Sum / s.N
	// Sum of (e_t - mean)(e_(t-1) - mean), written out; the first value is 0.
	products := s.Lag - mean*(2*s.Sum-s.Last) + (s.N-1)*mean*mean
	found := products / all
	return min(max(found+(1+3*found)/s.N, 0), seriesLimit)
}

// Error is the standard error of Autocorrelation.
func (s *Series) Error() float64 {
	if s.N < 3 {
		return 1
	}
	f := s.Autocorrelation()
	return math.Sqrt((1 - f*f + 1/s.N) / s.N)
}

// History is the knowledge that the series gives about a later series whose values
// are apart by power times as much. The correlation of a first-order process fades
// as a power of time. The history is unknown if the series has fewer than least
// values. It is unknown too if the series never changed, because such a series does
// not show how it moves.
func (s *Series) History(power, least float64) History {
	if s.N < max(least, 3) || s.deviations() <= 0 || !(power > 0) || math.IsInf(power, 0) {
		return History{Unknown: true}
	}
	phi, deviation := s.Autocorrelation(), s.Error()
	low := math.Pow(max(phi-deviation, 0), power)
	high := math.Pow(min(phi+deviation, 1), power)
	return History{Phi: (low + high) / 2, Error: (high - low) / 2, Variance: s.Variance(), N: s.N}
}

// Variance is the variance of the values. It is corrected for the part that their
// autocorrelation hides from a short series.
func (s *Series) Variance() float64 {
	if s.N < 3 {
		return 0
	}
	f := s.Autocorrelation()
	shrunk := max(1-((1+f)/(1-f)-1)/(s.N-1), 0.1)
	return s.deviations() / (s.N - 1) / shrunk
}
