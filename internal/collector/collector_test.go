package collector_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/collector"
	"github.com/oakumhq/oakum/internal/inventory"
	"github.com/oakumhq/oakum/internal/twin"
)

// world is a fleet, the replicated state and an appliance in memory.
type world struct {
	t *testing.T

	mu       sync.Mutex
	targets  []api.Target
	records  []api.InventoryRecord
	readings map[string]api.InventoryReading
	// simulations have read digests, too.
	simulations []api.Simulation
	digests     map[string]string // of what images hold
	fails       map[string]error  // why an image can't be read
	jobs        map[string]int    // in Nomad; how often each was removed
	reading     int               // at once
	asked       []string          // images that were read
	times       []time.Duration   // of those, since the beginning
	began       time.Time
	maxAge      time.Duration
	named       bool // documents that jobs name are read, too
	lost        bool // this server leads no more
}

func newWorld(t *testing.T, images ...string) *world {
	t.Helper()
	w := &world{
		t: t, began: time.Now(), readings: map[string]api.InventoryReading{},
		digests: map[string]string{}, fails: map[string]error{}, jobs: map[string]int{},
	}
	for i, image := range images {
		w.digests[image] = digest(image)
		w.targets = append(w.targets, api.Target{
			TargetRef: api.TargetRef{Namespace: "prod", Job: fmt.Sprintf("job-%d", i), Group: "vm"}, Count: 2, JobModifyIndex: 7,
			Tasks: []api.Task{{Name: "vm", Driver: "qemu", Image: image}},
		})
	}
	return w
}

func digest(image string) string { return fmt.Sprintf("%064x", len(image)) }

func (w *world) Targets(context.Context) ([]api.Target, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.targets), nil
}

func (w *world) StopTwin(_ context.Context, _, job string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.jobs[job]++
	return nil
}

func (w *world) ReadImage(ctx context.Context, spec twin.ReadSpec) (twin.Image, error) {
	w.mu.Lock()
	image, of := "", ""
	for _, t := range w.targets {
		if t.TargetRef == spec.Target {
			image, of = t.Tasks[0].Image, cmp.Or(t.Tasks[0].Digest, t.Tasks[0].Image)
		}
	}
	owned := slices.ContainsFunc(w.readings["image:"+of].Owned, func(o api.SandboxObject) bool { return o.Name == spec.Job })
	must.True(w.t, owned, must.Sprint("a job is on record before it exists"))
	w.asked, w.times = append(w.asked, image), append(w.times, time.Since(w.began))
	w.reading++
	must.EqOp(w.t, 1, w.reading, must.Sprint("one at a time"))
	sum, failed := w.digests[image], w.fails[image]
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.reading--
		w.mu.Unlock()
	}()
	select {
	case <-time.After(time.Minute):
	case <-ctx.Done():
		return twin.Image{}, context.Cause(ctx)
	}
	return twin.Image{Digest: sum, Databases: map[string]string{"system": "ID=debian\nVERSION_ID=12\n", "dpkg": "Package: bash\nStatus: install ok installed\nVersion: 5.2\n"}}, failed
}

func (w *world) Ready() bool { return true }

func (w *world) Readings() []api.InventoryReading {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := []api.InventoryReading{}
	for _, r := range w.readings {
		r.Owned = slices.Clone(r.Owned)
		out = append(out, r)
	}
	return out
}

func (w *world) Change(_ context.Context, put []api.InventoryReading, drop ...string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost {
		return api.Errorf(api.CodeNoLeader, "this server leads no more")
	}
	for _, r := range put {
		if len(r.Key) > 1024 { // as the state has it
			return api.Errorf(api.CodeInvalid, "reading %.60q: want a key of at most 1024 bytes", r.Key)
		}
	}
	for _, key := range drop {
		delete(w.readings, key)
	}
	for _, r := range put {
		w.readings[r.Key] = r
	}
	return nil
}

func (w *world) Keep(_ context.Context, of string, origin api.InventoryOrigin, inv api.Inventory) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	must.Len(w.t, 1, inv.Packages)
	w.records = slices.DeleteFunc(w.records, func(r api.InventoryRecord) bool { return r.Of == of })
	w.records = append(w.records, api.InventoryRecord{Of: of, Origin: origin, TakenAt: inv.TakenAt})
	return nil
}

