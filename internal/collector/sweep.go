package collector

import (
	"context"
	"fmt"
	"slices"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/twin"
)

// sweep removes the jobs that readings have left, once.
func (c *Collector) sweep(ctx context.Context) {
	present := map[string]bool{}
	for _, r := range c.o.Record.Readings() {
		for _, o := range r.Owned {
			if ctx.Err() != nil || c.uses(o) {
				continue
			}
			present[o.Namespace+"/"+o.Name] = true
			if c.remove(ctx, o) {
				c.disown(ctx, r.Key, o)
			}
		}
	}
	for name := range c.seen {
		if !present[name] {
			delete(c.seen, name)
		}
	}
}

// uses reports whether a job is that of the reading under way.
func (c *Collector) uses(o api.SandboxObject) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return o.Name == c.inUse
}

// remove removes a job. It returns true from the pass on after which nothing can bring it
// back.
func (c *Collector) remove(ctx context.Context, o api.SandboxObject) bool {
	name := o.Namespace + "/" + o.Name
	c.seen[name]++
	ctx, cancel := context.WithTimeoutCause(ctx, twin.RemoveMax, fmt.Errorf("it is not gone after %s", twin.RemoveMax))
	defer cancel()
	if err := c.o.Fleet.StopTwin(ctx, o.Namespace, o.Name); err != nil {
		c.o.Logger.Warn("remove what a reading has left", "job", o.Name, "error", err)
		return false
	}
	return c.seen[name] > twin.LatePasses
}

// disown takes a job out of the record.
func (c *Collector) disown(ctx context.Context, key string, o api.SandboxObject) {
	err := c.change(ctx, []string{key}, func(r *api.InventoryReading) { r.Owned = slices.DeleteFunc(r.Owned, o.Is) })
	if err != nil {
		c.o.Logger.Warn("record that the job of a reading is gone", "job", o.Name, "error", err)
	}
}
