package server

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/wait"
)

// opening registers steps that note when they are closed.
func opening(l *lifecycle, closed *[]string, steps ...string) func(context.Context) error {
	return func(context.Context) error {
		for _, step := range steps {
			l.onStop(step, func() error { *closed = append(*closed, step); return nil })
		}
		return nil
	}
}

func TestLifecycle_ClosesLastFirstAndOnce(t *testing.T) {
	t.Parallel()
	var l lifecycle
	var closed []string
	must.NoError(t, l.start(t.Context(), opening(&l, &closed, "plugins", "cluster", "api")))
	l.onStop("registration", func() error { return io.ErrUnexpectedEOF })
	const calls = 8
	results := make(chan error, calls)
	for range calls {
		go func() { results <- l.stop(stopTimeout) }()
	}
	for range calls {
		err := <-results
		must.ErrorIs(t, err, io.ErrUnexpectedEOF, must.Sprint("every call has the result of the first"))
		must.ErrorContains(t, err, "close registration: ")
	}
	must.Eq(t, []string{"api", "cluster", "plugins"}, closed, must.Sprint("an error keeps no other step open"))
}

func TestLifecycle_StartsOnlyOnce(t *testing.T) {
	t.Parallel()
	var l lifecycle
	var closed []string
	must.NoError(t, l.start(t.Context(), opening(&l, &closed, "api")))
	must.ErrorContains(t, l.start(t.Context(), opening(&l, &closed, "api")), "it has been started before")
	must.NoError(t, l.stop(stopTimeout))
	must.ErrorIs(t, l.start(t.Context(), opening(&l, &closed, "api")), errStopped)
	must.Eq(t, []string{"api"}, closed)

	var never lifecycle
	must.NoError(t, never.stop(stopTimeout), must.Sprint("what was not started is stopped at once"))
	must.ErrorIs(t, never.start(t.Context(), opening(&never, &closed)), errStopped)
}

func TestLifecycle_AStartThatFailsClosesWhatItOpened(t *testing.T) {
	t.Parallel()
	var l lifecycle
	var closed []string
	err := l.start(t.Context(), func(ctx context.Context) error {
		return errors.Join(opening(&l, &closed, "plugins", "cluster")(ctx), io.ErrClosedPipe)
	})
	must.ErrorIs(t, err, io.ErrClosedPipe)
	must.Eq(t, []string{"cluster", "plugins"}, closed)
	must.NoError(t, l.stop(stopTimeout))
}

// TestLifecycle_StopsAStartThatIsUnderWay has the start wait for its context, or
// take no notice of it and succeed.
func TestLifecycle_StopsAStartThatIsUnderWay(t *testing.T) {
	t.Parallel()
	for name, wait := range map[string]func(context.Context) error{
		"that fails":    func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"that succeeds": func(ctx context.Context) error { <-ctx.Done(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var l lifecycle
				var closed []string
				started := make(chan error, 1)
				go func() {
					started <- l.start(t.Context(), func(ctx context.Context) error {
						return errors.Join(opening(&l, &closed, "cluster")(ctx), wait(ctx))
					})
				}()
				synctest.Wait()
				must.NoError(t, l.stop(stopTimeout))
				must.Eq(t, []string{"cluster"}, closed)
				must.ErrorIs(t, <-started, errStopped)
			})
		})
	}
}

func TestLifecycle_GivesUpOnAStepThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l lifecycle
		var closed []string
		hang := make(chan struct{})
		must.NoError(t, l.start(t.Context(), func(ctx context.Context) error {
			l.onStop("duties", func() error { closed = append(closed, "duties"); return nil })
			l.onStop("cluster", func() error { <-hang; return nil })
			return opening(&l, &closed, "api")(ctx)
		}))
		began := time.Now()
		err := l.stop(time.Minute)
		must.EqOp(t, time.Minute, time.Since(began))
		must.ErrorContains(t, err, "close cluster: it has not ended after 1m0s")
		must.Eq(t, []string{"api"}, closed)
		again := l.stop(time.Hour)
		must.EqOp(t, err, again, must.Sprint("the result is remembered"))
		close(hang)
		synctest.Wait()
		must.Eq(t, []string{"api", "duties"}, closed, must.Sprint("the rest is closed all the same"))
		must.EqOp(t, err, l.stop(time.Hour))
	})
}

func TestLifecycle_GivesUpOnAStartThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l lifecycle
		hang := make(chan struct{})
		started := make(chan error, 1)
		go func() { started <- l.start(t.Context(), func(context.Context) error { <-hang; return nil }) }()
		synctest.Wait()
		must.ErrorContains(t, l.stop(time.Minute), "close the start: it has not ended after 1m0s")
		close(hang)
		must.ErrorContains(t, <-started, "it has not ended")
	})
}

// TestServer_StopsBesideItsStart stops servers at several moments of their start.
func TestServer_StopsBesideItsStart(t *testing.T) {
	t.Parallel()
	for moment, steps := range map[string]int{"before it begins": -1, "as it begins": 0, "with plugins": 2, "with the cluster": 3, "with the API": 4} {
		t.Run(moment, func(t *testing.T) {
			t.Parallel()
			s := prepared(t, nil)
			started := make(chan error, 1)
			if steps >= 0 {
				go func() { started <- s.Start(t.Context()) }()
				wait.For(t, moment, func() bool {
					s.life.mu.Lock()
					defer s.life.mu.Unlock()
					return s.life.opened != nil && len(s.life.closers) >= steps
				})
			}
			must.NoError(t, s.Stop())
			if steps >= 0 {
				if err := <-started; err != nil {
					must.ErrorIs(t, err, errStopped)
				}
			}
			must.NoError(t, s.Stop())
			must.ErrorIs(t, s.Start(t.Context()), errStopped)
		})
	}
}
