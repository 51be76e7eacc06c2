package service

import (
	"context"
	"fmt"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
)

// Nodes lists the client nodes of Nomad by name, with their systems, the kernels that run
// there, and the inventory of each, or why nobody knows what is installed there.
func (s *Service) Nodes(ctx context.Context) ([]api.Node, error) {
	nodes, err := s.opt.Fleet.Nodes(ctx)
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	return inventory.FindNodes(nodes, inventory.KeptOf(s.store.Inventories()), s.store.Readings(), s.opt.MaxAge, s.now()), nil
}
