package simulator_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/twin"
)

// pricingStub is the stub of a service that the target calls.
func pricingStub() []twin.Stub {
	return []twin.Stub{{Name: "pricing", Port: 9091, Answers: []byte(`{"path":"/price/1"}`)}}
}

func TestRun_TellsWhatNoStubAnswers(t *testing.T) {
	nine := twin.Unanswered{Stub: "pricing", Call: "GET /price/9", Count: 6}
	eight := twin.Unanswered{Stub: "pricing", Call: "GET /price/8", Count: 1}
	t.Run("both twins", func(t *testing.T) {
		m, r := newInsides(), containerRequest()
		r.Stubs = pricingStub()
		m.calls = map[string][]twin.Unanswered{twin.Control: {nine, eight}, twin.Treatment: {nine}}
		runInside(t, m, r, func(t *testing.T, impact api.Impact, err error) {
			must.NoError(t, err)
			must.Eq(t, api.SimulationPass, impact.Verdict, must.Sprint(impact.Reason))
			must.StrContains(t, impact.Reason, "; calls of the control that no stub answers: GET /price/9 x6 (stub pricing), GET /price/8 x1 (stub pricing)")
		})
		for _, s := range m.specs {
			must.Eq(t, pricingStub(), s.Group.Stubs)
		}
	})
	news := "the patched twin makes calls that no stub answers and the control does not make: GET /price/9 x"
	for name, change := range map[string]func(*insides){
		"only the patched twin": func(*insides) {},
		"and it fails":          func(m *insides) { m.patched.errors = 0.5 },
		"and it does not serve": func(m *insides) { m.patched.never = true },
	} {
		t.Run(name, func(t *testing.T) {
			m, r := newInsides(), containerRequest()
			r.Stubs = pricingStub()
			change(m)
			m.calls = map[string][]twin.Unanswered{twin.Control: {eight}, twin.Treatment: {nine, eight}}
			runInside(t, m, r, func(t *testing.T, impact api.Impact, err error) {
				must.NoError(t, err)
				must.Eq(t, api.SimulationUndecided, impact.Verdict, must.Sprint(impact.Reason))
				must.False(t, impact.Negative)
				must.StrHasPrefix(t, "undecided: "+news, impact.Reason)
				must.StrHasPrefix(t, news, impact.Reasons[0])
			})
		})
	}
}

func TestRun_GivesTwinsWhatThePolicySupplies(t *testing.T) {
	m, r := newInsides(), containerRequest()
	r.Spec.Env, r.Stubs = map[string]string{"LISTEN": "127.0.0.1:9090", "PRICING_URL": "http://127.0.0.1:9091"}, pricingStub()
	runInside(t, m, r, func(t *testing.T, impact api.Impact, err error) {
		must.NoError(t, err)
		must.StrContains(t, impact.Reason, "; the policy supplied env.LISTEN, env.PRICING_URL, stub pricing")
	})
	for _, s := range m.specs {
		must.Eq(t, r.Spec.Env, s.Group.Env) // and not LISTEN of the metadata
	}
}

func TestRun_TellsThatMachinesGoWithoutWhatThePolicySupplies(t *testing.T) {
	m, r := newModel(), request()
	m.takes = []string{"PRICING_URL"}
	r.Target.Meta = map[string]string{"oakum_env_PRICING_URL": "http://10.0.2.2:1", "oakum_env_TIER": "web"}
	r.Stubs, r.Spec.Env = pricingStub(), map[string]string{"PRICING_URL": "http://127.0.0.1:9091", "LISTEN": "127.0.0.1:9090"}
	run(t, m, r, func(t *testing.T, impact api.Impact, err error) {
		must.NoError(t, err)
		must.StrContains(t, impact.Reason, "; the policy supplied env.PRICING_URL; a virtual machine's twins go without what the policy supplies: env.LISTEN, stub pricing")
	})
	for _, s := range m.specs {
		must.Eq(t, map[string]string{"PRICING_URL": "http://127.0.0.1:9091", "LISTEN": "127.0.0.1:9090", "TIER": "web"}, s.Env)
	}
}
