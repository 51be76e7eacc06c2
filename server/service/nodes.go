package service

import (
	"context"
	"fmt"

	"github.com/oakumhq/oakum/api"
)

// Nodes lists the client nodes of Nomad by name, with their systems and the kernels that
// run there.
func (s *Service) Nodes(ctx context.Context) ([]api.Node, error) {
	nodes, err := s.opt.Fleet.Nodes(ctx)
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	return nodes, nil
}
