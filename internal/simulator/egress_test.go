package simulator_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/twin"
)

var (
	pricing = twin.Destination{Protocol: "tcp", Address: netip.MustParseAddr("10.9.8.7"), Port: 443}
	names   = twin.Destination{Protocol: "udp", Address: netip.MustParseAddr("10.0.2.3"), Port: 53, Name: "pricing.example"}
	clock   = twin.Destination{Protocol: "udp", Address: netip.MustParseAddr("192.0.2.1"), Port: 123}
)

// always tries the same in each boot.
func always(list ...twin.Destination) egressOf {
	return func(int) (twin.Egress, error) { return twin.Egress{Destinations: list}, nil }
}

// onlyIn tries something in one boot.
func onlyIn(boot int, list ...twin.Destination) egressOf {
	return func(b int) (twin.Egress, error) {
		if b != boot {
			return twin.Egress{}, nil
		}
		return twin.Egress{Destinations: list}, nil
	}
}

// whole tries what an egress says in each boot.
func whole(e twin.Egress) egressOf { return func(int) (twin.Egress, error) { return e, nil } }

func unread(int) (twin.Egress, error) { return twin.Egress{}, errors.New("the node is away") }

func TestRun_ANewOutgoingConnection(t *testing.T) {
	const news = "the patched machine tries to reach tcp 10.9.8.7:443, which the control never did"
	cases := map[string]struct {
		pairs            int
		control, patched egressOf
		want             api.SimulationVerdict
		reason           string // in the impact's reason
		without          string // not in it
	}{
		"none":       {2, nil, nil, api.SimulationPass, "nothing got worse", "reach"},
		"new":        {2, nil, always(pricing), api.SimulationReject, news, "pair"},
		"several":    {2, always(clock), always(pricing, names, clock), api.SimulationReject, "tcp 10.9.8.7:443 (and 1 more), which", ""},
		"a name":     {2, nil, always(names), api.SimulationReject, "udp 10.0.2.3:53 (the name pricing.example), which", ""},
		"one pair":   {1, nil, always(pricing), api.SimulationUndecided, news + " (one pair of boots)", ""},
		"of both":    {2, always(clock, names), always(clock, names), api.SimulationPass, "both machines try to reach 2 destinations", "control never did"},
		"one boot":   {2, nil, onlyIn(1, pricing), api.SimulationPass, "nothing got worse", "reach"},
		"second one": {2, nil, onlyIn(2, pricing), api.SimulationPass, "nothing got worse", "reach"},
		"a control of a later pair": {2, onlyIn(2, pricing), always(pricing), api.SimulationPass,
			"both machines try to reach one destination", "control never did"},
		"the second of two controls": {4, onlyIn(3, pricing), always(pricing), api.SimulationPass,
			"both machines try to reach one destination", "control never did"},
		"only the control": {2, always(pricing), nil, api.SimulationPass, "nothing got worse", "reach"},
		"full": {2, nil, whole(twin.Egress{Destinations: []twin.Destination{pricing}, Full: true}), api.SimulationUndecided,
			"not compared in each pair: the patched machine sent more than is kept", "control never did"},
		"a full control": {2, whole(twin.Egress{Full: true}), always(pricing), api.SimulationUndecided,
			"not compared in each pair: the control sent more than is kept", "control never did"},
		"both full": {2, whole(twin.Egress{Full: true}), whole(twin.Egress{Full: true, Destinations: []twin.Destination{pricing}}), api.SimulationPass,
			"outgoing connections were not compared in one pair (both machines sent more than is kept)", "reach"},
		"not read":              {2, unread, always(pricing), api.SimulationPass, "were not compared in one pair (the node is away)", "reach"},
		"not read of the patch": {2, nil, unread, api.SimulationPass, "were not compared in one pair (the node is away)", "reach"},
		"no gateway": {2, whole(twin.Egress{NoGateway: true}), whole(twin.Egress{NoGateway: true}), api.SimulationPass,
			"outgoing connections past the gateway were not seen", ""},
		"no gateway, and yet": {2, whole(twin.Egress{NoGateway: true}), whole(twin.Egress{NoGateway: true, Destinations: []twin.Destination{pricing}}),
			api.SimulationReject, news, ""},
		"no gateway for the patch": {2, nil, whole(twin.Egress{NoGateway: true}), api.SimulationUndecided,
			"only the patched machine takes its address by DHCP", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m, r := newModel(), request()
			// The warm-up and one pair decide every KPI, so each further pair is for this.
			r.Spec.Pairs, r.Spec.Duration = c.pairs, api.Duration(time.Duration(c.pairs)*4*time.Minute)
			m.control.egress, m.patched.egress = c.control, c.patched
			run(t, m, r, func(t *testing.T, impact api.Impact, err error) {
				must.NoError(t, err)
				must.Eq(t, c.want, impact.Verdict, must.Sprint(impact.Reason))
				must.Eq(t, c.want == api.SimulationReject, impact.Negative)
				must.StrContains(t, impact.Reason, c.reason)
				if c.without != "" {
					must.StrNotContains(t, impact.Reason, c.without)
				}
			})
		})
	}
}

// TestRun_WithoutCapturesSaysSo on a node that refuses QEMU's own arguments.
func TestRun_WithoutCapturesSaysSo(t *testing.T) {
	m, r := newModel(), request()
	m.allowed, m.patched.egress = false, always(pricing)
	r.Judge.KPIs = r.Judge.KPIs[:3]
	run(t, m, r, func(t *testing.T, impact api.Impact, err error) {
		must.NoError(t, err)
		must.False(t, impact.Negative)
		must.StrContains(t, impact.Reason, "outgoing connections were not compared in")
		must.StrContains(t, impact.Reason, "(QEMU has no captures)")
	})
}
