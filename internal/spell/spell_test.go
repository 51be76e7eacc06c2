package spell_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/spell"
)

func TestNearest_IsAtMostTwoEditsAway(t *testing.T) {
	t.Parallel()
	known := []string{"off", "graph", "patch", "patches", "policy"}
	for word, want := range map[string]string{"grahp": "graph", "patche": "patch", "polic": "policy", "plugin": "", "": "", "on": "", "of": "off"} {
		must.Eq(t, want, spell.Nearest(word, known), must.Sprint(word))
	}
}
