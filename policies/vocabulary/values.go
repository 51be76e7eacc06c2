package vocabulary

import (
	"cmp"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies/green"
	"github.com/oakumhq/oakum/policies/installed"
	"github.com/oakumhq/oakum/policies/lang"
)

// Cluster is what is known about the fleet and about Oakum itself.
type Cluster struct {
	Targets      int
	Instances    int
	Services     int
	OpenRollouts int
	Missing      []string // names of sources that do not answer; they weaken decisions
	Serving      green.Serving
}

// Target is what an expression sees of a target, before a policy adds what is installed. A
// key of metaKeys that the target lacks is null.
func Target(t api.Target, metaKeys []string) map[string]cty.Value {
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

// Patch is what an expression sees of a patch, without what it changes.
func Patch(p api.Patch) map[string]cty.Value {
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

// Impact is null throughout, except simulated, before the simulation.
func Impact(i *api.Impact, ratioKeys []string) cty.Value {
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
		ratios[k.KPI] = Number(k.Ratio)
		if !k.Unjudged && (worst.IsNull() || k.Ratio > lang.NumberOf(worst)) {
			worst = Number(k.Ratio)
		}
	}
	return cty.ObjectVal(map[string]cty.Value{
		"simulated": cty.True, "verdict": cty.StringVal(string(i.Says())), "negative": cty.BoolVal(i.Negative), "reason": cty.StringVal(i.Reason),
		"requests": cty.NumberIntVal(int64(i.Requests)), "ratio": numberMap(ratios), "worst_ratio": worst,
	})
}

// Graph is what an expression sees of a target's place in the graph.
func Graph(c api.Criticality) cty.Value {
	return cty.ObjectVal(map[string]cty.Value{
		"known":             cty.BoolVal(c.Service != ""),
		"service":           cty.StringVal(c.Service),
		"blast_radius":      cty.NumberIntVal(int64(c.BlastRadius)),
		"blast_radius_max":  cty.NumberIntVal(int64(c.BlastRadiusMax)),
		"dependants":        lang.StringList(c.Dependants),
		"single_point":      cty.BoolVal(c.SinglePoint),
		"single_instance":   cty.BoolVal(c.SingleInstance),
		"dominates":         lang.StringList(c.Dominates),
		"score":             Number(c.Score),
		"shared_nodes_with": lang.StringList(c.SharedNodesWith),
	})
}

// ClusterValue is what an expression sees of the cluster.
func ClusterValue(c Cluster) cty.Value {
	return cty.ObjectVal(map[string]cty.Value{
		"targets":         cty.NumberIntVal(int64(c.Targets)),
		"instances":       cty.NumberIntVal(int64(c.Instances)),
		"services":        cty.NumberIntVal(int64(c.Services)),
		"open_rollouts":   cty.NumberIntVal(int64(c.OpenRollouts)),
		"missing_sources": lang.StringList(c.Missing),
	})
}

// Now is what an expression sees of a moment, in UTC.
func Now(now time.Time) cty.Value {
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

// Number makes a value of a float; one that is no number becomes null, so that
// asking for it is an error rather than a wrong answer.
func Number(f float64) cty.Value {
	if f != f || f > 1e300 || f < -1e300 {
		return cty.NullVal(cty.Number)
	}
	return cty.NumberFloatVal(f)
}
