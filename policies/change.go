package policies

import (
	"github.com/zclconf/go-cty/cty"

	"github.com/oakumhq/oakum/policies/changes"
	"github.com/oakumhq/oakum/policies/lang"
)

// changesArguments are those of a changes block: keys that a patch may set, and that it may
// not.
func changesArguments() []lang.Argument {
	return []lang.Argument{
		{Name: "allow", Doc: "keys that a patch may set beyond the shipped list, with patterns", Want: cty.List(cty.String), Check: changes.Check},
		{Name: "deny", Doc: "keys that no patch may set, with patterns", Want: cty.List(cty.String), Check: changes.Check},
	}
}

// changed refuses a patch that sets a key which neither the shipped list nor the policies
// allow, or which one of them denies.
func (d *decider) changed() error {
	var rules []changes.Rule
	by := map[string]*policy{}
	for _, m := range d.matches {
		if m.changes == nil {
			continue
		}
		v := m.changes.Values(d.env.full)
		rules = append(rules, changes.Rule{Policy: m.name, At: m.changes.At, Allow: v.Texts("allow"), Deny: v.Texts("deny")})
		if v.Err() != nil {
			return v.Err()
		}
		by[m.name] = m.policy
	}
	return changes.Judge(d.env.changes, rules, func(r changes.Rule, c changes.Change) {
		d.because("changes", by[r.Policy], r.At, "allows "+c.Key+" of task "+c.Task)
	})
}
