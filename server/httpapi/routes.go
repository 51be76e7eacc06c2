package httpapi

import (
	"net/http"

	"github.com/oakumhq/oakum/api"
)

// route is one line of the API.
type route struct {
	method string
	path   string
	// cap is the capability that the caller needs. Empty means that any
	// authenticated caller may ask; open means that anybody may.
	cap  api.Capability
	open bool
	// scoped routes answer each caller about the targets that the caller's rules name, and
	// see to it themselves. For every other one the caller needs the capability everywhere.
	scoped bool
	// holds routes only hold a rollout or turn it back, or do where their body says so: an
	// audit device that takes no entries keeps nobody from them.
	holds bool
	// local routes are answered by the server that was asked. The leader answers all
	// others: changes always, and reads unless ?stale is given.
	local bool
	// costly routes take a processor for a while; an identity gets few at the same time.
	costly bool
	// topics are what the route reads: a change of one ends a blocking query.
	topics []api.Topic
	// handle returns what the answer's JSON is, or nil for no content.
	handle func(*call) (any, error)
	// stream writes the answer itself. Only one of handle and stream is set. An
	// error after the first byte can only end the connection.
	stream func(*call) error
}

// routes is the whole API.
func (a *API) routes() []route {
	return append(append(a.readRoutes(), a.changeRoutes()...), append(a.serverRoutes(), a.operatorRoutes()...)...)
}

func (a *API) readRoutes() []route {
	const get, read = http.MethodGet, api.CapRead
	policy, patch, plan := []api.Topic{api.TopicPolicy}, []api.Topic{api.TopicPatch}, []api.Topic{api.TopicPatch}
	rollout := []api.Topic{api.TopicRollout, api.TopicEffect}
	simulation, quarantine := []api.Topic{api.TopicSimulation}, []api.Topic{api.TopicQuarantine}
	// Criticality and the targets' view follow the policies too.
	graph, profile := []api.Topic{api.TopicGraph, api.TopicPolicy}, []api.Topic{api.TopicProfile}
	inventory := []api.Topic{api.TopicInventory}
	compliance := []api.Topic{api.TopicInventory, api.TopicPatch, api.TopicRollout, api.TopicSimulation, api.TopicGraph}
	return []route{
		{method: get, path: "/v1/policies", cap: read, topics: policy, handle: a.policies},
		{method: get, path: "/v1/policy/{name}", cap: read, topics: policy, handle: a.policy},
		{method: get, path: "/v1/policy/{name}/versions", cap: read, topics: policy, handle: a.policyVersions},
		{method: get, path: "/v1/policy/{name}/version/{version}", cap: read, topics: policy, handle: a.policyVersion},
		{method: get, path: "/v1/patches", cap: read, scoped: true, topics: patch, handle: a.patches},
		{method: get, path: "/v1/patch/{name}", cap: read, scoped: true, topics: patch, handle: a.patch},
		{method: get, path: "/v1/patch/{name}/status", cap: read, scoped: true, costly: true, handle: a.patchStatus},
		{method: get, path: "/v1/plan/{id}", cap: read, scoped: true, topics: plan, handle: a.plan},
		{method: get, path: "/v1/quarantines", cap: read, scoped: true, topics: quarantine, handle: a.quarantines},
		{method: get, path: "/v1/rollouts", cap: read, scoped: true, topics: rollout, handle: a.rollouts},
		{method: get, path: "/v1/rollout/{id}", cap: read, scoped: true, topics: rollout, handle: a.rollout},
		{method: get, path: "/v1/brake", cap: read, scoped: true, topics: []api.Topic{api.TopicBrake}, handle: a.brake},
		{method: get, path: "/v1/simulations", cap: read, scoped: true, topics: simulation, handle: a.simulations},
		{method: get, path: "/v1/simulation/{id}", cap: read, scoped: true, topics: simulation, handle: a.simulation},
		{method: get, path: "/v1/simulation/{id}/console", cap: api.CapSimulate, scoped: true, handle: a.console},
		{method: get, path: "/v1/graph", cap: read, scoped: true, topics: graph, handle: a.graph},
		{method: get, path: "/v1/graph/impact/{service}", cap: read, scoped: true, topics: graph, handle: a.graphImpact},
		{method: get, path: "/v1/graph/without/{place...}", cap: read, scoped: true, topics: graph, handle: a.graphWithout},
		{method: get, path: "/v1/graph/findings", cap: read, scoped: true, topics: graph, handle: a.graphFindings},
		{method: get, path: "/v1/graph/diff", cap: read, scoped: true, topics: graph, handle: a.graphDiff},
		{method: get, path: "/v1/profiles", cap: read, scoped: true, topics: profile, handle: a.profiles},
		{method: get, path: "/v1/profile/{namespace}/{job}/{group}", cap: read, scoped: true, topics: profile, handle: a.profile},
		{method: get, path: "/v1/auth/self", handle: a.authSelf},
		{method: get, path: "/v1/kpi/check", cap: read, costly: true, handle: a.kpiCheck},
		{method: get, path: "/v1/kpi/discover", cap: read, costly: true, handle: a.kpiDiscover},
		{method: get, path: "/v1/inventories", cap: read, scoped: true, topics: inventory, handle: a.inventories},
		{method: get, path: "/v1/inventory", cap: read, scoped: true, topics: inventory, handle: a.inventory},
		{method: get, path: "/v1/inventory/targets", cap: read, scoped: true, topics: inventory, handle: a.targetInventories},
		{method: get, path: "/v1/inventory/nodes", cap: read, handle: a.nodes},
		{method: get, path: "/v1/compliance", cap: read, costly: true, topics: compliance, handle: a.compliance},
		{method: get, path: "/v1/plugins", cap: read, scoped: true, handle: a.plugins},
		{method: get, path: "/v1/rehearsal/facts", cap: read, costly: true, handle: a.rehearsalFacts},
		{method: get, path: "/v1/events", cap: read, scoped: true, handle: a.events},
		{method: get, path: "/v1/event/stream", cap: read, scoped: true, stream: a.eventStream},
	}
}

