package ui

import (
	"testing"

	"github.com/shoenig/test/must"
)

func TestEvidence_SaysHowFarItIs(t *testing.T) {
	t.Parallel()
	for want, c := range map[string][2]float64{
		"none of 10^2.0":           {-2.1, 2},
		"10^0.9 of 10^1.3":         {0.9, 1.3},
		"enough: 10^1.3 is needed": {851.8, 1.3},
	} {
		must.EqOp(t, want, evidence(c[0], c[1]))
	}
}

func TestPlain_HasNoExponent(t *testing.T) {
	t.Parallel()
	must.EqOp(t, "2174", plain(2174.2))
	must.EqOp(t, "0.0123", plain(0.01234))
}
