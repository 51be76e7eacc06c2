package notify

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/oakumhq/oakum/api"
)

const (
	// gather is how long events are collected before they are told: a wave of fifty
	// rollouts that begin to hold makes one notice.
	gather = 10 * time.Second
	// quiet is how long the same text about the same rollout is not told again: a rollout
	// that holds and goes on in turns tells it once.
	quiet = time.Hour
	// giveUp is how long a notice is tried. Later, it is no news.
	giveUp = time.Hour
	// firstPause doubles with each failure, up to longestPause.
	firstPause   = 5 * time.Second
	longestPause = 5 * time.Minute
	// readAtOnce bounds the events of one look.
	readAtOnce = 1_000
	// reportedMax bounds the texts that are remembered for quiet.
	reportedMax = 10_000
)

// Notifier is one receiver, and of what it is told.
type Notifier struct {
	Name   string
	Sender Sender
	Filter Filter
}

// State is the replicated state as notifiers see it.
type State interface {
	// Watch returns a channel that is closed at the next change of one of the topics.
	Watch(topics ...api.Topic) <-chan struct{}
	// Events lists events from an index on, all of one index together.
	Events(from uint64, limit int) []api.Event
	// NoticeMarks says how much notifiers were told.
	NoticeMarks() []api.NoticeMark
	// Index is the index of the last change.
	Index() uint64
}

// Record writes marks.
type Record interface {
	// Ready reports whether every server can keep marks.
	Ready() bool
	// Mark keeps how much notifiers were told, and forgets those that are gone.
	Mark(ctx context.Context, put []api.NoticeMark, drop []string) error
}

// Options are what Run needs.
type Options struct {
	Notifiers []Notifier
	State     State
	Record    Record
	Cluster   string
	Page      string // where the web pages are, as https://HOST:PORT, or ""
	Logger    *slog.Logger
}

// Run tells until the context ends, and returns its cause. Without notifiers it only
// forgets the marks of former ones.
func Run(ctx context.Context, o Options) error {
	if err := o.open(ctx); err != nil {
		return err
	}
	var group sync.WaitGroup
	for _, n := range o.Notifiers {
		group.Go(func() { (&teller{Options: o, n: n, reported: map[string]time.Time{}}).run(ctx) })
	}
	group.Wait()
	<-ctx.Done()
	return context.Cause(ctx)
}

// topics are those of events that are told.
func topics() []api.Topic { return []api.Topic{api.TopicRollout, api.TopicBrake} }

// open waits until marks can be kept, and gives every new notifier a mark: it is told what
// happens from now on.
func (o Options) open(ctx context.Context) error {
	for {
		changed := o.State.Watch()
		if o.Record.Ready() {
			var put []api.NoticeMark
			var drop []string
			marks := o.State.NoticeMarks()
			for _, n := range o.Notifiers {
				if !slices.ContainsFunc(marks, func(m api.NoticeMark) bool { return m.Notifier == n.Name }) {
					put = append(put, api.NoticeMark{Notifier: n.Name, Index: o.State.Index()})
				}
			}
			for _, m := range marks {
				if !slices.ContainsFunc(o.Notifiers, func(n Notifier) bool { return n.Name == m.Notifier }) {
					drop = append(drop, m.Notifier)
				}
			}
			if len(put)+len(drop) == 0 {
				return nil
			}
			err := o.Record.Mark(ctx, put, drop)
			if err == nil {
				return nil
			}
			o.Logger.Warn("mark notifiers", "error", err)
		}
		if err := pause(ctx, firstPause, changed); err != nil {
			return err
		}
	}
}

// pause waits for a time, or until the channel is closed.
func pause(ctx context.Context, d time.Duration, or <-chan struct{}) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
	case <-or:
	}
	return nil
}

// teller tells one notifier. One goroutine uses it.
type teller struct {
	Options
	n        Notifier
	reported map[string]time.Time // by rollout, kind and text
}

func (t *teller) run(ctx context.Context) {
	at := t.mark()
	for ctx.Err() == nil {
		changed := t.State.Watch(topics()...)
		if len(t.State.Events(at+1, 1)) == 0 {
			select {
			case <-ctx.Done():
			case <-changed:
			}
			continue
		}
		if pause(ctx, gather, nil) != nil {
			return
		}
		events := t.State.Events(at+1, readAtOnce)
		notices := group(t.fresh(events, time.Now()), t.Cluster, t.Page)
		for _, n := range notices {
			if !t.deliver(ctx, n) {
				return
			}
		}
		if len(events) > 0 {
			at = events[len(events)-1].Index
		}
		if len(notices) > 0 { // else the next leader reads the same events again and tells nothing
			t.keep(ctx, at)
		}
	}
}

// mark is the index up to which the notifier was told.
func (t *teller) mark() uint64 {
	for _, m := range t.State.NoticeMarks() {
		if m.Notifier == t.n.Name {
			return m.Index
		}
	}
	return t.State.Index()
}

// fresh are the events that the notifier is told of, without those that it was told lately
// in the same words.
func (t *teller) fresh(events []api.Event, now time.Time) []event {
	for what, when := range t.reported {
		if now.Sub(when) >= quiet {
			delete(t.reported, what)
		}
	}
	var out []event
	for _, e := range events {
		seen, ok := t.n.Filter.read(e)
		if !ok {
			continue
		}
		what := fmt.Sprintf("%s %s %s", e.Key, e.Type, e.Text)
		if _, lately := t.reported[what]; lately && seen.kind != api.NoticeBrake {
			continue
		}
		if len(t.reported) < reportedMax {
			t.reported[what] = now
		}
		out = append(out, seen)
	}
	return out
}

// deliver tries until the notice is taken, or no news any more. It reports whether the term
// goes on.
func (t *teller) deliver(ctx context.Context, n api.Notice) bool {
	wait, began := firstPause, time.Now()
	for {
		err := t.n.Sender.Send(ctx, n)
		switch {
		case err == nil:
			return true
		case ctx.Err() != nil:
			return false
		case time.Since(began) >= giveUp:
			t.Logger.Error("a notice was given up", "notifier", t.n.Name, "kind", n.Kind, "patch", n.Patch, "error", err)
			return true
		}
		t.Logger.Warn("send a notice", "notifier", t.n.Name, "kind", n.Kind, "patch", n.Patch, "again_in", wait, "error", err)
		if pause(ctx, wait, nil) != nil {
			return false
		}
		wait = min(2*wait, longestPause)
	}
}

// keep records what was told. What can't be recorded is told twice at worst.
func (t *teller) keep(ctx context.Context, index uint64) {
	if err := t.Record.Mark(ctx, []api.NoticeMark{{Notifier: t.n.Name, Index: index}}, nil); err != nil && ctx.Err() == nil {
		t.Logger.Warn("mark a notifier", "notifier", t.n.Name, "error", err)
	}
}
