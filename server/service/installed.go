package service

import (
	"cmp"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/advisory"
	"github.com/oakumhq/oakum/internal/inventory"
	"github.com/oakumhq/oakum/policies"
)

// shelf reads the inventories of targets from the replicated state, each once.
type shelf struct {
	service *Service
	kept    inventory.Kept
	digests map[string]inventory.Digest
	read    map[string]*api.Inventory // by what it describes and its hash
	failed  map[string]string         // why one could not be read, likewise
}

func (s *Service) shelf() *shelf {
	return &shelf{
		service: s, kept: inventory.KeptOf(s.store.Inventories()), digests: inventory.Digests(s.store.Simulations(), s.store.Readings()),
		read: map[string]*api.Inventory{}, failed: map[string]string{},
	}
}

// of returns the inventories of what a target runs, and why others are missing.
func (s *shelf) of(t api.Target) (list []*api.Inventory, missing string) {
	var why []string
	for _, found := range inventory.Find(t, s.digests, s.kept) {
		if found.Record == nil {
			why = append(why, found.Missing)
			continue
		}
		inv, reason := s.get(*found.Record)
		switch {
		case reason != "":
			why = append(why, reason)
		case !slices.Contains(list, inv):
			list = append(list, inv)
		}
	}
	slices.Sort(why)
	return list, strings.Join(slices.Compact(why), "; ")
}

func (s *shelf) get(r api.InventoryRecord) (inv *api.Inventory, failed string) {
	key := r.Of + " " + r.Hash
	if s.read[key] == nil && s.failed[key] == "" {
		if inv, err := s.service.ReadInventory(r); err != nil {
			s.failed[key] = cmp.Or(api.AsError(err).Message, "an inventory can't be read")
		} else {
			s.read[key] = &inv
		}
	}
	return s.read[key], s.failed[key]
}

// installed says what is installed in targets, and whom the faults of a patch affect. It is
// nil when neither the patch nor a policy asks.
func (s *Service) installed(patch api.Patch, library *policies.Library) (func(api.Target) *policies.Installed, error) {
	named := len(patch.Affects) > 0 || patch.Advisory != nil
	if !named && !library.ReadsInstalled() {
		return nil, nil //nolint:nilnil // nobody asks
	}
	advisories, statements, err := advisory.OfPatch(patch)
	if err != nil {
		return nil, err
	}
	known := s.catalogue("")
	for i := range advisories {
		advisories[i].Rank(known.Exploited, known.Probable)
	}
	assessor := advisory.NewAssessor(advisories, advisory.Options{Now: s.now(), MaxAge: s.opt.MaxAge, Statements: statements})
	shelf := s.shelf()
	return func(t api.Target) *policies.Installed {
		out := &policies.Installed{}
		out.Inventories, out.Missing = shelf.of(t)
		if named {
			a := assessor.Assess(out.Inventories, out.Missing)
			out.Assessment = &a
		}
		return out.Within(s.opt.MaxAge, s.now())
	}, nil
}

// installedIn says what is installed in the target of a rollout, with the assessment by
// which it was planned: a rollout goes on although an inventory is gone.
func (s *Service) installedIn(r api.Rollout) func(api.Target) *policies.Installed {
	return func(t api.Target) *policies.Installed {
		out := &policies.Installed{Planned: true}
		if planned, ok := s.store.Planned(r.Plan, r.Target); ok {
			out.Assessment = planned.Assessment
		}
		out.Inventories, out.Missing = s.shelf().of(t)
		return out
	}
}
