package simulator_test

import (
	"testing"
	"testing/synctest"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/simulator"
	"github.com/oakumhq/oakum/internal/twin"
)

func TestTry_ProvesTheFixInTheBootedMachine(t *testing.T) {
	verify := &api.Verify{Command: "openssl version", Expect: "3.0.16"}
	inImage := api.Proof{Command: verify.Command, Where: "image", OK: true, Output: "OpenSSL 3.0.16"}
	away := api.Errorf(api.CodeUnavailable, "it has not ended after 120 s")
	for name, c := range map[string]struct {
		exits   []twin.Exit
		err     error
		local   bool // nobody can look into the image
		verdict api.SimulationVerdict
		reason  string
		proofs  []api.Proof
	}{
		"it is there": {
			exits: []twin.Exit{{Output: "OpenSSL 3.0.16"}}, verdict: api.SimulationPass,
			proofs: []api.Proof{inImage, {Command: verify.Command, Where: "machine", OK: true, Output: "OpenSSL 3.0.16"}},
		},
		"it is there, and nobody looked into the image": {
			exits: []twin.Exit{{Output: "OpenSSL 3.0.16"}}, local: true, verdict: api.SimulationPass,
			proofs: []api.Proof{{Command: verify.Command, Where: "machine", OK: true, Output: "OpenSSL 3.0.16"}},
		},
		"the machine runs something else": {
			exits: []twin.Exit{{Output: "libraries loaded\nOpenSSL 3.0.15\n"}}, verdict: api.SimulationReject,
			reason: `the patch does not fix what it says: "openssl version" did not say "3.0.16" in the patched machine: OpenSSL 3.0.15`,
			proofs: []api.Proof{inImage, {Command: verify.Command, Where: "machine", Output: "libraries loaded\nOpenSSL 3.0.15\n"}},
		},
		"the command fails": {
			exits: []twin.Exit{{Status: 2}}, verdict: api.SimulationReject, reason: `"openssl version" ended with status 2 in the patched machine`,
			proofs: []api.Proof{inImage, {Command: verify.Command, Where: "machine"}},
		},
		"the command is not there": {
			exits: []twin.Exit{{Status: 127, Output: "not found"}}, verdict: api.SimulationUndecided, reason: `"openssl version" can't be run there (status 127)`,
			proofs: []api.Proof{inImage, {Command: verify.Command, Where: "machine", Output: "not found"}},
		},
		"the command hangs": {
			err: away, verdict: api.SimulationUndecided, reason: `"openssl version": it has not ended after 120 s`, proofs: []api.Proof{inImage},
		},
		"there is no agent": {
			verdict: api.SimulationPass, reason: "the fix was looked for in the patched image alone: no guest agent answers in the machine", proofs: []api.Proof{inImage},
		},
		"nobody can be asked": {
			local: true, verdict: api.SimulationUndecided, reason: "verify can't run in the patched machine",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, o := newModel(), &oven{baked: twin.Image{Proofs: []api.Proof{inImage}}}
				m.patched.agent, m.patched.agentErr = c.exits, c.err
				s := simulator.New(simulator.Options{Sandbox: m, Baker: o, Transport: m})
				r := request()
				r.Apply = []api.Apply{{Kind: api.ApplyImage, Task: "vm", Image: "/images/store-1.1.qcow2", Verify: verify}}
				if c.local {
					r.Apply[0].Image = "local/store.qcow2"
				}
				impact, _, err := s.Try(t.Context(), r)
				must.NoError(t, err)
				must.EqOp(t, c.verdict, impact.Verdict, must.Sprint(impact.Reason))
				must.StrContains(t, impact.Reason, c.reason)
				must.Eq(t, c.proofs, impact.Proofs)
				for _, spec := range m.specs {
					must.Eq(t, []string{verify.Command}, spec.Commands, must.Sprint("both machines have the same devices"))
				}
			})
		})
	}
}
