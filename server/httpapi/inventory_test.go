package httpapi

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/inventory"
)

func TestInventory_IsKeptByWhoeverSubmitsPatches(t *testing.T) {
	s := start(t, func(o *Options) {
		o.Auth = tokens{
			"p": {Name: "pipeline", Via: "jwt", Capabilities: []api.Capability{api.CapPatchSubmit}},
			"a": {Name: "alice", Via: "jwt", Capabilities: []api.Capability{api.CapRead}},
		}
	})
	s.store.kept = []api.InventoryRecord{{Of: "web:2", Hash: "b"}, {Of: "web:1", Hash: "a", Origin: api.InventoryImage}}
	in := api.InventoryGiven{Source: "web.json", Digest: "sha256:0a", Target: "prod/web/vm", Task: "vm", Replace: true}
	receipt, err := s.client(t, "p").PutInventory(t.Context(), in, []byte("{}"))
	must.NoError(t, err)
	must.Eq(t, api.InventoryRecord{Of: "sha256:0a", Bytes: 2}, receipt.Record)
	must.Len(t, 1, s.control.calls)
	must.StrContains(t, s.control.calls[0], "Source:web.json Digest:sha256:0a Image: Target:prod/web/vm Task:vm Replace:true} by pipeline")
	_, err = s.client(t, "a").PutInventory(t.Context(), in, []byte("{}"))
	must.ErrorContains(t, err, "identity alice lacks the capability patch-submit")
	_, _, err = s.client(t, "p").Inventories(t.Context(), client.Query{})
	must.True(t, api.IsCode(err, api.CodePermissionDenied), must.Sprint(err))

	records, _, err := s.client(t, "a").Inventories(t.Context(), client.Query{Filter: "origin == image"})
	must.NoError(t, err)
	must.Eq(t, "web:1", records[0].Of)
	inv, _, err := s.client(t, "a").Inventory(t.Context(), "web:1", "abc", client.Query{})
	must.NoError(t, err)
	must.Eq(t, api.Inventory{Digest: "web:1", Subject: "abc"}, inv)
	all, _, err := s.client(t, "a").TargetInventories(t.Context(), nil, client.Query{})
	must.NoError(t, err)
	must.Eq(t, "all", all[0].Task)
	ref := api.TargetRef{Namespace: "prod", Job: "web", Group: "vm"}
	one, _, err := s.client(t, "a").TargetInventories(t.Context(), &ref, client.Query{})
	must.NoError(t, err)
	must.Eq(t, ref, one[0].Target)
	nodes, _, err := s.client(t, "a").Nodes(t.Context(), client.Query{Filter: `name == one`})
	must.NoError(t, err)
	must.Len(t, 1, nodes)
	must.EqOp(t, "6.1", nodes[0].Kernel)
	_, _, err = s.client(t, "p").Nodes(t.Context(), client.Query{})
	must.True(t, api.IsCode(err, api.CodePermissionDenied), must.Sprint(err))
	compliance, _, err := s.client(t, "a").Compliance(t.Context(), "CVE-2026-0001", client.Query{})
	must.NoError(t, err)
	must.EqOp(t, "CVE-2026-0001", compliance.Advisories[0].ID)
	_, _, err = s.client(t, "p").Compliance(t.Context(), "", client.Query{})
	must.True(t, api.IsCode(err, api.CodePermissionDenied), must.Sprint(err))
}

func TestInventory_RefusesWhatIsNoDocument(t *testing.T) {
	s := start(t, nil)
	cl := s.client(t, "")
	for want, document := range map[string][]byte{
		"request body: empty, want a CycloneDX or an SPDX document": nil,
		"request body: not UTF-8":                                   []byte("\xdf"),
		"request body: larger than 64 MiB":                          make([]byte, documentMax+1),
	} {
		_, err := cl.PutInventory(t.Context(), api.InventoryGiven{}, document)
		must.ErrorContains(t, err, want)
	}
	_, _, err := cl.Inventory(t.Context(), "", "", client.Query{})
	must.ErrorContains(t, err, "query parameter of")
	_, _, err = cl.TargetInventories(t.Context(), &api.TargetRef{}, client.Query{})
	must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))
	must.SliceEmpty(t, s.control.calls)
	must.EqOp(t, inventory.DocumentMax, documentMax)
}
