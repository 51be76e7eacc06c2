package stats

import (
	"fmt"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/store"
)

const (
	// sketchAccuracy is the relative error of a quantile.
	sketchAccuracy = 0.01
	// sketchBins covers eight decades at that accuracy; beyond, the lowest
	// values collapse, which the upper quantiles do not feel.
	sketchBins = 1024
	// sketchLimit is where a sketch halves its weights, so that old days fade.
	sketchLimit = 200_000
)

// Sketch is a mergeable summary of non-negative values from which quantiles
// are read with one percent relative error.
type Sketch struct {
	dd  *ddsketch.DDSketch
	sum float64
}

// NewSketch returns an empty sketch.
func NewSketch() *Sketch {
	dd, err := ddsketch.LogCollapsingLowestDenseDDSketch(sketchAccuracy, sketchBins)
	if err != nil {
		panic(fmt.Sprintf("stats: sketch constants: %v", err)) //nolint:forbidigo // only wrong constants get here
	}
	return &Sketch{dd: dd}
}

// Add records value with a weight. Values that are negative or not numbers,
// and weights that are not positive, are refused.
func (s *Sketch) Add(value, weight float64) error {
	if !finite(value, weight) || value < 0 || weight <= 0 {
		return fmt.Errorf("add value to sketch: %g with weight %g", value, weight)
	}
	if err := s.dd.AddWithCount(value, weight); err != nil {
		return fmt.Errorf("add value to sketch: %w", err)
	}
	s.sum += value * weight
	if s.dd.GetCount() > sketchLimit {
		if err := s.dd.Reweight(0.5); err != nil {
			return fmt.Errorf("halve sketch: %w", err)
		}
		s.sum /= 2
	}
	return nil
}

// Count is the total weight.
func (s *Sketch) Count() float64 { return s.dd.GetCount() }

// Mean is the weighted mean, 0 when empty.
func (s *Sketch) Mean() float64 {
	if s.dd.IsEmpty() {
		return 0
	}
	return s.sum / s.dd.GetCount()
}

// Quantile is the value below which the share q lies, 0 when empty.
func (s *Sketch) Quantile(q float64) float64 {
	v, err := s.dd.GetValueAtQuantile(min(max(q, 0), 1))
	if err != nil {
		return 0
	}
	return v
}

// Above is the weight of the values above the limit.
func (s *Sketch) Above(limit float64) float64 {
	var weight float64
	s.dd.ForEach(func(value, count float64) bool {
		if value > limit {
			weight += count
		}
		return false
	})
	return weight
}

// Merge adds another sketch's values.
func (s *Sketch) Merge(o *Sketch) error {
	if err := s.dd.MergeWith(o.dd); err != nil {
		return fmt.Errorf("merge sketches: %w", err)
	}
	s.sum += o.sum
	return nil
}

// Bytes is the sketch in a form that DecodeSketch reads; sum travels with the
// caller, which has the mean already.
func (s *Sketch) Bytes() []byte {
	var out []byte
	s.dd.Encode(&out, false)
	return out
}

// DecodeSketch reads Bytes; mean restores the exact mean.
func DecodeSketch(raw []byte, mean float64) (*Sketch, error) {
	provider := func() store.Store { return store.NewCollapsingLowestDenseStore(sketchBins) }
	dd, err := ddsketch.DecodeDDSketch(raw, provider, nil)
	if err != nil {
		return nil, fmt.Errorf("read sketch: %w", err)
	}
	return &Sketch{dd: dd, sum: mean * dd.GetCount()}, nil
}
