package main

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/e2e/fleet"
)

// TestModelled_ThePatchIsUnfitAtAnyHour holds that the patch which misbehaves only under
// production's load does so whenever the story is told, and passes the sandbox.
func TestModelled_ThePatchIsUnfitAtAnyHour(t *testing.T) {
	t.Parallel()
	d, err := fleet.Describe(filepath.Join("..", "..", "examples", "fleets", "shop.hcl"))
	must.NoError(t, err)
	unfit := slices.IndexFunc(d.Builds, func(b fleet.Build) bool { return b.Name == "store-1.3" })
	above := d.Builds[unfit].AboveRate
	must.GreaterEq(t, 2*twinRate, above, must.Sprint("requests that were held up reach a twin at once"))
	const settled, counted = 30 * time.Second, 10 * time.Second
	for hour := range 2 * 24 { // of a Sunday and a Monday: days differ in no more than that
		at := time.Date(2026, 3, 1, hour, 0, 0, 0, time.UTC)
		f, err := d.Found(at)
		must.NoError(t, err)
		f.Advance(at.Add(settled + counted))
		for _, in := range f.Loads().Instances() {
			if in.Name() != "store" {
				continue
			}
			before, ok := f.Loads().At(in, at.Add(settled))
			must.True(t, ok)
			after, ok := f.Loads().At(in, at.Add(settled+counted))
			must.True(t, ok)
			rate := (after.Requests - before.Requests) / counted.Seconds()
			must.GreaterEq(t, 1.5*above, rate, must.Sprintf("requests/s of an instance at %s", at))
		}
	}
}
