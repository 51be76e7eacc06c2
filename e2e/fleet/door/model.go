package door

import (
	"context"
	"sync"
	"time"

	"github.com/oakumhq/oakum/internal/fleet"
)

// Model is a fleet in memory that keeps time with the clock on the wall. It is
// safe for concurrent use.
//
// Run keeps it going between two calls; without it, time passes only when
// somebody looks.
type Model struct {
	mu      sync.Mutex
	fleet   *fleet.Fleet
	told    uint64        // the index that the last change was told of
	changed chan struct{} // closed at the next change
	rearm   chan struct{} // holds one value when something may be due earlier
	after   []func(*fleet.Fleet)
}

// NewModel keeps a fleet. The fleet's time must not be ahead of the clock, and
// nobody else may use it from now on.
func NewModel(f *fleet.Fleet) *Model {
	return &Model{fleet: f, changed: make(chan struct{}), rearm: make(chan struct{}, 1)}
}

// After has do called after everything that may have changed the fleet, before
// anybody else sees it. It is called before Run and before the first look.
func (m *Model) After(do func(*fleet.Fleet)) { m.after = append(m.after, do) }

// View looks at the fleet as it is now. What read was given is the model's own
// and must not be kept.
func (m *Model) View(read func(*fleet.Fleet)) { m.Update(read) }

// Update changes the fleet at the present moment.
func (m *Model) Update(change func(*fleet.Fleet)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fleet.Advance(time.Now())
	m.follow()
	change(m.fleet)
	m.follow()
}

// follow publishes a change. The caller holds the lock.
func (m *Model) follow() {
	for _, do := range m.after {
		do(m.fleet)
	}
	if m.fleet.Index() != m.told {
		m.told = m.fleet.Index()
		close(m.changed)
		m.changed = make(chan struct{})
	}
	select {
	case m.rearm <- struct{}{}:
	default:
	}
}

// Changed is closed at the next change. It is for whoever is inside View, and sees
// the fleet before that change.
func (m *Model) Changed() <-chan struct{} { return m.changed }

// Wait returns once the fleet's index is higher than the given one, or ctx ends.
func (m *Model) Wait(ctx context.Context, index uint64) error {
	for {
		var have uint64
		var changed <-chan struct{}
		m.View(func(f *fleet.Fleet) { have, changed = f.Index(), m.changed })
		if have > index {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Run carries out what is due when it is due, until ctx ends.
func (m *Model) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.rearm:
		case <-timer.C:
		}
		m.mu.Lock()
		m.fleet.Advance(time.Now())
		m.follow()
		// What follow has just asked for is answered here.
		select {
		case <-m.rearm:
		default:
		}
		next, ok := m.fleet.Next()
		m.mu.Unlock()
		if ok {
			timer.Reset(time.Until(next))
		} else {
			timer.Stop()
		}
	}
}
