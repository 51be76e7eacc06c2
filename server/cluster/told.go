package cluster

import (
	"sync"
	"time"
)

const (
	// tellAgain is after how long the same refusal is worth another line.
	tellAgain = time.Hour
	// toldMax bounds the memory; beyond it, all is forgotten and told anew.
	toldMax = 1024
)

// told remembers what was logged: a stranger that tries again and again must
// not fill the log.
type told struct {
	mu sync.Mutex
	at map[string]time.Time
}

// first reports whether the text has not been told for a while.
func (t *told) first(text string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if last, ok := t.at[text]; ok && now.Sub(last) < tellAgain {
		return false
	}
	if t.at == nil || len(t.at) >= toldMax {
		t.at = map[string]time.Time{}
	}
	t.at[text] = now
	return true
}
