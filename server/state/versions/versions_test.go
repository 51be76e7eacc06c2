package versions

import (
	"fmt"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

func policy(text string, files map[string]string) *api.Policy {
	return &api.Policy{Name: "web", Blocks: []string{"web"}, File: api.SourceFile{Name: "web.hcl", Text: text, Files: files}}
}

func TestApplied_KeepsTheNewestAndEachTextOnce(t *testing.T) {
	t.Parallel()
	recording := map[string]string{"web.har": "recorded"}
	var h *api.PolicyHistory
	var was *api.Policy
	for i := 1; i <= api.PolicyVersionsMax+3; i++ {
		now := policy(fmt.Sprintf("text %d", i), recording)
		before := h
		var version int
		h, version = Applied(h, was, now)
		must.EqOp(t, i, version)
		if before != nil {
			must.EqOp(t, i-1, before.Versions[0].Version, must.Sprint("what was given is not changed"))
		}
		was = now
	}
	must.Len(t, api.PolicyVersionsMax, h.Versions)
	must.MapLen(t, api.PolicyVersionsMax+1, h.Contents, must.Sprint("six texts, and one recording"))
	_, ok := h.Policy(3)
	must.False(t, ok)
	p, ok := h.Policy(4)
	must.True(t, ok)
	must.Eq(t, api.SourceFile{Name: "web.hcl", Text: "text 4", Files: recording}, p.File)

	again, version := Applied(h, was, policy("text 9", recording))
	must.EqOp(t, 9, version)
	must.Eq(t, h, again, must.Sprint("the same file makes no version"))
	_, version = Applied(h, was, policy("text 9", map[string]string{"web.har": "recorded anew"}))
	must.EqOp(t, 10, version)
}

func TestApplied_BeginsWithWhatWasThere(t *testing.T) {
	t.Parallel()
	h, version := Applied(nil, policy("former", nil), policy("newer", nil))
	must.EqOp(t, 2, version)
	p, ok := h.Policy(1)
	must.True(t, ok)
	must.EqOp(t, "former", p.File.Text)
	_, version = Applied(nil, nil, policy("newer", nil))
	must.EqOp(t, 1, version)
}