func (w *world) found(targets []api.Target) []api.TargetInventory {
	readings := w.Readings()
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []api.TargetInventory
	for _, t := range targets {
		out = append(out, inventory.Find(t, inventory.Digests(w.simulations, readings), inventory.KeptOf(w.records))...)
	}
	return out
}

// lead is a term of leadership of so long.
func (w *world) lead(d time.Duration) {
	ctx, cancel := context.WithTimeout(w.t.Context(), d)
	defer cancel()
	sources := []collector.Source{collector.Images{Machines: w, MaxAge: w.maxAge}}
	if w.named {
		sources = append([]collector.Source{collector.Named{}}, sources...)
	}
	c := collector.New(collector.Options{
		Fleet: w, Record: w, Found: w.found, Sources: sources,
		Within: 30 * time.Minute, Logger: slog.New(slog.DiscardHandler),
	})
	must.ErrorIs(w.t, c.Run(ctx), context.DeadlineExceeded)
}

// bubble runs a test in virtual time.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, test)
}

func TestRun_ReadsEachImageOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "/images/a.qcow2", "/images/bb.qcow2", "/images/a.qcow2", "local/c.qcow2", "/images/${NOMAD_META_x}.qcow2")
		w.targets = append(w.targets, api.Target{TargetRef: api.TargetRef{Job: "app"}, Count: 1, Tasks: []api.Task{{Name: "app", Driver: "docker", Image: "web:1"}}})
		w.lead(12 * time.Hour)
		slices.Sort(w.asked)
		must.Eq(t, []string{"/images/a.qcow2", "/images/bb.qcow2"}, w.asked)
		must.Len(t, 2, w.records)
		for _, f := range w.found(w.targets)[:3] {
			must.NotNil(t, f.Record, must.Sprint(f.Missing))
			must.StrContains(t, f.Basis, "reading ")
		}
		for _, r := range w.Readings() {
			must.SliceEmpty(t, r.Owned)
			must.EqOp(t, "", r.Error)
		}
	})
}

func TestRun_ReadsWhatIsNew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "/images/a.qcow2")
		w.lead(time.Hour)
		w.targets[0].Tasks[0].Image = "/images/bb.qcow2"
		w.digests["/images/bb.qcow2"] = digest("/images/bb.qcow2")
		w.lead(time.Hour)
		must.Eq(t, []string{"/images/a.qcow2", "/images/bb.qcow2"}, w.asked)

		t.Log("the job has Nomad fetch the image, and says its digest")
		w.targets[0].Tasks[0] = api.Task{Name: "vm", Driver: "qemu", Image: "local/c.qcow2", Digest: "sha256:" + digest("local/c.qcow2")}
		w.digests["local/c.qcow2"] = digest("local/c.qcow2")
		w.lead(time.Hour)
		must.Len(t, 3, w.asked)
		must.EqOp(t, "job", w.found(w.targets)[0].Basis)
		must.NotNil(t, w.found(w.targets)[0].Record)
	})
}

// TestRun_KeepsTheAgeOfADigest overwrites an image in place, which a simulation notices. A
// reading that is under way, or fails, has read nothing, so that the former digest stays old.
func TestRun_KeepsTheAgeOfADigest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const image = "/images/a.qcow2"
		w := newWorld(t, image)
		w.lead(time.Hour)
		must.NotNil(t, w.found(w.targets)[0].Record)
		time.Sleep(time.Hour)
		now := strings.Repeat("e", 64)
		w.simulations = []api.Simulation{{ID: "01", Started: time.Now(), Impact: &api.Impact{Twins: []api.Twin{{Image: image, ImageDigest: now}}}}}
		w.fails[image] = api.Errorf(api.CodeUnavailable, "no room")
		for _, d := range []time.Duration{30 * time.Second, 10 * time.Minute} {
			w.lead(d)
			must.Greater(t, 1, len(w.asked))
			f := w.found(w.targets)[0]
			must.EqOp(t, "sha256:"+now, f.Digest)
			must.Nil(t, f.Record, must.Sprint("the inventory is of what the file held before"))
		}
		w.fails, w.digests[image] = nil, now
		w.lead(7 * time.Hour)
		f := w.found(w.targets)[0]
		must.EqOp(t, "sha256:"+now, f.Digest)
		must.NotNil(t, f.Record, must.Sprint(f.Missing))
	})
}

