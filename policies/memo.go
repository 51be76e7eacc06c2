package policies

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies/changes"
	"github.com/oakumhq/oakum/policies/green"
)

// readFacts collects what an expression reads of a target and of the graph's
// view of it, as dotted paths such as graph.blast_radius and target.meta.tier.
// A shorter path means all that begins with it.
func readFacts(expr hclsyntax.Expression, into map[string]bool) {
	for _, t := range expr.Variables() {
		path := t.RootName()
		if path != "target" && path != "graph" {
			continue // the same for every target of a session
		}
		for depth, step := range t[1:] {
			name, ok := constantKey(step)
			if !ok || depth == 1 && path != "target.meta" && path != "target.packages" || depth > 1 {
				break
			}
			path += "." + name
		}
		into[path] = true
	}
}

// constantKey is the name that one step of a path leads to.
func constantKey(step hcl.Traverser) (string, bool) {
	switch s := step.(type) {
	case hcl.TraverseAttr:
		return s.Name, true
	case hcl.TraverseIndex:
		if s.Key.Type() == cty.String && s.Key.IsKnown() && !s.Key.IsNull() {
			return s.Key.AsString(), true
		}
	}
	return "", false
}

// sameKey is equal for targets that differ in nothing that the policies read, so
// that they are decided alike and in the same words. It is "" when there is no
// telling.
func (s *shared) sameKey(t api.Target, c api.Criticality, content *Installed, share float64) string {
	key := append(make([]byte, 0, 128), content.Key()...)
	for _, path := range s.reads {
		key = append(key, '\n')
		switch path {
		case "target.critical", "target.packages", "target.affected", "target.assessment", "target.fixed_in": // follow from the rest
		case "target.namespace":
			key = strconv.AppendQuote(key, t.Namespace)
		case "target.driver":
			key = strconv.AppendQuote(key, t.Driver)
		case "target.type":
			key = strconv.AppendQuote(key, t.Type)
		case "target.count":
			key = strconv.AppendInt(key, int64(t.Count), 10)
		case green.Fact:
			key = strconv.AppendFloat(key, share, 'g', -1, 64)
		case "graph.known":
			key = strconv.AppendBool(key, c.Service != "")
		case "graph.blast_radius":
			key = strconv.AppendInt(key, int64(c.BlastRadius), 10)
		case "graph.blast_radius_max":
			key = strconv.AppendInt(key, int64(c.BlastRadiusMax), 10)
		case "graph.single_point":
			key = strconv.AppendBool(key, c.SinglePoint)
		case "graph.single_instance":
			key = strconv.AppendBool(key, c.SingleInstance)
		case "graph.score":
			key = strconv.AppendFloat(key, c.Score, 'g', -1, 64)
		default:
			if strings.HasPrefix(path, "target.packages.") {
				continue
			}
			meta, isMeta := metaKey(path)
			if value, ok := t.Meta[meta]; isMeta && ok {
				key = strconv.AppendQuote(key, value)
				continue
			} else if isMeta {
				continue // absent, which no quoted text is
			}
			all, err := json.Marshal([]any{t, c, share})
			if err != nil {
				return ""
			}
			key = append(key, all...)
		}
	}
	return string(key)
}

// sameKey is that of the library, with what tells apart what the patch changes.
func (s *Session) sameKey(t api.Target, c api.Criticality, content *Installed) string {
	key := s.library.shared.sameKey(t, c, content, s.greenShare(t))
	for _, a := range s.apply {
		key = strconv.Quote(changes.DriverOf(t, a.Task)) + key
	}
	return key
}

// metaKey is the key of a target's metadata that a path names.
func metaKey(path string) (string, bool) {
	const prefix = "target.meta."
	if !strings.HasPrefix(path, prefix) {
		return "", false
	}
	return path[len(prefix):], true
}

// decided is a decision that holds for all targets of a session with one key.
type decided struct {
	decision api.Decision
	err      error
}

// decider makes a decision about the target of facts.
func (s *Session) decider(f Facts) *decider {
	return &decider{env: s.environment(f.Target, f.Criticality, f.Impact, f.Installed), installed: f.Installed, seen: f.Installed, now: s.at}
}

// decide decides about a target, or finds what was decided about one like it.
func (s *Session) decide(target api.Target, criticality api.Criticality, impact *api.Impact, installed *Installed) (api.Decision, error) {
	key := ""
	if impact == nil {
		key = s.sameKey(target, criticality, installed)
	}
	if same, ok := s.decided[key]; ok {
		return same.decision, same.err
	}
	d := s.decider(Facts{Target: target, Criticality: criticality, Impact: impact, Installed: installed})
	d.decision.Because = make([]api.Because, 0, becauseUsual)
	err := d.run(s.library.policies)
	err = explainUnknown(d.seen, err)
	d.decision.Because = slices.Clip(d.decision.Because) // who appends to it must not reach the others'
	if key != "" {
		s.decided[key] = decided{d.decision, err}
	}
	return d.decision, err
}
