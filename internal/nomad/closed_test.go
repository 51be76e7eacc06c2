package nomad

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
)

// TestClosedNodes_NamesThoseThatTakeNothing: Nomad's dry run counts the nodes that it looked
// at, and an operator who drains one sees only that there is no room.
func TestClosedNodes_NamesThoseThatTakeNothing(t *testing.T) {
	t.Parallel()
	node := func(name, status, eligibility string, drain bool, dc, pool string) *nomadapi.NodeListStub {
		return &nomadapi.NodeListStub{Name: name, Status: status, SchedulingEligibility: eligibility, Drain: drain, Datacenter: dc, NodePool: pool}
	}
	open := node("n1", "ready", "eligible", false, "dc1", "default")
	for name, c := range map[string]struct {
		nodes []*nomadapi.NodeListStub
		fails bool
		want  string
	}{
		"all take something": {[]*nomadapi.NodeListStub{open}, false, ""},
		"some do not": {[]*nomadapi.NodeListStub{
			node("n4", "down", "eligible", false, "dc1", "default"), open,
			node("n2", "ready", "ineligible", false, "dc1", "default"), node("n3", "ready", "ineligible", true, "dc1", "default"),
		}, false, "; not counting n2 (ineligible), n3 (draining), n4 (down)"},
		"those of others": {[]*nomadapi.NodeListStub{
			node("n2", "ready", "ineligible", false, "eu1", "default"), node("n3", "down", "eligible", false, "dc1", "gpu"),
		}, false, ""},
		"many": {[]*nomadapi.NodeListStub{
			node("a", "down", "", false, "dc1", ""), node("b", "down", "", false, "dc1", ""), node("c", "down", "", false, "dc1", ""),
			node("d", "down", "", false, "dc1", ""), node("e", "down", "", false, "dc1", ""), node("f", "down", "", false, "dc1", ""),
			node("g", "down", "", false, "dc1", ""),
		}, false, "; not counting a (down), b (down), c (down), d (down), e (down), and 2 more"},
		"nomad does not say": {nil, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				must.EqOp(t, "/v1/nodes", r.URL.Path)
				if c.fails {
					w.WriteHeader(http.StatusForbidden)
					return
				}
				must.NoError(t, json.NewEncoder(w).Encode(c.nodes))
			}))
			t.Cleanup(at.Close)
			client, err := New(Config{Address: at.URL})
			must.NoError(t, err)
			job := &nomadapi.Job{Datacenters: []string{"dc*"}}
			must.EqOp(t, c.want, client.closedNodes(t.Context(), job))
		})
	}
}
