package server

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/workload"
	"github.com/oakumhq/oakum/server/state"
)

// TestTwinsRequest_HasTheWorkloadThatWasDecidedOn reads it out of the policies in force.
func TestTwinsRequest_HasTheWorkloadThatWasDecidedOn(t *testing.T) {
	const text, answers = `{"path":"/items","weight":3}` + "\n", `{"path":"/price/1"}` + "\n"
	store, put := newestState(t)
	put(&state.PolicyPut{Policy: api.Policy{
		Name: "web", File: api.SourceFile{Name: "web.hcl", Files: map[string]string{"web.ndjson": text, "pricing.ndjson": answers}},
	}})

	sandbox := twins{store: store}
	ask := func(digest string) (workload.Workload, error) {
		r := api.Rollout{Patch: "p", Decision: api.Decision{Simulate: api.SimulateSpec{Recorded: digest}}}
		req, err := sandbox.request("1", r, api.Target{})
		return req.Workload, err
	}
	w, err := ask(workload.Digest([]byte(text)))
	must.NoError(t, err)
	must.Len(t, 1, w.Requests)
	must.Eq(t, "/items", w.Requests[0].Path)

	w, err = ask("")
	must.NoError(t, err)
	must.True(t, w.Empty())

	_, err = ask(workload.Digest([]byte("of a policy that is gone")))
	must.True(t, api.IsCode(err, api.CodeNotFound))

	stub := api.Stub{Name: "pricing", Port: 9091, Recorded: workload.Digest([]byte(answers))}
	r := api.Rollout{Patch: "p", Decision: api.Decision{Simulate: api.SimulateSpec{Stubs: []api.Stub{stub}}}}
	req, err := sandbox.request("1", r, api.Target{})
	must.NoError(t, err)
	must.Len(t, 1, req.Stubs)
	must.EqOp(t, 9091, req.Stubs[0].Port)
	must.StrContains(t, string(req.Stubs[0].Answers), `"path":"/price/1"`)
	r.Decision.Simulate.Stubs[0].Recorded = workload.Digest([]byte("gone"))
	_, err = sandbox.request("1", r, api.Target{})
	must.True(t, api.IsCode(err, api.CodeNotFound))
}
