package host

import (
	"context"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/plugins/builtin/bluegreen"
	"github.com/oakumhq/oakum/plugins/builtin/phased"
	"github.com/oakumhq/oakum/plugins/builtin/selective"
	"github.com/oakumhq/oakum/plugins/sdk"
)

// builtins are the strategies of this binary.
func builtins() []sdk.Strategy {
	return []sdk.Strategy{phased.Strategy{}, bluegreen.Strategy{}, selective.Strategy{}}
}

// Inline asks the built-in strategies directly, without the protocol. A rehearsal
// uses it, since it asks very often. Their advice is checked as a Host checks it.
type Inline struct{ strategies map[string]sdk.Strategy }

// NewInline returns the built-in strategies.
func NewInline() Inline {
	in := Inline{map[string]sdk.Strategy{}}
	for _, s := range builtins() {
		in.strategies[s.Describe().Name] = s
	}
	return in
}

// Schema is what the policy block of a strategy accepts.
func (in Inline) Schema(name string) (api.ConfigSchema, bool) {
	s, ok := in.strategies[name]
	if !ok {
		return api.ConfigSchema{}, false
	}
	return s.Describe().Schema, true
}

// Advise asks a strategy what comes next and checks what it proposes.
func (in Inline) Advise(ctx context.Context, name string, view api.StrategyView) (api.Advice, error) {
	s, ok := in.strategies[name]
	if !ok {
		return api.Advice{}, api.Errorf(api.CodeNotFound, "strategy %q is not built in", name)
	}
	advice, err := s.Advise(ctx, view)
	if err != nil {
		return api.Advice{}, err
	}
	if err := Check(view, advice); err != nil {
		return api.Advice{}, api.Errorf(api.CodeInvalid, "strategy %q %s", name, err)
	}
	return advice, nil
}
