package consul

import (
	"context"
	"sync"
	"time"

	consulapi "github.com/hashicorp/consul/api"
)

const (
	// watchWait is how long one blocking query may stay open; Consul adds up to
	// a sixteenth.
	watchWait = time.Minute
	// watchSlack is what one takes on top before it counts as lost.
	watchSlack = 10 * time.Second
	// watchPause is the least time between two queries of one watch: an index
	// that moves without a change must not become a busy loop, and a Consul that
	// is away is asked about once a second.
	watchPause = time.Second
)

// Watch calls changed whenever intentions or the catalog may have changed, until
// the context ends. It keeps two blocking queries open, in a goroutine each,
// and returns when both have ended. changed must not block.
func (c *Client) Watch(ctx context.Context, changed func()) {
	var group sync.WaitGroup
	group.Go(func() {
		c.follow(ctx, changed, func(q *consulapi.QueryOptions) (*consulapi.QueryMeta, error) {
			_, meta, err := c.api.ConfigEntries().List(consulapi.ServiceIntentions, q)
			return meta, err
		})
	})
	group.Go(func() {
		c.follow(ctx, changed, func(q *consulapi.QueryOptions) (*consulapi.QueryMeta, error) {
			_, meta, err := c.api.Catalog().Services(q)
			return meta, err
		})
	})
	group.Wait()
}

// follow repeats one blocking query and calls changed when its index moves. An
// index that goes backwards, after a restore or an upgrade, starts afresh.
func (c *Client) follow(ctx context.Context, changed func(), read func(*consulapi.QueryOptions) (*consulapi.QueryMeta, error)) {
	pace := time.NewTicker(watchPause)
	defer pace.Stop()
	index := uint64(0)
	for ctx.Err() == nil {
		if next, ok := c.ask(ctx, index, read); ok {
			if index != 0 && next != index {
				changed()
			}
			if next < index {
				next = 0
			}
			index = next
		}
		select {
		case <-ctx.Done():
		case <-pace.C:
		}
	}
}

// ask makes one blocking query. A failure is no news: the reads that the news
// would lead to fail too, and say why.
func (c *Client) ask(ctx context.Context, index uint64, read func(*consulapi.QueryOptions) (*consulapi.QueryMeta, error)) (uint64, bool) {
	ctx, cancel := context.WithTimeout(ctx, watchWait+watchSlack)
	defer cancel()
	q := &consulapi.QueryOptions{Datacenter: c.dc, AllowStale: true, WaitIndex: index, WaitTime: watchWait}
	meta, err := read(q.WithContext(ctx))
	if err != nil {
		return 0, false
	}
	return max(meta.LastIndex, 1), true
}
