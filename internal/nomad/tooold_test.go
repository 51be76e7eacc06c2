package nomad_test

import (
	"testing"

	"github.com/shoenig/test/must"
)

// A Nomad before 1.11 has no deployments for system jobs, by which a stage could hold.
func TestTargets_RefusesASystemJobOfAnOlderNomad(t *testing.T) {
	t.Parallel()
	members := func(build string) object {
		return object{"Members": []object{
			{"Name": "server-1", "Status": "alive", "Tags": object{"build": "1.11.3"}},
			{"Name": "gone", "Status": "left", "Tags": object{"build": "1.9.0"}},
			{"Name": "server-2", "Status": "alive", "Tags": object{"build": build}},
		}}
	}
	clients := func(version string) []object {
		return []object{{"Name": "n1", "Version": "1.11.3"}, {"Name": "n2", "Version": version}}
	}
	for name, c := range map[string]struct {
		members, nodes any
		why            string
	}{
		"new enough":             {members("1.11.0"), clients("2.0.0"), ""},
		"a server is older":      {members("1.10.4"), clients("1.11.0"), "since version 1.11.0, and server server-2 has 1.10.4"},
		"a client is older":      {members("1.11.0"), clients("1.8.2"), "since version 1.11.0, and client n2 has 1.8.2"},
		"a client does not say":  {members("1.11.0"), clients(""), "client n2 has an unknown version"},
		"servers are not shown":  {nil, clients("1.11.0"), "nomad does not say of which its servers are"},
		"the nodes are not read": {members("1.11.0"), nil, "nomad does not say of which its clients are"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := kinds(object{"Type": "system"}, object{"Type": "system"})
			for path, answer := range map[string]any{"/v1/agent/members": c.members, "/v1/nodes": c.nodes} {
				if n.answers[path] = answer; answer == nil {
					delete(n.answers, path)
				}
			}
			client := n.client(t)
			targets, err := client.Targets(t.Context())
			must.NoError(t, err)
			must.Len(t, 1, targets)
			must.EqOp(t, 2, targets[0].Count)
			must.EqOp(t, c.why == "", targets[0].Unfit == "", must.Sprint(targets[0].Unfit))
			must.StrContains(t, targets[0].Unfit, c.why)
			one, err := client.Target(t.Context(), targets[0].TargetRef)
			must.NoError(t, err)
			must.Eq(t, targets[0], one)
		})
	}
}
