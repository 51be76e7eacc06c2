package service

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
	"github.com/oakumhq/oakum/server/state"
)

// TestAttemptsAreThoseOfTheTargetsServices reads them from the recorded graph,
// by the services that the target registers, and sees what is recorded later.
func TestAttemptsAreThoseOfTheTargetsServices(t *testing.T) {
	now := time.Date(2026, 3, 1, 14, 0, 0, 0, time.UTC)
	store := state.NewStore()
	fsm := state.NewFSM(store)
	index := uint64(0)
	record := func(change api.GraphChange) {
		t.Helper()
		index++
		entry, err := state.Encode(&state.GraphChange{GraphChange: change}, now, "mapper")
		must.NoError(t, err)
		err, _ = fsm.Apply(&raft.Log{Index: index, Type: raft.LogCommand, Data: entry}).(error)
		must.NoError(t, err)
	}
	attempt := func(from string) api.Edge {
		return api.Edge{From: from, To: "admin", State: api.EdgeDeniedAttempted, Evidence: []api.Evidence{
			{Source: "consul-intentions", Class: api.EvidenceDenied, Detail: graph.DefaultDetail, FirstSeen: now},
			{Source: "prometheus", Class: api.EvidenceDenied, Attempt: true, Exact: true, FirstSeen: now, LastSeen: now},
		}}
	}
	ref := api.TargetRef{Namespace: "prod", Job: "shop", Group: "web"}
	record(api.GraphChange{At: now, Services: []api.Service{{Name: "catalog"}, {Name: "store"}, {Name: "admin"}},
		Targets: []api.Target{{TargetRef: ref, Services: []string{"catalog"}}}, Edges: []api.Edge{attempt("store")}})
	c := NewGraphCache(store)
	must.SliceEmpty(t, c.Attempts(ref, now.Add(-time.Minute)))
	record(api.GraphChange{At: now, Edges: []api.Edge{attempt("catalog")}})
	must.Eq(t, []api.Attempt{{From: "catalog", To: "admin", Since: now, Rule: "the default says denied"}}, c.Attempts(ref, now.Add(-time.Minute)))
	must.SliceEmpty(t, c.Attempts(ref, now), must.Sprint("it was tried before"))
	must.SliceEmpty(t, c.Attempts(api.TargetRef{Job: "unknown"}, now.Add(-time.Minute)))
}