func TestRun_PausesLongerAfterEachFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "/images/a.qcow2")
		w.fails["/images/a.qcow2"] = api.Errorf(api.CodeUnavailable, "no room\x00%s", strings.Repeat("é", 2000))
		w.lead(3 * time.Hour)
		for i := 2; i < len(w.times); i++ {
			must.Greater(t, w.times[i-1]-w.times[i-2], w.times[i]-w.times[i-1])
		}
		must.Between(t, 5, len(w.times), 7)
		r := w.readings["image:/images/a.qcow2"]
		must.EqOp(t, len(w.times), r.Failures)
		must.StrContains(t, r.Error, "no room")
		must.LessEq(t, 1024, len(r.Error))
		must.StrContains(t, w.found(w.targets)[0].Missing, "nobody knows")

		t.Log("the next leader goes on with the pauses")
		w.lead(20 * time.Minute)
		must.EqOp(t, r.Failures, w.readings["image:/images/a.qcow2"].Failures)

		t.Log("a job that is registered anew is read at once")
		w.targets[0].JobModifyIndex, w.fails = 8, nil
		w.lead(time.Hour)
		must.EqOp(t, 0, w.readings["image:/images/a.qcow2"].Failures)
		must.NotNil(t, w.found(w.targets)[0].Record)

		t.Log("a failure of what nothing runs is no more to tell")
		w.targets[0].Tasks[0].Image, w.fails = "/images/bb.qcow2", map[string]error{"/images/bb.qcow2": errors.New("damaged")}
		w.lead(time.Hour)
		must.MapContainsKey(t, w.readings, "image:/images/bb.qcow2")
		w.targets = nil
		w.lead(time.Hour)
		must.MapNotContainsKey(t, w.readings, "image:/images/bb.qcow2")
		must.MapContainsKey(t, w.readings, "image:/images/a.qcow2")
		w.lead(31 * 24 * time.Hour)
		must.MapEmpty(t, w.readings)
	})
}

// TestRun_RemovesWhatAFormerLeaderLeft kills a leader while it reads.
func TestRun_RemovesWhatAFormerLeaderLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "/images/a.qcow2")
		w.lead(30 * time.Second)
		left := w.readings["image:/images/a.qcow2"].Owned
		must.Len(t, 1, left)
		must.StrHasPrefix(t, twin.Prefix, left[0].Name)
		must.True(t, w.readings["image:/images/a.qcow2"].Ended.IsZero())
		w.lead(time.Hour)
		must.SliceEmpty(t, w.readings["image:/images/a.qcow2"].Owned)
		must.GreaterEq(t, 5, w.jobs[left[0].Name], must.Sprint("a registration may come late"))
		must.MapLen(t, 1, w.jobs, must.Sprint("what ended well has removed its own job"))
		must.NotNil(t, w.found(w.targets)[0].Record)
	})
}

// TestRun_GoesOnBesideWhatHasNoRecord holds that a job whose image no record can name does
// not keep the others from being read.
func TestRun_GoesOnBesideWhatHasNoRecord(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "/images/"+strings.Repeat("x", 2000), "/images/a.qcow2", "/images/bb.qcow2")
		w.lead(time.Hour)
		must.Eq(t, []string{"/images/a.qcow2", "/images/bb.qcow2"}, w.asked)
	})
}

func TestRun_MakesNothingThatIsNotOnRecord(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "/images/a.qcow2")
		w.lost = true
		w.lead(time.Hour)
		must.SliceEmpty(t, w.asked)
	})
}

func TestRun_ReadsAnewWhatGetsTooOld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "/images/a.qcow2")
		w.maxAge = 10 * 24 * time.Hour
		w.lead(11 * 24 * time.Hour)
		must.Len(t, 3, w.asked)
	})
}

// TestRun_ReadsNothingInVain holds that an image whose inventory differs from one that was
// given is not read over and over.
func TestRun_ReadsNothingInVain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "/images/a.qcow2")
		w.lead(time.Hour)
		w.records = append(w.records, api.InventoryRecord{Of: w.records[0].Of, Hash: "other"})
		w.lead(24 * time.Hour)
		must.StrContains(t, w.found(w.targets)[0].Missing, "2 inventories")
		must.Len(t, 1, w.asked)
	})
}
