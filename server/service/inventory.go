package service

import (
	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
)

// FindInventories says which inventory there is of what each task of each target runs, in
// the order of the targets. It reads the replicated state only.
func (s *Service) FindInventories(targets []api.Target) []api.TargetInventory {
	kept, digests := inventory.KeptOf(s.store.Inventories()), inventory.Digests(s.store.Simulations())
	out := []api.TargetInventory{}
	for _, t := range targets {
		out = append(out, inventory.Find(t, digests, kept)...)
	}
	return out
}

// ReadInventory returns an inventory that is kept, with its packages. The error has code
// not_found when it was forgotten meanwhile.
func (s *Service) ReadInventory(r api.InventoryRecord) (api.Inventory, error) {
	pieces, err := s.store.InventoryPieces(r)
	if err != nil {
		return api.Inventory{}, err
	}
	return inventory.Unpack(r, pieces)
}
