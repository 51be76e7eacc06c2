// Package wait lets tests wait until something is so, instead of for a time in
// which it ought to have become so. It looks again and again and gives up at a
// deadline; nothing but tests, and what runs them, may import it.
package wait

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// Patience is how long For waits: what takes a second on an idle machine may
// take a minute beside builds and other tests, and only a test that fails waits
// to the end.
const Patience = 2 * time.Minute

const (
	// every is the first pause between two looks: long beside a look that asks a server.
	every = 20 * time.Millisecond
	// part of the time waited so far is the next pause, a second at most: short
	// beside what is waited for, and who waits for minutes does not take a share of
	// the machine that everybody else needs.
	part    = 50
	longest = time.Second
)

// For waits until ok is true, and ends the test when it is not after Patience.
func For(t testing.TB, what string, ok func() bool) {
	t.Helper()
	Within(t, Patience, func() string { return what }, ok)
}

// Within is For with a patience of one's own, and with words that are found
// when it has run out: what was waited for, and what was seen instead. A test
// may wait in its cleanup too, when its context has ended.
func Within(t testing.TB, patience time.Duration, say func() string, ok func() bool) {
	t.Helper()
	if err := Until(context.WithoutCancel(t.Context()), patience, ok); err != nil {
		t.Fatalf("%v: %s", err, say())
	}
}

// Until waits until ok is true. The error says why it gave up: the patience ran
// out, or ctx ended before.
func Until(ctx context.Context, patience time.Duration, ok func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not within %s", patience))
	defer cancel()
	for began := time.Now(); !ok(); {
		select {
		case <-time.After(min(max(every, time.Since(began)/part), longest)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
