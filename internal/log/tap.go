package log

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
)

const (
	// keptLines are what somebody who looks later still sees: a leader change
	// with all that comes of it is some dozens of lines.
	keptLines = 512
	// waitingLines bounds what is kept for one reader that is slow. Whoever
	// logs never waits for a reader.
	waitingLines = 1024
)

// Tap gives readers a look at the messages of a logger. They may ask for more
// detail than what the logger writes.
type Tap struct {
	mu      sync.Mutex
	recent  []string // oldest first
	readers map[*Reader]bool
}

// TapOf returns the tap of a logger that New made, and nil for any other.
func TapOf(l *slog.Logger) *Tap {
	if h, ok := l.Handler().(*tapped); ok {
		return h.tap
	}
	return nil
}

// Recent returns up to n of the last lines that were logged, oldest first.
func (t *Tap) Recent(n int) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.recent[max(0, len(t.recent)-max(n, 0)):])
}

// Follow returns a reader of the messages of a level and above. It must be
// closed.
func (t *Tap) Follow(level string) (*Reader, error) {
	least, err := parseLevel(level)
	if err != nil {
		return nil, err
	}
	r := &Reader{tap: t, least: least, more: make(chan struct{}, 1)}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.readers[r] = true
	return r, nil
}

// Reader receives lines as they are logged. When it is slow, lines are left out and
// Next returns how many.
type Reader struct {
	tap   *Tap
	least slog.Level
	more  chan struct{}

	lines []string // guarded by the tap's lock, as what follows
	lost  int
}

// Next waits for lines and returns those that are there, and how many were lost
// before them. It returns ctx's error when ctx ends.
func (r *Reader) Next(ctx context.Context) (lines []string, lost int, err error) {
	for {
		r.tap.mu.Lock()
		lines, lost, r.lines, r.lost = r.lines, r.lost, nil, 0
		r.tap.mu.Unlock()
		if len(lines) > 0 || lost > 0 {
			return lines, lost, nil
		}
		select {
		case <-r.more:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

// Close ends the reader.
func (r *Reader) Close() {
	r.tap.mu.Lock()
	defer r.tap.mu.Unlock()
	delete(r.tap.readers, r)
}

// put adds a line. Lines that the reader has not fetched give way from the front,
// because the newest lines are the most useful.
func (r *Reader) put(line string) {
	r.lines = append(r.lines, line)
	if over := len(r.lines) - waitingLines; over > 0 {
		r.lines, r.lost = slices.Clone(r.lines[over:]), r.lost+over
	}
	select {
	case r.more <- struct{}{}:
	default: // it is awake
	}
}

// wants reports whether any reader wants a message of the level.
func (t *Tap) wants(level slog.Level) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for r := range t.readers {
		if level >= r.least {
			return true
		}
	}
	return false
}

func (t *Tap) put(level slog.Level, line string, logged bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if logged {
		if t.recent = append(t.recent, line); len(t.recent) >= 2*keptLines {
			t.recent = slices.Clone(t.recent[len(t.recent)-keptLines:])
		}
	}
	for r := range t.readers {
		if level >= r.least {
			r.put(line)
		}
	}
}

// tapped is a handler whose messages the tap gets as text lines too.
type tapped struct {
	next slog.Handler
	text func(w io.Writer) slog.Handler // with the attributes and groups so far
	tap  *Tap
}

var _ slog.Handler = (*tapped)(nil)

func newTapped(next slog.Handler) *tapped {
	opts := &slog.HandlerOptions{Level: levelTrace, ReplaceAttr: nameTrace}
	return &tapped{
		next: next, tap: &Tap{readers: map[*Reader]bool{}},
		text: func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, opts) },
	}
}

// Enabled reports whether the destination or a reader wants the level.
func (h *tapped) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level) || h.tap.wants(level)
}

// Handle writes the message and gives it to the tap.
func (h *tapped) Handle(ctx context.Context, r slog.Record) error {
	var line bytes.Buffer
	if err := h.text(&line).Handle(ctx, r); err != nil {
		return fmt.Errorf("format log message: %w", err)
	}
	logged := h.next.Enabled(ctx, r.Level)
	h.tap.put(r.Level, string(bytes.TrimSuffix(line.Bytes(), []byte("\n"))), logged)
	if !logged {
		return nil
	}
	return h.next.Handle(ctx, r)
}

// WithAttrs returns a handler that adds attributes.
func (h *tapped) WithAttrs(attrs []slog.Attr) slog.Handler {
	text := h.text
	return &tapped{next: h.next.WithAttrs(attrs), tap: h.tap, text: func(w io.Writer) slog.Handler { return text(w).WithAttrs(attrs) }}
}

// WithGroup returns a handler that opens a group.
func (h *tapped) WithGroup(name string) slog.Handler {
	text := h.text
	return &tapped{next: h.next.WithGroup(name), tap: h.tap, text: func(w io.Writer) slog.Handler { return text(w).WithGroup(name) }}
}
