package policies_test

import (
	"testing"

	"github.com/shoenig/test/must"
)

// TestDecide_LetsAPolicyWeighCriticalityItself: the expression that the reference shows
// puts weights of its own in the place of the score, and can overrule it both
// ways.
func TestDecide_LetsAPolicyWeighCriticalityItself(t *testing.T) {
	t.Parallel()
	lib := load(t, `policy "weights" {
  specificity = 1
  critical    = 0.5 * min(graph.blast_radius, 10) / 10 + (graph.single_point ? 0.3 : 0) + (graph.single_instance ? 0.2 : 0) >= 0.4
}`)
	cases := map[string]struct {
		radius        int
		single, alone bool
		score         float64
		critical      bool
	}{
		"a wide radius":                     {8, false, false, 0.1, true},
		"a single point with one instance":  {0, true, true, 0.1, true},
		"a high score, and nothing weighed": {2, false, false, 0.9, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := facts()
			f.Criticality.BlastRadius, f.Criticality.SinglePoint, f.Criticality.SingleInstance = c.radius, c.single, c.alone
			f.Criticality.Score = c.score
			d, err := lib.Decide(f)
			must.NoError(t, err)
			must.Eq(t, c.critical, d.Critical)
			must.Eq(t, "weights", because(t, d, "critical").Policy)
		})
	}
}
