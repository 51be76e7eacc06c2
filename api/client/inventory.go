package client

import (
	"bytes"
	"context"
	"net/http"
	"net/url"

	"github.com/oakumhq/oakum/api"
)

// Inventories lists the inventories that the cluster keeps, without their packages.
func (c *Client) Inventories(ctx context.Context, q Query) ([]api.InventoryRecord, Meta, error) {
	var out []api.InventoryRecord
	meta, err := c.get(ctx, "/v1/inventories", q, &out)
	return out, meta, err
}

// Inventory reads one inventory with its packages, by a digest or by the name of an image.
// hash chooses among several that differ; it may be empty where there is one.
func (c *Client) Inventory(ctx context.Context, of, hash string, q Query) (api.Inventory, Meta, error) {
	values := q.values()
	values.Set("of", of)
	if hash != "" {
		values.Set("hash", hash)
	}
	var out api.Inventory
	meta, err := c.getBy(ctx, "/v1/inventory", values, q.Wait, &out)
	return out, meta, err
}

// TargetInventories says which inventory there is of what each target runs; of one target,
// when it is not nil.
func (c *Client) TargetInventories(ctx context.Context, target *api.TargetRef, q Query) ([]api.TargetInventory, Meta, error) {
	values := q.values()
	if target != nil {
		values.Set("target", target.String())
	}
	var out []api.TargetInventory
	meta, err := c.getBy(ctx, "/v1/inventory/targets", values, q.Wait, &out)
	return out, meta, err
}

// Nodes lists the client nodes of Nomad with their systems, the kernels that run there, and
// the records of what is installed there.
func (c *Client) Nodes(ctx context.Context, q Query) ([]api.Node, Meta, error) {
	var out []api.Node
	meta, err := c.get(ctx, "/v1/inventory/nodes", q, &out)
	return out, meta, err
}

// Compliance says how far the fleet is with every advisory that the cluster knows; with
// those of one ID, alias or fault, when name is not empty.
func (c *Client) Compliance(ctx context.Context, name string, q Query) (api.Compliance, Meta, error) {
	values := q.values()
	if name != "" {
		values.Set("name", name)
	}
	var out api.Compliance
	meta, err := c.getBy(ctx, "/v1/compliance", values, q.Wait, &out)
	return out, meta, err
}

// PutInventory has the cluster keep an inventory: a CycloneDX or an SPDX document.
func (c *Client) PutInventory(ctx context.Context, in api.InventoryGiven, document []byte) (api.InventoryReceipt, error) {
	values := url.Values{}
	for name, value := range map[string]string{"source": in.Source, "digest": in.Digest, "image": in.Image, "target": in.Target, "task": in.Task} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if in.Replace {
		values.Set("replace", "")
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var out api.InventoryReceipt
	resp, err := c.send(ctx, http.MethodPut, "/v1/inventory", values, bytes.NewReader(document))
	if err != nil {
		return out, err
	}
	_, err = readAnswer(resp, &out)
	return out, err
}
