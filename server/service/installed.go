package service

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

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
	list, missing, _ = s.look(t)
	return list, missing
}

// look is of, with the digests of what the target runs, sorted, as far as they are known.
func (s *shelf) look(t api.Target) (list []*api.Inventory, missing string, digests []string) {
	var why []string
	for _, found := range inventory.Find(t, s.digests, s.kept) {
		if found.Digest != "" {
			digests = append(digests, found.Digest)
		}
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
	slices.Sort(digests)
	return list, strings.Join(slices.Compact(why), "; "), slices.Compact(digests)
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

// versionsFor is how long Nomad is asked which instances run what.
const versionsFor = time.Minute

// content is what the instances of targets run.
type content struct {
	shelf    *shelf
	versions map[api.TargetRef][]api.RunningVersion // of those whose instances differ
	unknown  string                                 // why nobody says whose do; empty when it is known
}

// content asks which instances of targets run what. That nobody answers is no reason to
// believe that all run what their job asks for.
func (s *Service) content(ctx context.Context, targets []api.Target) *content {
	out := &content{shelf: s.shelf()}
	if len(targets) == 0 {
		return out
	}
	ctx, cancel := context.WithTimeout(ctx, versionsFor)
	defer cancel()
	var err error
	if out.versions, err = s.opt.Ground.RunningVersions(ctx, targets); err != nil {
		out.unknown = "nobody says which instances run what: " + api.AsError(err).Message
	}
	return out
}

// of is what the job of a target asks for, and what its instances run where they differ.
func (c *content) of(t api.Target) advisory.InstalledTarget {
	out := advisory.InstalledTarget{Target: t.TargetRef, Instances: t.Count}
	var digests []string
	out.Inventories, out.Missing, digests = c.shelf.look(t)
	for _, v := range c.versions[t.TargetRef] {
		part := advisory.Part{JobVersion: v.JobVersion, Instances: v.Instances, Missing: v.Unknown}
		switch {
		case v.JobVersion == t.JobVersion && v.Unknown == "":
			part.Inventories, part.Missing, part.Digests = out.Inventories, out.Missing, digests
		case v.Unknown == "":
			former := t
			former.Tasks = v.Tasks
			part.Inventories, part.Missing, part.Digests = c.shelf.look(former)
		}
		out.Parts = append(out.Parts, part)
	}
	out.Missing = also(out.Missing, c.unknown)
	return out
}

// also joins two reasons, either of which may be empty.
func also(why, more string) string {
	return strings.TrimSuffix(strings.TrimPrefix(why+"; "+more, "; "), "; ")
}

// matching are the targets that a patch is for. One whose condition can't be evaluated is
// refused elsewhere.
func matching(patch api.Patch, targets []api.Target) []api.Target {
	selector, err := policies.NewSelector(patch)
	if err != nil {
		return nil // there is no plan then
	}
	return slices.DeleteFunc(slices.Clone(targets), func(t api.Target) bool {
		ok, err := selector.Match(t)
		return !ok || err != nil
	})
}

// installed says what is installed in targets, and whom the faults of a patch affect. It is
// nil when neither the patch nor a policy asks.
func (s *Service) installed(ctx context.Context, patch api.Patch, library *policies.Library, targets []api.Target) (func(api.Target) *policies.Installed, error) {
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
	content := s.content(ctx, targets)
	return func(t api.Target) *policies.Installed {
		out, found := &policies.Installed{}, content.of(t)
		out.Inventories, out.Missing = found.Whole()
		if named {
			a := assessor.AssessTarget(&found)
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
