// Package collector has inventories read of what runs and has none, on the leader.
//
// It asks its sources which of what runs they can read, and has one thing read at a time.
// How far that is stands in the replicated state: a failure is told on every server, the
// pauses after failures outlive the leader, and the jobs that a reading makes in Nomad are
// on record before they exist.
//
// Guarantees. A job that a reading has left, because its server was killed or Nomad's answer
// got lost, is removed by whoever leads, and stays on record until nothing can bring it back.
// A failed reading keeps nothing, so what is installed stays unknown, which is never safe.
//
// Goroutines: Run starts one that removes what is left, and waits for it.
package collector

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/twin"
)

const (
	// lookEvery is the pause between two looks at what runs.
	lookEvery = 15 * time.Second
	// pauseLeast and pauseMost bound the pause after a failure, which doubles each time.
	pauseLeast = 2 * time.Minute
	pauseMost  = 6 * time.Hour
	// pauseVain is the pause after a success that has not helped: what runs is another content
	// than was read.
	pauseVain = time.Hour
	// keptFor is how long a reading is kept of what nothing runs any more: a job that is
	// stopped for a while is not read anew.
	keptFor = 30 * 24 * time.Hour
	// errorMax bounds the text of a failure, in bytes.
	errorMax = 1000
	// roleRead ends the names of the jobs that readings make.
	roleRead = "read"
)

// Want is what a source can read.
type Want struct {
	Key    string // tells it from all others, such as "image:/images/web.qcow2"
	Of     string // what it is: the digest that the job says, else the name of the image
	Digest string // of what the task runs, as far as it is known
	Origin api.InventoryOrigin
	Target api.Target // one that runs it
	Task   string
	Alike  []twin.TaskRef // all tasks of which it is
	Makes  bool           // a job in the target's namespace reads it
}

// Result is what was read.
type Result struct {
	Digest    string // of what the task runs, "sha256:" and 64 hex digits; empty when the reading does not tell
	Inventory api.Inventory
}

// Source reads inventories of one kind.
type Source interface {
	// Wants says what there is to read of a task of a target. It returns false when there is
	// nothing to read now; a want with a key says then that its last reading still counts. last
	// is the last reading of a key, or nil.
	Wants(t api.Target, found api.TargetInventory, last func(key string) *api.InventoryReading, now time.Time) (Want, bool)
	// Read reads it. A source that makes a job gives it the ID. A result may have a digest
	// beside an error: then that is known, and nothing else.
	Read(ctx context.Context, w Want, job string) (Result, error)
}

// Record is the replicated state.
type Record interface {
	// Ready reports whether the cluster can keep readings.
	Ready() bool
	Readings() []api.InventoryReading
	// Change puts readings into the record, and drops others by their keys. After an error
	// this server may lead no more.
	Change(ctx context.Context, put []api.InventoryReading, drop ...string) error
	// Keep keeps an inventory under a digest, or the name of an image.
	Keep(ctx context.Context, of string, origin api.InventoryOrigin, inv api.Inventory) error
}

// Fleet is what runs.
type Fleet interface {
	Targets(ctx context.Context) ([]api.Target, error)
	// StopTwin removes a job, and waits until it is gone. One that is not there is no error.
	StopTwin(ctx context.Context, namespace, job string) error
}

// Options are what a collector needs. All of them but Nodes and MaxAge are needed.
type Options struct {
	Fleet  Fleet
	Record Record
	// Found says which inventory each task of the targets has.
	Found   func([]api.Target) []api.TargetInventory
	Sources []Source // the first one that wants something reads it
	Nodes   Nodes    // nil reads no client nodes
	// MaxAge is the age from which an inventory counts no more; zero for any.
	MaxAge time.Duration
	Within time.Duration
	Logger *slog.Logger
}

// Collector has inventories read. Run may be called once.
type Collector struct {
	o Options

	mu    sync.Mutex     // from reading a record to changing it
	inUse string         // job that the reading under way has made or may make
	seen  map[string]int // passes since a job that is left was first looked at

	// unfit are the keys that the record did not take, with when they are tried again. What
	// can't be on record is not read, and keeps nothing else from being read.
	unfit map[string]time.Time
}

// New returns a collector.
func New(o Options) *Collector {
	return &Collector{o: o, seen: map[string]int{}, unfit: map[string]time.Time{}}
}

