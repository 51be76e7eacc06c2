// Package selective is the strategy for targets that are affected or critical: a policy
// that uses it selects those and leaves the others alone. It carries the patch out share
// by share, as the strategy phased does.
package selective

import (
	"github.com/oakumhq/oakum/plugins/builtin/phased"
	"github.com/oakumhq/oakum/plugins/sdk"
)

// Name is how policies call it.
const Name = "selective"

// Strategy advises stages in place.
type Strategy struct{ phased.Strategy }

var _ sdk.Strategy = Strategy{}

// Describe publishes the one attribute of phased, stages.
func (s Strategy) Describe() sdk.Description {
	d := s.Strategy.Describe()
	d.Name = Name
	return d
}
