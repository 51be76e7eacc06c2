package server

import (
	"context"
	"net/http"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/collector"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/nomad/sandbox"
	"github.com/oakumhq/oakum/internal/twin"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

// readWithin is how long the fetching of an image and the boot of the appliance may take,
// beside what the appliance is given for its work.
const readWithin = 20 * time.Minute

// collector is what has inventories read in one term of leadership.
func (s *Server) collector(machines *sandbox.Sandbox) *collector.Collector {
	within, images := readWithin, collector.Images{MaxAge: s.cfg.Inventory.MaxAge}
	if a := s.cfg.Simulator.Appliance; a != nil && s.cfg.Inventory.ReadImages {
		within += a.Within
		images.Machines = machines
		if a.Reader.Source != "" {
			images.Programs = machines
		}
	}
	if s.cfg.Inventory.ReadContainers {
		images.Containers = machines
	}
	named := collector.Named{Allowed: s.cfg.Inventory.Sources, Client: &http.Client{Timeout: readWithin}}
	if s.adapters.consul != nil {
		named.KV = s.adapters.consul
	}
	fleet := collected{s.adapters.nomad, machines}
	o := collector.Options{
		Fleet: fleet, Record: readings{s}, Found: s.service.FindInventories,
		Sources: []collector.Source{named, images}, MaxAge: s.cfg.Inventory.MaxAge, Within: within, Logger: s.log,
	}
	if s.cfg.Inventory.ReadNodes {
		o.Nodes = fleet
	}
	return collector.New(o)
}

// collected is the fleet as the collector sees it.
type collected struct {
	*nomad.Client
	machines *sandbox.Sandbox
}

var (
	_ collector.Fleet = collected{}
	_ collector.Nodes = collected{}
)

// StopTwin removes the job of a reading.
func (c collected) StopTwin(ctx context.Context, namespace, job string) error {
	return c.machines.StopTwin(ctx, namespace, job)
}

// ReadNodes reads what is installed on client nodes.
func (c collected) ReadNodes(ctx context.Context, spec twin.NodesSpec) (map[string]twin.NodePackages, error) {
	return c.machines.ReadNodes(ctx, spec)
}

// readings is the replicated state as the collector sees it.
type readings struct{ server *Server }

var _ collector.Record = readings{}

// Ready reports whether every server can keep readings.
func (r readings) Ready() bool { return r.server.store.Level() >= levels.Eight }

// Readings lists them.
func (r readings) Readings() []api.InventoryReading { return r.server.store.Readings() }

// Change puts readings into the record, and drops others.
func (r readings) Change(ctx context.Context, put []api.InventoryReading, drop ...string) error {
	return recorder(r).apply(ctx, &state.ReadingsChange{Put: put, Drop: drop})
}

// Keep keeps an inventory.
func (r readings) Keep(ctx context.Context, of string, origin api.InventoryOrigin, inv api.Inventory) error {
	return r.server.service.InventoryRead(ctx, of, origin, inv)
}
