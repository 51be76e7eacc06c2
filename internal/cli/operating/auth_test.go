package operating

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// TestExplain_TellsNoRuleFromNoAuthentication: JSON leaves out an empty list of grants, so
// that both come without any.
func TestExplain_TellsNoRuleFromNoAuthentication(t *testing.T) {
	t.Parallel()
	ref := &api.TargetRef{Namespace: "shop", Job: "web-1"}
	for _, on := range []*api.TargetRef{nil, ref} {
		nobody := explain(api.Identity{Name: "eve", Via: "jwt"}, api.CapPatchSubmit, "", on)
		must.False(t, nobody.May)
		must.EqOp(t, "no rule gives it", nobody.Why)
		off := explain(api.Identity{Via: api.ViaDev, Capabilities: api.Capabilities()}, api.CapPatchSubmit, "", on)
		must.True(t, off.May)
		must.StrContains(t, off.Why, "authentication is off")
	}
}
