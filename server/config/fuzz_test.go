package config

import (
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/shoenig/test/must"
)

// FuzzFile holds that no file can upset the loader, and that whatever passes
// as a set of rules can be evaluated.
func FuzzFile(f *testing.F) {
	f.Add(`name = "a"`)
	f.Add(`log { level = 1 }`)
	f.Add(`auth {
  rule "x" {
    when         = claims[*].y || regex("(", claims.z) == 1
    capabilities = ["read"]
  }
}`)
	f.Add(`prometheus {
  kpi "x" { kind = env("X") }
}`)
	f.Fuzz(func(t *testing.T, text string) {
		none := func(string) string { return "" }
		l := &loader{cfg: Dev(none), getenv: none, ranges: map[string]hcl.Range{}, texts: map[string][]byte{}}
		l.file("a.hcl", []byte(text))
		l.cfg.derive(func() (string, error) { return "host", nil })
		l.check()
		if len(l.problems) == 0 {
			_, err := l.cfg.Auth.Rules.Evaluate(map[string]any{"groups": []any{"a"}, "y": nil})
			must.NoError(t, err)
		}
	})
}
