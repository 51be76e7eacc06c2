//go:build e2e

package mapper

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/oakumhq/oakum/api"
)

// safeRecord keeps what a running mapper records.
type safeRecord struct {
	mu      sync.Mutex
	inner   *recorded
	n       int
	changed chan struct{}
}

// Graph implements State.
func (s *safeRecord) Graph() api.Graph {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inner.graph()
}

// RecordGraph implements Recorder.
func (s *safeRecord) RecordGraph(_ context.Context, c api.GraphChange) error {
	s.mu.Lock()
	s.inner.apply(c)
	s.n++
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return nil
}

func (s *safeRecord) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// await waits until the record satisfies a condition.
func (s *safeRecord) await(t *testing.T, what string, holds func(r *recorded) bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		s.mu.Lock()
		ok := holds(s.inner)
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-s.changed:
		case <-deadline:
			t.Fatalf("waited 30 s for %s", what)
		}
	}
}
