package policies

import (
	"cmp"
	"maps"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies/changes"
	"github.com/oakumhq/oakum/policies/green"
	"github.com/oakumhq/oakum/policies/installed"
	"github.com/oakumhq/oakum/policies/lang"
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
type ClusterFacts struct {
	Targets      int
	Instances    int
	Services     int
	OpenRollouts int
	Missing      []string // names of sources that do not answer; they weaken decisions
	Serving      green.Serving
}

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
		library: l, patch: patchAttributes(patch), apply: patch.Apply, cluster: clusterValue(cluster), now: nowValue(now), at: now, missing: cluster.Missing, serving: cluster.Serving,
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
	attributes := targetAttributes(target, common.metaKeys)
	maps.Copy(attributes, installed.Values(content, common.packages, common.whole, common.fixedKeys))
	attributes["green_share"] = number(s.greenShare(target))
	changed, patch := changes.Of(s.apply, target), maps.Clone(s.patch)
	patch["changes"] = changes.Value(changed)
	variables := map[string]cty.Value{
		"target":  cty.ObjectVal(attributes),
		"patch":   cty.ObjectVal(patch),
		"impact":  impactValue(impact, common.ratioKeys),
		"graph":   graphValue(criticality),
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

func targetAttributes(t api.Target, metaKeys []string) map[string]cty.Value {
	tasks := make([]cty.Value, len(t.Tasks))
	for i, k := range t.Tasks {
		tasks[i] = cty.ObjectVal(map[string]cty.Value{
			"name": cty.StringVal(k.Name), "driver": cty.StringVal(k.Driver),
			"lifecycle": cty.StringVal(k.Lifecycle), "image": cty.StringVal(k.Image),
		})
	}
	// The type of a task is built only where it is needed: plans ask for the
	// facts of many thousand targets.
	var taskList cty.Value
	if len(tasks) == 0 {
		taskList = cty.ListValEmpty(taskType())
	} else {
		taskList = cty.ListVal(tasks)
	}
	return map[string]cty.Value{
		"ref":         cty.StringVal(t.String()),
		"namespace":   cty.StringVal(t.Namespace),
		"job":         cty.StringVal(t.Job),
		"group":       cty.StringVal(t.Group),
		"count":       cty.NumberIntVal(int64(t.Count)),
		"driver":      cty.StringVal(t.Driver),
		"type":        cty.StringVal(cmp.Or(t.Type, "service")),
		"services":    lang.StringList(t.Services),
		"meta":        metaValue(t.Meta, metaKeys),
		"tasks":       taskList,
		"job_version": cty.NumberUIntVal(t.JobVersion),
	}
}

// metaValue holds the metadata, and null for every key that some expression
// names and the target lacks.
func metaValue(meta map[string]string, keys []string) cty.Value {
	values := make(map[string]cty.Value, len(meta)+len(keys))
	for _, k := range keys {
		values[k] = cty.NullVal(cty.String)
	}
	for k, v := range meta {
		values[k] = cty.StringVal(v)
	}
	if len(values) == 0 {
		return cty.MapValEmpty(cty.String)
	}
	return cty.MapVal(values)
}

func patchAttributes(p api.Patch) map[string]cty.Value {
	affects := make([]cty.Value, len(p.Affects))
	for i, a := range p.Affects {
		affects[i] = installed.AffectedValue(a)
	}
	kinds := make([]string, len(p.Apply))
	for i, a := range p.Apply {
		kinds[i] = string(a.Kind)
	}
	level := -1
	for i, s := range api.Severities() {
		if s == string(p.Severity) {
			level = i
		}
	}
	return map[string]cty.Value{
		"name":           cty.StringVal(p.Name),
		"description":    cty.StringVal(p.Description),
		"severity":       cty.StringVal(string(p.Severity)),
		"severity_level": cty.NumberIntVal(int64(level)),
		"fixes":          lang.StringList(p.Fixes),
		"affects":        lang.ListOf(affects, installed.AffectedType()),
		"kinds":          lang.StringList(kinds),
		"digest":         cty.StringVal(p.Digest),
		"submitted_by":   cty.StringVal(p.Submitter), // not the name, which callers may choose
	}
}

// impactValue is null throughout, except simulated, before the simulation.
func impactValue(i *api.Impact, ratioKeys []string) cty.Value {
	ratios := make(map[string]cty.Value, len(ratioKeys))
	for _, k := range ratioKeys {
		ratios[k] = cty.NullVal(cty.Number)
	}
	if i == nil {
		return cty.ObjectVal(map[string]cty.Value{
			"simulated": cty.False, "verdict": cty.NullVal(cty.String), "negative": cty.NullVal(cty.Bool), "reason": cty.NullVal(cty.String),
			"requests": cty.NullVal(cty.Number), "ratio": numberMap(ratios), "worst_ratio": cty.NullVal(cty.Number),
		})
	}
	worst := cty.NullVal(cty.Number)
	for _, k := range i.KPIs {
		if k.Missing {
			continue
		}
		ratios[k.KPI] = number(k.Ratio)
		if !k.Unjudged && (worst.IsNull() || k.Ratio > lang.NumberOf(worst)) {
			worst = number(k.Ratio)
		}
	}
	return cty.ObjectVal(map[string]cty.Value{
		"simulated": cty.True, "verdict": cty.StringVal(string(i.Says())), "negative": cty.BoolVal(i.Negative), "reason": cty.StringVal(i.Reason),
		"requests": cty.NumberIntVal(int64(i.Requests)), "ratio": numberMap(ratios), "worst_ratio": worst,
	})
}

func graphValue(c api.Criticality) cty.Value {
	return cty.ObjectVal(map[string]cty.Value{
		"known":             cty.BoolVal(c.Service != ""),
		"service":           cty.StringVal(c.Service),
		"blast_radius":      cty.NumberIntVal(int64(c.BlastRadius)),
		"blast_radius_max":  cty.NumberIntVal(int64(c.BlastRadiusMax)),
		"dependants":        lang.StringList(c.Dependants),
		"single_point":      cty.BoolVal(c.SinglePoint),
		"single_instance":   cty.BoolVal(c.SingleInstance),
		"dominates":         lang.StringList(c.Dominates),
		"score":             number(c.Score),
		"shared_nodes_with": lang.StringList(c.SharedNodesWith),
	})
}

func clusterValue(c ClusterFacts) cty.Value {
	return cty.ObjectVal(map[string]cty.Value{
		"targets":         cty.NumberIntVal(int64(c.Targets)),
		"instances":       cty.NumberIntVal(int64(c.Instances)),
		"services":        cty.NumberIntVal(int64(c.Services)),
		"open_rollouts":   cty.NumberIntVal(int64(c.OpenRollouts)),
		"missing_sources": lang.StringList(c.Missing),
	})
}

func nowValue(now time.Time) cty.Value {
	t := now.UTC()
	return cty.ObjectVal(map[string]cty.Value{
		"rfc3339": cty.StringVal(t.Format(time.RFC3339)),
		"date":    cty.StringVal(t.Format(time.DateOnly)),
		"time":    cty.StringVal(t.Format("15:04")),
		"year":    cty.NumberIntVal(int64(t.Year())),
		"month":   cty.NumberIntVal(int64(t.Month())),
		"day":     cty.NumberIntVal(int64(t.Day())),
		"hour":    cty.NumberIntVal(int64(t.Hour())),
		"minute":  cty.NumberIntVal(int64(t.Minute())),
		"weekday": cty.StringVal(weekdayOf(t.Weekday())),
		"unix":    cty.NumberIntVal(t.Unix()),
	})
}
func numberMap(values map[string]cty.Value) cty.Value {
	if len(values) == 0 {
		return cty.MapValEmpty(cty.Number)
	}
	return cty.MapVal(values)
}

// number makes a value of a float; one that is no number becomes null, so that
// asking for it is an error rather than a wrong answer.
func number(f float64) cty.Value {
	if f != f || f > 1e300 || f < -1e300 {
		return cty.NullVal(cty.Number)
	}
	return cty.NumberFloatVal(f)
}
