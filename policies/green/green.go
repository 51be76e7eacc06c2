// Package green says what of the traffic patched instances get that stand beside all former
// ones, before anybody has judged them. It is pure.
package green

import "github.com/oakumhq/oakum/api"

// Strategy is the one whose patched instances stand beside all former ones until they are
// promoted.
const Strategy = "blue_green"

// Fact is how expressions ask for Most.
const Fact = "target.green_share"

// Serving is how many instances register a service in a namespace of Nomad; nil when nobody
// knows of any but a target's own.
type Serving func(namespace, service string) int

// Shares says how many of the instances of each of a target's services are green, when so
// many patched instances stand beside the former ones. Serving counts no fewer than the
// target's own. Nothing says which of the instances get fewer requests than others, so each
// counts as one.
func Shares(t api.Target, green int, serving Serving) []api.GreenShare {
	var out []api.GreenShare
	for _, name := range t.Services {
		now := t.Count
		if serving != nil {
			now = max(now, serving(t.Namespace, name))
		}
		out = append(out, api.GreenShare{Service: name, Green: green, Of: now + green})
	}
	return out
}

// Most is the largest share, 0 to 1, that a full set of patched instances would get; 0 for a
// target without a service.
func Most(t api.Target, serving Serving) float64 {
	largest := 0.0
	for _, g := range Shares(t, t.Count, serving) {
		largest = max(largest, g.Share())
	}
	return largest
}
