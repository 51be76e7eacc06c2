package collector_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/collector"
	"github.com/oakumhq/oakum/internal/inventory"
	"github.com/oakumhq/oakum/internal/twin"
)

// docker is a world whose containers may have several images of one name.
type docker struct {
	*world
	differ error
	read   []int // how many tasks name the image so, of each reading
}

func (d *docker) ReadContainer(_ context.Context, spec twin.ReadSpec, _ string) (twin.Image, error) {
	d.read = append(d.read, len(spec.Alike))
	return twin.Image{Digest: d.digests["web:1"], Databases: map[string]string{"dpkg": "Package: bash\nVersion: 5.2\n"}}, d.differ
}

func (d *docker) lead(within time.Duration) {
	ctx, cancel := context.WithTimeout(d.t.Context(), within)
	defer cancel()
	c := collector.New(collector.Options{
		Fleet: d.world, Record: d.world, Found: d.found, Sources: []collector.Source{collector.Images{Containers: d}},
		Within: 30 * time.Minute, Logger: slog.New(slog.DiscardHandler),
	})
	must.ErrorIs(d.t, c.Run(ctx), context.DeadlineExceeded)
}

// TestRun_CountsNoInventoryForATagThatMoved: one inventory does not say what all run that name
// an image so, once they were found to differ; not even one that somebody has given by the name.
func TestRun_CountsNoInventoryForATagThatMoved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &docker{world: newWorld(t, "web:1", "web:1")}
		for i := range d.targets {
			d.targets[i].Tasks[0].Driver = "docker"
		}
		d.lead(time.Hour)
		must.Eq(t, []int{2}, d.read, must.Sprint("by one reading for both targets"))
		must.NotNil(t, d.found(d.targets)[1].Record)

		t.Log("it is read again after a day, since the tag may have moved")
		d.differ = &twin.DifferError{Runs: "3 of 5 have the image sha256:aa, 2 of 5 have the image sha256:bb"}
		d.lead(25 * time.Hour)
		d.records = append(d.records, api.InventoryRecord{Of: "web:1", Origin: api.InventoryPut})
		for _, f := range d.found(d.targets) {
			must.Nil(t, f.Record)
			must.EqOp(t, "", f.Digest)
			must.StrContains(t, f.Missing, "those that run it differ: 3 of 5 have the image sha256:aa, 2 of 5")
		}

		t.Log("that a reading fails for another reason makes nothing known")
		d.differ = api.Errorf(api.CodeUnavailable, "no node runs it")
		d.lead(10 * time.Hour)
		must.Nil(t, d.found(d.targets)[0].Record)
		must.StrContains(t, d.found(d.targets)[0].Missing, "no node runs it")

		t.Log("all run the new one")
		d.differ, d.digests["web:1"] = nil, digest("/images/new")
		d.records = nil
		d.lead(7 * time.Hour)
		for _, f := range d.found(d.targets) {
			must.NotNil(t, f.Record, must.Sprint(f.Missing))
			must.EqOp(t, "sha256:"+digest("/images/new"), f.Record.Of)
		}

		t.Log("a job that says the digest is not asked about")
		d.read, d.targets = nil, d.targets[:1]
		d.targets[0].Tasks[0].Digest = "sha256:" + digest("/images/new")
		d.lead(50 * time.Hour)
		must.SliceEmpty(t, d.read)
		must.NotNil(t, inventory.Find(d.targets[0], nil, inventory.KeptOf(d.records))[0].Record)
	})
}

func TestImages_ReadsATagAgain(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	target := api.Target{
		TargetRef: api.TargetRef{Namespace: "prod", Job: "web", Group: "g"}, Count: 1, JobModifyIndex: 7,
		Tasks: []api.Task{{Name: "app", Driver: "docker", Image: "web:latest"}},
	}
	found := api.TargetInventory{Task: "app", Record: &api.InventoryRecord{Origin: api.InventoryImage}}
	for name, c := range map[string]struct {
		ago   time.Duration
		index uint64
		job   string
		want  bool
	}{
		"just read":                         {ago: time.Minute, index: 7, job: "web"},
		"read some hours ago":               {ago: 23 * time.Hour, index: 7, job: "web"},
		"read a day ago":                    {ago: 24 * time.Hour, index: 7, job: "web", want: true},
		"read before the job was changed":   {ago: 15 * time.Minute, index: 6, job: "web", want: true},
		"just read, and the job changed":    {ago: 14 * time.Minute, index: 6, job: "web"},
		"read of another job that names it": {ago: time.Hour, index: 6, job: "other"},
	} {
		last := &api.InventoryReading{
			Target: api.TargetRef{Namespace: "prod", Job: c.job, Group: "g"}, JobModifyIndex: c.index, Ended: now.Add(-c.ago),
		}
		_, want := collector.Images{Containers: &docker{}}.Wants(target, found, func(string) *api.InventoryReading { return last }, now)
		must.EqOp(t, c.want, want, must.Sprint(name))
	}
}
