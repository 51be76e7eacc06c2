package cluster

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// ErrLeadershipLost is the cause with which the context of a term ends.
var ErrLeadershipLost = errors.New("leadership was lost")

// ErrClosed is returned to those who use a node after Close.
var ErrClosed = errors.New("the server is stopping")

// leadPause is the pause before the leader's work starts again in the same term,
// after it ended early. It is short, because nothing moves meanwhile, and long
// enough that a steady failure does not fill the log.
const leadPause = time.Second

// term is one stretch of leadership.
type term struct {
	number uint64
	lost   chan struct{} // closed at its end
}

// leadership knows whether this server leads, and in which term.
type leadership struct {
	logger *slog.Logger
	closed <-chan struct{} // closed when Raft has ended

	mu      sync.Mutex
	term    *term         // nil unless this server leads
	changed chan struct{} // closed when term changes
}

func newLeadership(logger *slog.Logger, closed <-chan struct{}) *leadership {
	return &leadership{logger: logger, closed: closed, changed: make(chan struct{})}
}

// watch follows every gain and loss of leadership. Raft waits until a change was
// received, so none is missed, however short.
func (l *leadership) watch(changes <-chan bool, currentTerm func() uint64) {
	for {
		select {
		case leads := <-changes:
			number := uint64(0)
			if leads {
				number = currentTerm()
			}
			l.set(number)
		case <-l.closed:
			l.set(0)
			return
		}
	}
}

// set ends the present term. It begins the term of number, unless number is 0.
func (l *leadership) set(number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.term != nil {
		l.logger.Info("leadership lost", "term", l.term.number)
		close(l.term.lost)
		l.term = nil
	}
	if number > 0 {
		l.term = &term{number: number, lost: make(chan struct{})}
		l.logger.Info("leadership gained", "term", number)
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// present returns the term, nil when this server does not lead, and a channel that
// is closed when that changes.
func (l *leadership) present() (*term, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.term, l.changed
}

// next waits for leadership. It returns nil when ctx ends, and ErrClosed when Raft
// does.
func (l *leadership) next(ctx context.Context) (*term, error) {
	for ctx.Err() == nil {
		t, changed := l.present()
		if t != nil {
			return t, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
		case <-l.closed:
			return nil, ErrClosed
		}
	}
	return nil, nil
}

// Term is the term of this server's leadership, 0 when it does not lead.
func (n *Node) Term() uint64 {
	if t, _ := n.leadership.present(); t != nil {
		return t.number
	}
	return 0
}

// LeadershipChanged returns a channel that is closed when this server begins or
// ceases to lead. Ask for it before looking at IsLeader.
func (n *Node) LeadershipChanged() <-chan struct{} {
	_, changed := n.leadership.present()
	return changed
}

// Run calls lead in each term of leadership, after everything that was
// committed before has been applied here. The context that lead is given ends
// when leadership is lost, with ErrLeadershipLost as its cause; the next term
// begins only after lead has returned. When lead returns while the term goes
// on, it is called again after a pause. Run returns nil when ctx ends and
// ErrClosed when the node does.
func (n *Node) Run(ctx context.Context, lead func(context.Context) error) error {
	for {
		t, err := n.leadership.next(ctx)
		if err != nil || t == nil {
			return err
		}
		n.serve(ctx, t, lead)
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
