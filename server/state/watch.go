package state

import (
	"slices"
	"strings"
	"sync"

	"github.com/oakumhq/oakum/api"
)

// watchers wakes those who wait for changes. Everybody who waits for the same
// set of topics shares one channel, so there are never more of them than sets
// in use, however many callers give up waiting.
type watchers struct {
	mu   sync.Mutex
	sets map[string]*watcher
}

type watcher struct {
	topics []api.Topic // empty means all
	woken  chan struct{}
}

func (w *watchers) watch(topics []api.Topic) <-chan struct{} {
	topics = slices.Clone(topics)
	slices.Sort(topics)
	topics = slices.Compact(topics)
	var name strings.Builder
	for _, t := range topics {
		name.WriteString(string(t))
		name.WriteByte(0)
	}

	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sets == nil {
		w.sets = map[string]*watcher{}
	}
	set := w.sets[name.String()]
	if set == nil {
		set = &watcher{topics: topics, woken: make(chan struct{})}
		w.sets[name.String()] = set
	}
	return set.woken
}

// wake closes the channels of all who wait for one of the topics, or of
// everybody when none is given.
func (w *watchers) wake(changed []api.Topic) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, set := range w.sets {
		if len(changed) == 0 || len(set.topics) == 0 || slices.ContainsFunc(set.topics, func(t api.Topic) bool {
			return slices.Contains(changed, t)
		}) {
			close(set.woken)
			delete(w.sets, name)
		}
	}
}
