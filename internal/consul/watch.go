package consul

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"sync"
	"time"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/oakumhq/oakum/api"
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
	// watchStale is how old the word of a follower may be: news that are older
	// than a round of the mapper are none.
	watchStale = 5 * time.Second
	// watchBackOff is the longest pause after failures.
	watchBackOff = 15 * time.Second
)

// Watch calls changed whenever intentions, routes or the catalog may have
// changed, until the context ends. It keeps a blocking query open for each, in
// a goroutine each, and returns when all have ended. changed must not block.
func (c *Client) Watch(ctx context.Context, changed func()) {
	var group sync.WaitGroup
	for _, kind := range append(routeKinds(), consulapi.ServiceIntentions, consulapi.ExportedServices) {
		group.Go(func() {
			c.follow(ctx, changed, func(q *consulapi.QueryOptions) (*consulapi.QueryMeta, any, error) {
				list, meta, err := c.api.ConfigEntries().List(kind, q)
				return meta, list, err
			})
		})
	}
	group.Go(func() {
		c.follow(ctx, changed, func(q *consulapi.QueryOptions) (*consulapi.QueryMeta, any, error) {
			_, meta, err := c.api.Catalog().Services(q)
			return meta, nil, err // an instance may have changed behind the same names
		})
	})
	group.Wait()
}

// answer is what one blocking query brought.
type answer struct {
	index uint64
	body  [sha256.Size]byte // digest of it; zero when only the index counts
}

// follow repeats one blocking query and calls changed when its index moves and,
// where the answer itself was given, its content with it: a return is not a
// change. An index that goes backwards, after a restore or an upgrade, starts
// afresh. Failures are asked again with growing pauses: a Consul that limits
// the rate of its readers must not be asked faster.
func (c *Client) follow(ctx context.Context, changed func(), read func(*consulapi.QueryOptions) (*consulapi.QueryMeta, any, error)) {
	pace := time.NewTimer(0)
	defer pace.Stop()
	var last answer
	pause := watchPause
	for {
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
		pace.Reset(pause)
		next, err := c.ask(ctx, last.index, read)
		if err != nil {
			pause = min(2*pause, watchBackOff)
			continue
		}
		pause = watchPause
		if last.index != 0 && next.index != last.index && (next.body != last.body || next.body == [sha256.Size]byte{}) {
			changed()
		}
		if next.index < last.index {
			next.index = 0
		}
		last = next
	}
}

// ask makes one blocking query. A failure is no news: the reads that the news
// would lead to fail too, and say why.
func (c *Client) ask(ctx context.Context, index uint64, read func(*consulapi.QueryOptions) (*consulapi.QueryMeta, any, error)) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, watchWait+watchSlack)
	defer cancel()
	q := &consulapi.QueryOptions{Datacenter: c.dc, AllowStale: true, WaitIndex: index, WaitTime: watchWait}
	meta, body, err := read(q.WithContext(ctx))
	if err != nil {
		return answer{}, err
	}
	if !meta.KnownLeader || meta.LastContact > watchStale {
		return answer{}, api.Errorf(api.CodeUnavailable, "consul: watch: the server that answers has lost its leader, its word is %s old", meta.LastContact)
	}
	out := answer{index: max(meta.LastIndex, 1)}
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		out.body = sha256.Sum256(text)
	}
	return out, nil
}
