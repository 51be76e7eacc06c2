package stats

import (
	"slices"
	"testing"

	"github.com/shoenig/test/must"
	"pgregory.net/rapid"
)

func TestLargest_IsTheMaximum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SliceOfN(rapid.Float64(), 1, 70).Draw(t, "v")
		must.Eq(t, slices.Max(v), largest(v))
	})
}
