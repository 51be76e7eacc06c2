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
	// watchWait is how long a blocking query may stay open. Consul adds up to a
	// sixteenth.
	watchWait = time.Minute
	// watchSlack is how much longer a blocking query may take before it counts as
	// lost.
	watchSlack = 10 * time.Second
	// watchPause is the least time between two queries of one watch. It keeps an
	// index that moves without a change from causing a busy loop, and it paces
	// the queries to a Consul that does not answer.
	watchPause = time.Second
	// watchStale is how old a follower's answer may be. News older than a round
	// of the mapper is no use.
	watchStale = 5 * time.Second
	// watchBackOff is the longest pause after failures.
	watchBackOff = 15 * time.Second
)

// Watch calls changed whenever intentions, routes or the catalog may have changed,
// until the context ends. It starts a goroutine with a blocking query for each of
// them, and returns when all have ended. changed must not block.
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

// answer is the result of one blocking query.
type answer struct {
	index uint64
	body  [sha256.Size]byte // digest of it; zero when only the index counts
}

// follow repeats one blocking query. It calls changed when the index moves and,
// where the query returns content, the content differs. An index that goes
// backwards, after a restore or an upgrade, starts again from zero. After failures
// the pauses grow, so that a Consul that limits its readers is not asked faster.
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

// ask makes one blocking query. The caller does not report its failures: the reads
// that a change would cause fail too, and report why.
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
