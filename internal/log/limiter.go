package log

import (
	"sync"
	"time"
)

const (
	// limiterPeriod is how long the same text is held back.
	limiterPeriod = time.Hour
	// limiterTexts bounds the memory of a limiter. When it is full, the limiter
	// forgets everything, and lets every text through again.
	limiterTexts = 1024
)

// Limiter lets the same text into the log once an hour: a server that tries again
// and again must not fill the log. The zero value is ready, and safe for
// concurrent use.
type Limiter struct {
	mu   sync.Mutex
	last map[string]time.Time // when a text was let through
}

// Allow reports whether the text may be logged now.
func (l *Limiter) Allow(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if last, ok := l.last[text]; ok && now.Sub(last) < limiterPeriod {
		return false
	}
	if l.last == nil || len(l.last) >= limiterTexts {
		l.last = map[string]time.Time{}
	}
	l.last[text] = now
	return true
}
