//go:build e2e

package e2e

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/daemon"
)

// growthService is the name under which the servers of this test are
// registered: those of other tests are not theirs to join.
const growthService = "oakum-growth"

func TestServersFindEachOtherInConsul(t *testing.T) {
	env := sharedStack(t)
	vendor, err := consulapi.NewClient(&consulapi.Config{Address: env.ConsulAddr, Token: env.ConsulToken})
	must.NoError(t, err)
	cluster := startServers(t, env, daemon.Options{
		Servers: 3, Join: []string{"provider=consul service=" + growthService}, Service: growthService, Tags: []string{"blue"}, Paces: daemon.StackPaces(),
	})

	t.Log("Consul knows who leads, and that all three are healthy")
	entries := func() []*consulapi.ServiceEntry {
		found, _, err := vendor.Health().Service(growthService, "", false, nil)
		must.NoError(t, err)
		return found
	}
	leaderIs := func(server *daemon.Server) bool {
		found := entries()
		leaders := slices.DeleteFunc(slices.Clone(found), func(e *consulapi.ServiceEntry) bool { return !slices.Contains(e.Service.Tags, "leader") })
		return len(leaders) == 1 && leaders[0].Service.Meta["server"] == server.Name
	}
	eventually(t, "three healthy servers in Consul, one of them tagged leader", time.Minute, func() bool {
		leader, err := cluster.Leader(t.Context())
		must.NoError(t, err)
		found := entries()
		return len(found) == 3 && leaderIs(leader) && !slices.ContainsFunc(found, func(e *consulapi.ServiceEntry) bool {
			return e.Checks.AggregatedStatus() != consulapi.HealthPassing || e.Service.Meta["version"] == "" || !slices.Contains(e.Service.Tags, "blue")
		})
	})

	t.Log("the tags follow a change of leadership")
	alice, err := daemon.UserToken(t.Context(), env, "alice", env.AlicePasswordFile)
	must.NoError(t, err)
	former, err := cluster.Leader(t.Context())
	must.NoError(t, err)
	eventually(t, "another leader in Consul", 30*time.Second, func() bool {
		leader, err := cluster.Leader(t.Context())
		must.NoError(t, err)
		if leader == former { // at first, when a transfer came to nothing, and when an election took it back
			_ = cluster.Oakum(t.Context(), alice, "operator", "raft", "transfer")
			return false
		}
		return leaderIs(leader)
	})

	t.Log("every server tells its version, and all are healthy")
	var peers []api.ServerInfo
	eventually(t, "three healthy peers", 30*time.Second, func() bool {
		res := cluster.Oakum(t.Context(), alice, "operator", "raft", "list-peers", "-json")
		return res.Code == 0 && json.Unmarshal([]byte(res.Stdout), &peers) == nil && len(peers) == 3 &&
			!slices.ContainsFunc(peers, func(p api.ServerInfo) bool { return p.Version == "" || p.Healthy == nil || !*p.Healthy })
	})

	t.Log("a server that stops takes its leave of Consul")
	gone := cluster.Servers[0]
	if leader, err := cluster.Leader(t.Context()); err == nil && leader == gone {
		gone = cluster.Servers[1]
	}
	gone.Terminate()
	eventually(t, "two servers in Consul", 30*time.Second, func() bool { return len(entries()) == 2 })
	must.NoError(t, gone.Start())
	eventually(t, "three servers in Consul", 30*time.Second, func() bool { return len(entries()) == 3 })

	t.Log("an agent that forgot is told again")
	id := growthService + "-" + gone.Name
	must.NoError(t, vendor.Agent().ServiceDeregisterOpts(id, new(consulapi.QueryOptions).WithContext(t.Context())))
	eventually(t, "it is registered again", 30*time.Second, func() bool {
		own, err := vendor.Agent().Services() // the agent's own word: the catalog may not have heard of its leave yet
		must.NoError(t, err)
		return own[id] != nil && len(entries()) == 3
	})
}
