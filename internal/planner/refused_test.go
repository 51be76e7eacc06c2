package planner_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/planner"
)

// The code of the error comes from the codes of the refusals, whatever their texts.
func TestRefused_HasTheCodeOfItsRefusals(t *testing.T) {
	refusal := func(code api.ErrorCode, reason string) api.Refusal {
		return api.Refusal{Target: api.TargetRef{Namespace: "prod", Job: "web"}, Code: code, Reason: reason}
	}
	for name, c := range map[string]struct {
		refusals []api.Refusal
		want     api.ErrorCode
	}{
		"nothing was there":    {nil, api.CodeNotFound},
		"all are absent":       {[]api.Refusal{refusal(api.CodeNotFound, "gone"), refusal(api.CodeNotFound, "busy")}, api.CodeNotFound},
		"one is busy":          {[]api.Refusal{refusal(api.CodeNotFound, "gone"), refusal(api.CodeConflict, "there is no job")}, api.CodeConflict},
		"a condition is wrong": {[]api.Refusal{refusal(api.CodeInvalid, "no target matches")}, api.CodeConflict},
	} {
		t.Run(name, func(t *testing.T) {
			err := planner.Refused(api.Plan{Patch: "openssl", Refusals: c.refusals})
			must.NotNil(t, err)
			must.Eq(t, c.want, err.Code)
			must.Len(t, len(c.refusals), err.Details)
		})
	}
	must.Nil(t, planner.Refused(api.Plan{Waves: make([]api.Wave, 1)}))
}
