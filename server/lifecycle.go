package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// stopTimeout bounds Stop: the limits of the steps together (a farewell to Consul,
// answers that are being written, a transfer of leadership, plugins, and the
// removal of twins, which may take a minute), and less than the 90 seconds after
// which systemd kills.
const stopTimeout = 80 * time.Second

// errStopped is why a Start that is under way, and the duties, end with Stop.
var errStopped = errors.New("the server stops")

// lifecycle lets something start once and stop once, beside each other.
type lifecycle struct {
	mu      sync.Mutex
	opened  chan struct{}           // closed when the start has ended; nil before it begins
	abort   context.CancelCauseFunc // ends a start that is under way
	closers []closer                // in the order of opening
	closing string                  // the step that is being closed
	stopped chan struct{}           // closed when the stop has a result; nil before it begins
	result  error                   // of the stop
}

// closer undoes one step of a start.
type closer struct {
	what string
	do   func() error
}

// start calls open, whose context ends with that of the caller or when the stop
// begins. open registers what it opens with onStop. Only the first start may be;
// a start that fails stops, so that everything is closed again.
func (l *lifecycle) start(ctx context.Context, open func(context.Context) error) error {
	l.mu.Lock()
	if l.stopped != nil || l.opened != nil {
		defer l.mu.Unlock()
		if l.stopped != nil {
			return errStopped
		}
		return errors.New("it has been started before")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	opened := make(chan struct{})
	l.opened, l.abort = opened, cancel
	l.mu.Unlock()
	err := open(ctx)
	l.mu.Lock()
	l.abort = nil // whatever was opened with ctx lives on until it is closed
	l.mu.Unlock()
	close(opened)
	if errors.Is(context.Cause(ctx), errStopped) {
		err = errors.Join(errStopped, err)
	}
	if err != nil {
		return errors.Join(err, l.stop(stopTimeout))
	}
	return nil
}

// onStop registers how a step that was opened is closed.
func (l *lifecycle) onStop(what string, do func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closers = append(l.closers, closer{what: what, do: do})
}

// stop ends a start that is under way and closes what it opened, last first. It
// returns when everything is closed, or after the limit, with an error that names
// the step that hangs; the closing then goes on by itself. Every call returns the
// result of the first.
func (l *lifecycle) stop(limit time.Duration) error {
	l.mu.Lock()
	if l.stopped == nil {
		l.stopped = make(chan struct{})
		if l.abort != nil {
			l.abort(errStopped)
		}
		go l.close(l.opened, limit)
	}
	stopped := l.stopped
	l.mu.Unlock()
	<-stopped
	return l.result
}

// close makes the result of the stop.
func (l *lifecycle) close(opened <-chan struct{}, limit time.Duration) {
	defer close(l.stopped)
	l.say("the start")
	done := make(chan error, 1)
	go func() {
		if opened != nil {
			<-opened
		}
		done <- l.drain()
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case l.result = <-done:
	case <-timer.C:
		l.mu.Lock()
		defer l.mu.Unlock()
		l.result = fmt.Errorf("close %s: it has not ended after %s; what was opened before it stays open", l.closing, limit)
	}
}

// drain closes every step, last first.
func (l *lifecycle) drain() error {
	l.mu.Lock()
	closers := l.closers
	l.mu.Unlock()
	var errs []error
	for _, c := range slices.Backward(closers) {
		l.say(c.what)
		if err := c.do(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", c.what, err))
		}
	}
	return errors.Join(errs...)
}

func (l *lifecycle) say(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closing = what
}
