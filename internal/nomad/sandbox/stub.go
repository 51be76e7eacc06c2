package sandbox

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/nomad/sandbox/grouptask"
	"github.com/oakumhq/oakum/internal/nomad/sandbox/qemu"
	"github.com/oakumhq/oakum/internal/twin"
)

// stubbedEnv are the variables that a policy gives a twin, beside Nomad's own of the
// upstreams that stubs stand for: under an upstream's name, and under its name with
// underscores.
func stubbedEnv(given map[string]string, upstreams []grouptask.Upstream) map[string]string {
	if len(upstreams) == 0 {
		return given
	}
	env := map[string]string{}
	for _, u := range upstreams {
		for _, name := range []string{u.Service, strings.Map(qemu.InVariable, u.Service)} {
			env["NOMAD_UPSTREAM_IP_"+name] = u.Host
			env["NOMAD_UPSTREAM_PORT_"+name] = u.Port
			env["NOMAD_UPSTREAM_ADDR_"+name] = net.JoinHostPort(u.Host, u.Port)
		}
	}
	maps.Copy(env, given)
	return env
}

// Unanswered are the calls of a twin that its stubs have no answer for.
func (s *Sandbox) Unanswered(ctx context.Context, m twin.Machine, allocID string) ([]twin.Unanswered, error) {
	ctx, cancel := context.WithTimeout(ctx, nomad.CallTimeout)
	defer cancel()
	text, err := s.reported(ctx, m.Namespace, allocID, grouptask.StubReport, 0, "read what the stubs of twin "+m.Job+" report")
	if err != nil {
		return nil, err
	}
	var calls []twin.Unanswered
	if err := json.Unmarshal(text, &calls); err != nil {
		return nil, api.Errorf(api.CodeUnavailable, "the stubs of twin %s report %.80q, which is no list of calls", m.Job, text)
	}
	if most := twin.UnansweredMost; len(calls) > 2*most {
		calls = slices.Clip(calls[:2*most])
	}
	return calls, nil
}
