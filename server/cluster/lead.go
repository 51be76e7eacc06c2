package cluster

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrLeadershipLost is the cause with which the context of a term ends.
var ErrLeadershipLost = errors.New("leadership was lost")

// ErrClosed is returned to those who use a node after Close.
var ErrClosed = errors.New("the server is stopping")

// leadPause separates attempts of one term when what the leader does ends
// early. It is short, because nothing moves meanwhile, and long enough that a
// steady failure does not fill the log.
const leadPause = time.Second

// term is one stretch of leadership.
type term struct {
	number uint64
	lost   chan struct{} // closed at its end
}

// watchLeadership follows every gain and loss. Raft waits for it, so none is
// missed, however short.
func (n *Node) watchLeadership() {
	for {
		select {
		case leads := <-n.leads:
			n.turn(leads)
		case <-n.stopped:
			n.turn(false)
			return
		}
	}
}

// LeadershipChanged returns a channel that is closed when this server begins or
// ceases to lead. Ask for it before looking at IsLeader.
func (n *Node) LeadershipChanged() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.turned
}

// lifetime returns a context that ends when Close begins.
func (n *Node) lifetime() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	n.loops.Go(func() {
		select {
		case <-n.stop:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, cancel
}

// turn ends the present term, begins another when this server leads, and tells.
func (n *Node) turn(leads bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.term != nil {
		n.logger.Info("leadership lost", "term", n.term.number)
		close(n.term.lost)
		n.term = nil
	}
	if leads {
		n.term = &term{number: n.raft.CurrentTerm(), lost: make(chan struct{})}
		n.logger.Info("leadership gained", "term", n.term.number)
	}
	close(n.turned)
	n.turned = make(chan struct{})
}

// Run calls lead in each term of leadership, after everything that was
// committed before has been applied here. The context that lead is given ends
// when leadership is lost, with ErrLeadershipLost as its cause; the next term
// begins only after lead has returned. When lead returns while the term goes
// on, it is called again after a pause. Run returns nil when ctx ends and
// ErrClosed when the node does.
func (n *Node) Run(ctx context.Context, lead func(context.Context) error) error {
	for {
		t, err := n.nextTerm(ctx)
		if err != nil || t == nil {
			return err
		}
		n.serve(ctx, t, lead)
	}
}

// nextTerm waits for leadership; nil means that ctx ended.
func (n *Node) nextTerm(ctx context.Context) (*term, error) {
	for {
		n.mu.Lock()
		t, turned := n.term, n.turned
		n.mu.Unlock()
		if ctx.Err() != nil {
			return nil, nil
		}
		if t != nil {
			return t, nil
		}
		select {
		case <-turned:
		case <-ctx.Done():
		case <-n.stopped:
			return nil, ErrClosed
		}
	}
}

// serve calls lead until the term ends.
func (n *Node) serve(outer context.Context, t *term, lead func(context.Context) error) {
	ctx, cancel := context.WithCancelCause(outer)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel(nil)
	watch.Go(func() {
		select {
		case <-t.lost:
			cancel(ErrLeadershipLost)
		case <-ctx.Done():
		}
	})
	for ctx.Err() == nil {
		err := n.Barrier(ctx)
		if err == nil {
			err = lead(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		n.logger.Warn("leader's work ended early, it starts again", "term", t.number, "error", err)
		pause(ctx, leadPause)
	}
}

// pause waits, or returns early when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
