package consul

import (
	"context"

	"github.com/oakumhq/oakum/api"
)

// KV returns the value of a key of Consul's store. The error has code not_found when there is
// none. Consul keeps at most 512 KiB under a key.
func (c *Client) KV(ctx context.Context, key string) ([]byte, error) {
	q, cancel := c.query(ctx)
	defer cancel()
	pair, _, err := c.api.KV().Get(key, q)
	switch {
	case err != nil:
		return nil, explain("read the key "+key, err)
	case pair == nil:
		return nil, api.Errorf(api.CodeNotFound, "consul has no key %s", key)
	}
	return pair.Value, nil
}
