package httpapi

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/access"
)

// documentMax bounds the document of an inventory, in bytes, as package inventory does.
const documentMax = 64 << 20

func (a *API) inventories(c *call) (any, error) {
	records := a.opt.Store.Inventories()
	if v := a.view(c); !v.All() {
		theirs, err := a.inventoried(c, v)
		if err != nil {
			return nil, err
		}
		records = slices.DeleteFunc(records, func(r api.InventoryRecord) bool { return !slices.Contains(theirs, r.Of) })
		if records, err = access.Redact(v, records); err != nil {
			return nil, err
		}
	}
	return list(c, records, func(r api.InventoryRecord) string { return r.Of + " " + r.Hash })
}

// inventory is the one of ?of=, with its packages; ?hash= chooses among several that
// differ.
func (a *API) inventory(c *call) (any, error) {
	of := c.r.FormValue("of")
	if of == "" {
		return nil, api.Errorf(api.CodeInvalid, "query parameter of: want a digest, or the name of an image")
	}
	if v := a.view(c); !v.All() {
		whole, err := a.inventoryOf(c, v, of)
		if err != nil {
			return nil, err
		}
		of = whole
	}
	return a.opt.Control.Inventory(of, c.r.FormValue("hash"))
}

// inventoried are the digests and images that targets run which the caller may see.
func (a *API) inventoried(c *call, v *access.View) ([]string, error) {
	found, err := a.opt.Control.TargetInventories(c.ctx(), nil)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, f := range found {
		for _, of := range []string{f.Digest, f.Image} {
			if of != "" && !strings.HasPrefix(of, api.NodeInventory) && v.Sees(f.Target) {
				out = append(out, of)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// inventoryOf is the one of the caller's targets that is named, or that begins so. Others
// are not there, and make no beginning ambiguous.
func (a *API) inventoryOf(c *call, v *access.View, of string) (string, error) {
	theirs, err := a.inventoried(c, v)
	if err != nil {
		return "", err
	}
	if slices.Contains(theirs, of) {
		return of, nil
	}
	missing := api.Errorf(api.CodeNotFound, "inventory of %s: there is none", of)
	if !strings.HasPrefix(of, "sha256:") {
		return "", missing
	}
	theirs = slices.DeleteFunc(theirs, func(whole string) bool { return !strings.HasPrefix(whole, of) })
	switch len(theirs) {
	case 0:
		return "", missing
	case 1:
		return theirs[0], nil
	}
	return "", &api.Error{
		Code: api.CodeConflict, Message: fmt.Sprintf("inventory of %s: %d digests begin so; name more of one", of, len(theirs)), Details: theirs,
	}
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
	v := a.view(c)
	if ref != nil && !v.Sees(*ref) {
		return nil, notFound("target", ref.String())
	}
	found, err := a.opt.Control.TargetInventories(c.ctx(), ref)
	if err != nil {
		return nil, err
	}
	shown, err := access.Redact(v, access.Kept(v, found, func(f api.TargetInventory) api.TargetRef { return f.Target }))
	if err != nil {
		return nil, err
	}
	return list(c, shown, func(f api.TargetInventory) string { return f.Target.String() + " " + f.Task })
}

// nodes lists the client nodes of Nomad.
func (a *API) nodes(c *call) (any, error) {
	found, err := a.opt.Control.Nodes(c.ctx())
	if err != nil {
		return nil, err
	}
	return list(c, found, func(n api.Node) string { return n.Name + " " + n.ID })
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
