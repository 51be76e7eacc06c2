package httpapi

import "github.com/oakumhq/oakum/api"

// documentMax bounds the document of an inventory, in bytes, as package inventory does.
const documentMax = 64 << 20

func (a *API) inventories(c *call) (any, error) {
	return list(c, a.opt.Store.Inventories(), func(r api.InventoryRecord) string { return r.Of + " " + r.Hash })
}

// inventory is the one of ?of=, with its packages; ?hash= chooses among several that
// differ.
func (a *API) inventory(c *call) (any, error) {
	of := c.r.FormValue("of")
	if of == "" {
		return nil, api.Errorf(api.CodeInvalid, "query parameter of: want a digest, or the name of an image")
	}
	return a.opt.Control.Inventory(of, c.r.FormValue("hash"))
}

// targetInventories says which inventory each target has, or the one of ?target=.
func (a *API) targetInventories(c *call) (any, error) {
	var ref *api.TargetRef
	if text := c.r.FormValue("target"); text != "" {
		one, err := api.ParseTargetRef(text)
		if err != nil {
			return nil, err
		}
		ref = &one
	}
	found, err := a.opt.Control.TargetInventories(c.ctx(), ref)
	if err != nil {
		return nil, err
	}
	return list(c, found, func(f api.TargetInventory) string { return f.Target.String() + " " + f.Task })
}

// compliance is how far the fleet is with every advisory, or with those of ?name=.
func (a *API) compliance(c *call) (any, error) {
	return a.opt.Control.Compliance(c.ctx(), c.r.FormValue("name"))
}

// inventoryPut takes the document as it is as the body; what it describes is in the query.
func (a *API) inventoryPut(c *call) (any, error) {
	query := c.r.URL.Query()
	in := api.InventoryGiven{
		Source: query.Get("source"), Digest: query.Get("digest"), Image: query.Get("image"), Target: query.Get("target"), Task: query.Get("task"),
		Replace: c.flag("replace"),
	}
	document, err := c.body(documentMax)
	if err != nil {
		return nil, err
	}
	if len(document) == 0 {
		return nil, api.Errorf(api.CodeInvalid, "request body: empty, want a CycloneDX or an SPDX document")
	}
	return a.opt.Control.PutInventory(c.ctx(), in, document, c.by)
}