func (a *API) changeRoutes() []route {
	const post = http.MethodPost
	out := []route{
		// Checking a file changes nothing, but reads it with the server's plugins.
		{method: post, path: "/v1/policies/validate", cap: api.CapRead, costly: true, handle: a.policyValidate},
		{method: post, path: "/v1/policies", cap: api.CapPolicyWrite, handle: a.policyApply},
		{method: http.MethodDelete, path: "/v1/policy/{name}", cap: api.CapPolicyWrite, handle: a.policyDelete},
		{method: post, path: "/v1/patches/plan", cap: api.CapRead, scoped: true, costly: true, handle: a.patchPlan},
		{method: post, path: "/v1/patches", cap: api.CapPatchSubmit, scoped: true, costly: true, handle: a.patchSubmit},
		{method: http.MethodPut, path: "/v1/inventory", cap: api.CapPatchSubmit, costly: true, handle: a.inventoryPut},
		{method: post, path: "/v1/quarantines/lift", cap: api.CapRollout, scoped: true, handle: a.quarantineLift},
		{method: post, path: "/v1/brake", cap: api.CapRollout, holds: true, handle: a.brakeSet},
		{method: post, path: "/v1/simulations", cap: api.CapSimulate, scoped: true, handle: a.simulate},
		{method: post, path: "/v1/simulation/{id}/cancel", cap: api.CapSimulate, scoped: true, handle: a.simulationCancel},
	}
	for _, action := range []struct {
		name  string
		cap   api.Capability
		holds bool
	}{
		{"approve", api.CapApprove, false},
		{"unapprove", api.CapApprove, true},
		{"pause", api.CapRollout, true},
		{"resume", api.CapRollout, false},
		{"promote", api.CapRollout, false},
		{"abort", api.CapRollout, true},
		{"rollback", api.CapRollout, true},
	} {
		out = append(out, route{
			method: post, path: "/v1/rollout/{id}/" + action.name, cap: action.cap, scoped: true, holds: action.holds, handle: a.rolloutAction(action.name),
		})
	}
	return out
}

func (a *API) serverRoutes() []route {
	const get, post, operator = http.MethodGet, http.MethodPost, api.CapOperator
	return []route{
		{method: get, path: "/v1/health", open: true, local: true, stream: a.health},
		{method: get, path: "/v1/status/leader", open: true, local: true, handle: a.leader},
		{method: get, path: "/v1/agent/self", local: true, handle: a.self},
		{method: get, path: "/v1/metrics", cap: api.CapRead, open: a.opt.OpenMetrics, local: true, stream: a.serveMetrics},
		{method: get, path: "/v1/operator/state", cap: operator, local: true, handle: a.replica},
		{method: get, path: "/v1/operator/raft/configuration", cap: operator, handle: a.peers},
		{method: post, path: "/v1/operator/raft/remove-peer", cap: operator, handle: a.removePeer},
		{method: post, path: "/v1/operator/raft/transfer", cap: operator, handle: a.transfer},
		{method: get, path: "/v1/operator/snapshot", cap: operator, stream: a.snapshotSave},
		{method: post, path: "/v1/operator/snapshot", cap: operator, handle: a.snapshotRestore},
	}
}
