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

// Moving waits until look is done, for as long as what it looks at goes on: it
// gives up when the mark that look returns has stayed the same for the patience.
// What ends in a finite number of steps is waited for on any machine this way.
func Moving(ctx context.Context, patience time.Duration, look func() (mark uint64, done bool)) error {
	began := time.Now()
	var mark uint64
	for moved := began; ; {
		now, done := look()
		switch {
		case done:
			return nil
		case now != mark:
			mark, moved = now, time.Now()
		case time.Since(moved) > patience:
			return fmt.Errorf("nothing has moved for %s", patience)
		}
		select {
		case <-time.After(pause(began)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Until waits until ok is true. The error says why it gave up: the patience ran
// out, or ctx ended before.
func Until(ctx context.Context, patience time.Duration, ok func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not within %s", patience))
	defer cancel()
	for began := time.Now(); !ok(); {
		select {
		case <-time.After(pause(began)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// pause is how long to wait until the next look.
func pause(began time.Time) time.Duration {
	return min(max(every, time.Since(began)/part), longest)
}
