// Package queue lets simulations in, as many at once as the quotas allow.
package queue

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Queue knows who waits and which nodes are used. It is safe for concurrent use.
type Queue struct {
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

// New returns a queue for so many pairs at once in all, and on one node.
func New(pairs, perNode int) *Queue {
	return &Queue{pairs: pairs, perNode: perNode, placing: make(chan struct{}, 1), nodes: map[string]int{}, left: make(chan struct{})}
}

// Place waits until no other run looks for a node. Whoever looks then calls placed.
func (q *Queue) Place(ctx context.Context) (placed func(), err error) {
	select {
	case q.placing <- struct{}{}:
		return func() { <-q.placing }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for other twins to be placed: %w", context.Cause(ctx))
	}
}

// Enter waits until the quota has room for a run, which then calls release. The lower
// rank goes first, and of equal ones the older. Queued is called with the place in the
// queue, from 1, when there is none yet.
func (q *Queue) Enter(ctx context.Context, rank int, queued func(position int)) (release func(), err error) {
	t := &ticket{rank: rank, called: make(chan struct{})}
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
func (q *Queue) release() {
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

// Full lists the nodes that have no room for another pair, sorted.
func (q *Queue) Full() []string {
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

// Use counts a run on a node.
func (q *Queue) Use(node string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.nodes[node]++
}

// Leave ends the use of a node, and wakes those who wait for one.
func (q *Queue) Leave(node string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.nodes[node]--; q.nodes[node] == 0 {
		delete(q.nodes, node)
	}
	close(q.left)
	q.left = make(chan struct{})
}

// Change is closed when the next run leaves its node.
func (q *Queue) Change() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.left
}
