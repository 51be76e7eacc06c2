package policies

import (
	"maps"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies/changes"
	"github.com/oakumhq/oakum/policies/green"
	"github.com/oakumhq/oakum/policies/installed"
	"github.com/oakumhq/oakum/policies/vocabulary"
)

// Facts is what a decision is made from.
type Facts struct {
	Target      api.Target
	Patch       api.Patch
	Criticality api.Criticality // the zero value when the graph does not know the target
	Impact      *api.Impact     // nil before the simulation
	Installed   *Installed      // nil when nobody has asked what is installed
	Cluster     ClusterFacts
	Now         time.Time
}

// ClusterFacts are facts about the fleet and about Oakum itself.
type ClusterFacts = vocabulary.Cluster

// environment holds the evaluation contexts of one decision.
type environment struct {
	target map[string]cty.Value
	base   *hcl.EvalContext // without target.critical
	full   *hcl.EvalContext
	common *shared

	changes []changes.Change
}

// shared are the values that many decisions have in common.
type shared struct {
	functions map[string]function.Function
	metaKeys  []string
	ratioKeys []string
	packages  []string // that expressions name
	whole     bool     // an expression reads all packages
	fixedKeys []string
	reads     []string // what expressions read of a target, as readFacts says
	green     bool     // an expression may read green.Fact
}

// Session decides about many targets of one patch at one moment. Targets that
// differ in nothing that a policy reads are decided once, so it grows with the
// targets that it is asked about. It is not safe for use by several goroutines.
type Session struct {
	library *Library
	patch   map[string]cty.Value // without what it changes, which depends on the target
	apply   []api.Apply
	cluster cty.Value
	now     cty.Value
	at      time.Time // the same
	missing []string
	serving green.Serving
	decided map[string]decided
	rated   map[string]decided // of which only what is critical is known
}

// Session prepares decisions about one patch.
func (l *Library) Session(patch api.Patch, cluster ClusterFacts, now time.Time) *Session {
	return &Session{
		library: l, patch: vocabulary.Patch(patch), apply: patch.Apply, cluster: vocabulary.ClusterValue(cluster), now: vocabulary.Now(now), at: now, missing: cluster.Missing, serving: cluster.Serving,
		decided: map[string]decided{}, rated: map[string]decided{},
	}
}

// greenShare is green.Most of a target; 0 where no expression asks for it.
func (s *Session) greenShare(t api.Target) float64 {
	if !s.library.shared.green {
		return 0
	}
	return green.Most(t, s.serving)
}

func (s *Session) environment(target api.Target, criticality api.Criticality, impact *api.Impact, content *Installed) *environment {
	common := &s.library.shared
	attributes := vocabulary.Target(target, common.metaKeys)
	maps.Copy(attributes, installed.Values(content, common.packages, common.whole, common.fixedKeys))
	attributes["green_share"] = vocabulary.Number(s.greenShare(target))
	changed, patch := changes.Of(s.apply, target), maps.Clone(s.patch)
	patch["changes"] = changes.Value(changed)
	variables := map[string]cty.Value{
		"target":  cty.ObjectVal(attributes),
		"patch":   cty.ObjectVal(patch),
		"impact":  vocabulary.Impact(impact, common.ratioKeys),
		"graph":   vocabulary.Graph(criticality),
		"cluster": s.cluster,
		"now":     s.now,
	}
	return &environment{target: attributes, common: common, changes: changed, base: &hcl.EvalContext{Variables: variables, Functions: common.functions}}
}

// setInstalled changes what the expressions that follow see of what is installed.
func (e *environment) setInstalled(content *Installed, critical bool) {
	maps.Copy(e.target, installed.Values(content, e.common.packages, e.common.whole, e.common.fixedKeys))
	e.setCritical(critical)
}

// setCritical makes the full context, in which target.critical is known.
func (e *environment) setCritical(critical bool) {
	variables := make(map[string]cty.Value, len(e.base.Variables))
	maps.Copy(variables, e.base.Variables)
	e.target["critical"] = cty.BoolVal(critical)
	variables["target"] = cty.ObjectVal(e.target)
	e.full = &hcl.EvalContext{Variables: variables, Functions: e.base.Functions}
}
