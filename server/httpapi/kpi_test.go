package httpapi

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
)

func TestKPIDiscover_OfOneTargetOrAll(t *testing.T) {
	s := start(t, nil)
	cl := s.client(t, "")
	ref := api.TargetRef{Namespace: "prod", Job: "web", Group: "vm"}
	one, _, err := cl.DiscoverKPIs(t.Context(), &ref, []string{"heap", "gc_time"}, client.Query{})
	must.NoError(t, err)
	must.Eq(t, "heap gc_time", one.Block)
	must.Eq(t, ref, one.Targets[0].Target)
	all, _, err := cl.DiscoverKPIs(t.Context(), nil, nil, client.Query{})
	must.NoError(t, err)
	must.SliceEmpty(t, all.Targets)
	_, _, err = cl.DiscoverKPIs(t.Context(), &api.TargetRef{Namespace: "a", Job: "", Group: "b"}, nil, client.Query{})
	must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))
}

func TestKPICheck_OfSomeOrAll(t *testing.T) {
	s := start(t, nil)
	cl := s.client(t, "")
	some, _, err := cl.CheckKPIs(t.Context(), []string{"heap", "gc_time"}, client.Query{})
	must.NoError(t, err)
	must.Eq(t, []api.CheckedKPI{{KPI: "heap"}, {KPI: "gc_time"}}, some.KPIs)
	all, _, err := cl.CheckKPIs(t.Context(), nil, client.Query{})
	must.NoError(t, err)
	must.SliceEmpty(t, all.KPIs)
}