// Run reads until ctx ends, and returns its cause.
func (c *Collector) Run(ctx context.Context) error {
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { every(ctx, twin.SweepEvery, c.sweep) })
	every(ctx, lookEvery, func(ctx context.Context) {
		for c.o.Record.Ready() && ctx.Err() == nil {
			nodes, nodesErr := c.someNodes(ctx)
			image, err := c.one(ctx)
			again, err := nodes || image, errors.Join(nodesErr, err)
			if err != nil && ctx.Err() == nil {
				c.o.Logger.Warn("look for inventories to read", "error", err)
			}
			if !again || err != nil {
				return
			}
		}
	})
	return context.Cause(ctx)
}

// every does something at once, and then with a pause, until ctx ends.
func every(ctx context.Context, pause time.Duration, do func(context.Context)) {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		do(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// one reads what has waited longest, if anything is due.
func (c *Collector) one(ctx context.Context) (again bool, err error) {
	targets, err := c.o.Fleet.Targets(ctx)
	if err != nil {
		return false, fmt.Errorf("list targets: %w", err)
	}
	found := c.o.Found(targets)
	readings := map[string]api.InventoryReading{}
	for _, r := range c.o.Record.Readings() {
		if r.Origin != api.InventoryNode {
			readings[r.Key] = r
		}
	}
	maps.DeleteFunc(c.unfit, func(_ string, until time.Time) bool { return !time.Now().Before(until) })
	best, source, live := c.choose(targets, found, readings, time.Now())
	if err := c.forget(ctx, found, live, readings, time.Now()); err != nil {
		return false, err
	}
	if source == nil {
		return false, nil
	}
	return true, c.read(ctx, source, best)
}

// choose is what is due and was tried least lately. live are the keys of what sources read.
func (c *Collector) choose(targets []api.Target, found []api.TargetInventory, readings map[string]api.InventoryReading, now time.Time) (best Want, by Source, live map[string]bool) {
	last := func(key string) *api.InventoryReading {
		if r, ok := readings[key]; ok {
			return &r
		}
		return nil
	}
	byRef := map[api.TargetRef]api.Target{}
	for _, t := range targets {
		byRef[t.TargetRef] = t
	}
	live = map[string]bool{}
	alike := map[string][]twin.TaskRef{}
	for _, f := range found {
		for _, source := range c.o.Sources {
			w, wanted := source.Wants(byRef[f.Target], f, last, now)
			if w.Key == "" {
				continue
			}
			live[w.Key] = true
			alike[w.Key] = append(alike[w.Key], twin.TaskRef{Target: f.Target, Task: f.Task})
			if _, unfit := c.unfit[w.Key]; unfit {
				break
			}
			if wanted && due(w, last(w.Key), now) && (by == nil || readings[w.Key].Began.Before(readings[best.Key].Began)) {
				best, by = w, source
			}
			break
		}
	}
	best.Alike = alike[best.Key]
	return best, by, live
}

// due reports whether something is to be read now. What has failed waits for its pause,
// unless somebody has registered the job anew.
func due(w Want, last *api.InventoryReading, now time.Time) bool {
	switch {
	case last == nil, last.Ended.IsZero(): // this leader reads nothing else, so nobody reads it
		return true
	case last.Target == w.Target.TargetRef && last.JobModifyIndex != w.Target.JobModifyIndex:
		return true
	case last.Error != "":
		return !now.Before(last.Next)
	}
	return !now.Before(last.Ended.Add(pauseVain))
}

// pause is the time until something is tried again that has failed so often in a row.
func pause(failures int) time.Duration {
	p := pauseLeast
	for range failures - 1 {
		if p *= 2; p >= pauseMost {
			return pauseMost
		}
	}
	return p
}

// read has one thing read, and records how that went.
func (c *Collector) read(ctx context.Context, source Source, w Want) error {
	job := ""
	if w.Makes {
		var err error
		if job, err = newJob(); err != nil {
			return err
		}
	}
	began := time.Now().UTC()
	if err := c.begin(ctx, w, job, began); err != nil {
		c.unfit[w.Key] = began.Add(pauseLeast)
		return fmt.Errorf("%.200s of %s, task %s: %w", w.Of, w.Target, w.Task, err)
	}
	log := c.o.Logger.With("of", w.Of, "target", w.Target.String(), "task", w.Task)
	log.Info("reading of an inventory begins")
	within, cancel := context.WithTimeoutCause(ctx, c.o.Within, api.Errorf(api.CodeTimeout, "it took longer than %s", c.o.Within))
	result, failed := source.Read(within, w, job)
	if cause := context.Cause(within); failed != nil && cause != nil && !errors.Is(failed, cause) {
		failed = fmt.Errorf("%w: %w", cause, failed)
	}
	cancel()
	if ctx.Err() != nil {
		return context.Cause(ctx) // the next leader reads it anew
	}
	if failed == nil {
		failed = c.o.Record.Keep(ctx, cmp.Or(result.Digest, w.Of), w.Origin, result.Inventory)
	}
	if failed != nil {
		log.Warn("read an inventory", "error", failed)
	} else {
		log.Info("reading of an inventory ends", "digest", result.Digest, "packages", len(result.Inventory.Packages))
	}
	return c.end(ctx, w, job, result.Digest, failed)
}

// newJob names the job of a reading.
func newJob() (string, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("name the job of a reading: %w", err)
	}
	return twin.JobID("inventory", hex.EncodeToString(b[:]), roleRead), nil
}

// begin puts a reading and its job into the record.
func (c *Collector) begin(ctx context.Context, w Want, job string, at time.Time) error {
	return c.change(ctx, []string{w.Key}, func(r *api.InventoryReading) {
		r.Origin, r.Of, r.Target, r.Task, r.JobModifyIndex = w.Origin, w.Of, w.Target.TargetRef, w.Task, w.Target.JobModifyIndex
		r.Began, r.Ended = at, time.Time{}
		if c.inUse = job; job != "" {
			r.Owned = append(r.Owned, object(w.Target.Namespace, job))
		}
	})
}

// end records how a reading went. The job of one that has failed stays on record, since its
// registration may still be on its way.
func (c *Collector) end(ctx context.Context, w Want, job, digest string, failed error) error {
	return c.change(ctx, []string{w.Key}, func(r *api.InventoryReading) {
		c.inUse = ""
		ends(r, failed)
		if _, differ := errors.AsType[*twin.DifferError](failed); differ {
			r.Differs = true
		}
		if digest != "" {
			r.Digest, r.DigestAt = digest, r.Began
		}
		if failed == nil {
			r.Owned = slices.DeleteFunc(r.Owned, object(w.Target.Namespace, job).Is)
		}
	})
}

// ends notes that a reading has ended, and when it is tried again.
func ends(r *api.InventoryReading, failed error) {
	r.Ended = time.Now().UTC()
	if failed == nil {
		r.Failures, r.Error, r.Next, r.Differs = 0, "", time.Time{}, false
		return
	}
	r.Failures++
	r.Error, r.Next = short(api.AsError(failed).Message), r.Ended.Add(pause(r.Failures))
}

// object is the job of a reading, as the record has it.
func object(namespace, job string) api.SandboxObject {
	return api.SandboxObject{Kind: api.ObjectJob, Role: roleRead, Namespace: namespace, Name: job}
}

// short is a text that fits into the record.
func short(text string) string {
	if len(text) > errorMax {
		text = strings.ToValidUTF8(text[:errorMax], "") + "…"
	}
	return cmp.Or(text, "it failed without a reason")
}

// change changes the records of readings. Only the leader's collector does, so that nothing
// comes between.
func (c *Collector) change(ctx context.Context, keys []string, change func(*api.InventoryReading)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	have := map[string]api.InventoryReading{}
	for _, r := range c.o.Record.Readings() {
		have[r.Key] = r
	}
	put := make([]api.InventoryReading, len(keys))
	for i, key := range keys {
		put[i] = have[key]
		put[i].Key = key
		change(&put[i])
	}
	if err := c.o.Record.Change(ctx, put); err != nil {
		return fmt.Errorf("record a reading: %w", err)
	}
	return nil
}

// forget drops the readings of what nothing runs any more. Those that have failed and that
// no source would read again are dropped at once, since there is nothing to tell.
func (c *Collector) forget(ctx context.Context, found []api.TargetInventory, live map[string]bool, readings map[string]api.InventoryReading, now time.Time) error {
	runs := map[string]bool{}
	for _, f := range found {
		runs[f.Digest], runs[f.Image] = true, true
	}
	var drop []string
	for key, r := range readings {
		failed := r.Error != "" && !live[key]
		if len(r.Owned) == 0 && (failed || !runs[r.Of] && now.Sub(r.Began) >= keptFor) {
			drop = append(drop, key)
		}
	}
	if len(drop) == 0 {
		return nil
	}
	slices.Sort(drop)
	return c.o.Record.Change(ctx, nil, drop...)
}
