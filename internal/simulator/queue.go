package simulator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/oakumhq/oakum/api"
)

// Defaults of the quotas. Two pairs on one node disturb each other's measurements.
const (
	DefaultPairs        = 2
	DefaultPairsPerNode = 1
)

// queue lets simulations in, as many at once as the quota allows, and knows which nodes
// they use.
type queue struct {
	pairs   int // at once in all
	perNode int
	// placing has room for the one run that looks for a node: of two at once, both would
	// find the same one empty.
	placing chan struct{}

	mu      sync.Mutex
	running int
	waiting []*ticket
	nodes   map[string]int // runs by the ID of their node
	left    chan struct{}  // closed when a run leaves its node
}

// ticket is a place in the queue.
type ticket struct {
	rank   int // the lower, the earlier
	called chan struct{}
}

func newQueue(pairs, perNode int) *queue {
	return &queue{pairs: pairs, perNode: perNode, placing: make(chan struct{}, 1), nodes: map[string]int{}, left: make(chan struct{})}
}

// rank orders simulations: a rollout's before a person's, since whoever may only simulate
// must not keep rollouts waiting, and then the graver patch. The older one comes first
// when both are alike.
func rank(r Request) int {
	order := []api.Severity{api.SeverityCritical, api.SeverityHigh, api.SeverityMedium, api.SeverityLow}
	out := slices.Index(order, r.Severity)
	if out < 0 {
		out = len(order)
	}
	if r.Rollout == "" {
		out += len(order) + 1
	}
	return out
}

// enter waits until the quota has room for a run, which then calls release. Queued is
// called with the place in the queue, from 1, when there is none yet.
func (q *queue) enter(ctx context.Context, r Request, queued func(position int)) (release func(), err error) {
	t := &ticket{rank: rank(r), called: make(chan struct{})}
	q.mu.Lock()
	if q.running < q.pairs && len(q.waiting) == 0 {
		q.running++
		q.mu.Unlock()
		return q.release, nil
	}
	at := len(q.waiting)
	for at > 0 && q.waiting[at-1].rank > t.rank {
		at--
	}
	q.waiting = slices.Insert(q.waiting, at, t)
	q.mu.Unlock()
	queued(at + 1)
	select {
	case <-t.called:
		return q.release, nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	at = slices.Index(q.waiting, t)
	if at >= 0 {
		q.waiting = slices.Delete(q.waiting, at, at+1)
	}
	q.mu.Unlock()
	if at < 0 { // it was called just now
		q.release()
	}
	return nil, fmt.Errorf("wait for other simulations: %w", context.Cause(ctx))
}

// release ends a run, and calls the first that waits.
func (q *queue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.running--
		return
	}
	next := q.waiting[0]
	q.waiting = slices.Delete(q.waiting, 0, 1)
	close(next.called)
}

// full lists the nodes that have no room for another pair, sorted.
func (q *queue) full() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []string
	for _, node := range slices.Sorted(maps.Keys(q.nodes)) {
		if q.nodes[node] >= q.perNode {
			out = append(out, node)
		}
	}
	return out
}

// use counts a run on a node.
func (q *queue) use(node string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.nodes[node]++
}

// leave ends the use of a node, and wakes those who wait for one.
func (q *queue) leave(node string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.nodes[node]--; q.nodes[node] == 0 {
		delete(q.nodes, node)
	}
	close(q.left)
	q.left = make(chan struct{})
}

// change is closed when the next run leaves its node.
func (q *queue) change() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.left
}
