// Package logtest collects what is logged in a test.
package logtest

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
)

// Book is a log that can be searched. It is safe for concurrent use.
type Book struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write takes a line.
func (b *Book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// Logger writes warnings and errors to the book.
func (b *Book) Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// Count is how often a sentence was logged.
func (b *Book) Count(sentence string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.text.String(), sentence)
}
