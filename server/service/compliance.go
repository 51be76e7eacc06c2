package service

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/advisory"
	"github.com/oakumhq/oakum/internal/inventory"
	"github.com/oakumhq/oakum/policies"
)

// Compliance says how far the targets that run now are with each advisory that patches
// say; with one of them, when name is its ID, an alias, or a fault that it is about. The
// error has code not_found when no patch says anything of that name.
func (s *Service) Compliance(ctx context.Context, name string) (api.Compliance, error) {
	targets, err := s.opt.Fleet.Targets(ctx)
	if err != nil {
		return api.Compliance{}, fmt.Errorf("list targets: %w", err)
	}
	in := advisory.ComplianceInput{Now: s.now(), Patches: s.store.Patches(), Name: name}
	in.Catalogue = s.catalogue(name)
	rollouts := s.store.Rollouts()
	in.Carried = s.carried(rollouts)
	content, mixed := s.content(ctx, targets), mixed(rollouts)
	var exceptions []policies.Exception
	var ages func(api.Target) (time.Duration, error)
	if library, err := s.policies.Library(); err == nil {
		exceptions, ages = library.Exceptions(), library.MaxAges(in.Now)
	} else { // the report has a problem then, and says of nothing that all is well
		in.Catalogue.Problems = append(slices.Clone(in.Catalogue.Problems), "the exceptions of policies, and how old they let inventories be: "+api.AsError(err).Message)
	}
	for _, t := range slices.SortedFunc(slices.Values(targets), func(a, b api.Target) int { return a.Compare(b.TargetRef) }) {
		one := content.of(t)
		one.Missing = also(one.Missing, mixed[t.TargetRef])
		if one.MaxAge = s.opt.MaxAge; ages != nil {
			most, err := ages(t)
			if err != nil {
				one.Missing = also(one.Missing, "nobody can say how old its inventory may be: "+api.AsError(err).Message)
			}
			one.MaxAge = stricter(one.MaxAge, most)
		}
		for _, e := range exceptions {
			if e.Holds(t.TargetRef, in.Now) {
				one.Waivers = append(one.Waivers, advisory.Waiver{Faults: e.Faults, Document: "exception " + e.Name + " at " + e.Range, Reason: e.Reason, Until: e.Until})
			}
		}
		in.Targets = append(in.Targets, one)
	}
	report := advisory.Comply(in)
	if name != "" && len(report.Advisories) == 0 {
		missing := api.Errorf(api.CodeNotFound, "advisory or fault %q: no patch that the cluster keeps names it%s", name, s.nowhere())
		missing.Details = slices.Concat(report.Unread, report.Problems)
		return api.Compliance{}, missing
	}
	return report, nil
}

// stricter is the shorter of two ages, of which zero is any age.
func stricter(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// catalogue is what this server knows beside what patches say, with the advisories of a name
// whomever they are about.
func (s *Service) catalogue(name string) advisory.Catalogue {
	if s.opt.Advisories == nil {
		return advisory.Catalogue{}
	}
	out := s.opt.Advisories.Catalogue()
	if name != "" {
		out.Advisories = slices.Concat(out.Advisories, s.opt.Advisories.Named(name))
	}
	return out
}

// nowhere says where else a fault was looked for.
func (s *Service) nowhere() string {
	if s.opt.Advisories == nil {
		return ", and this server has no directory of advisories"
	}
	return ", and no document in this server's directory of advisories"
}

// InstalledNames are the names of the packages of all inventories that the cluster keeps, but
// for those of nodes, by which no target is affected. They must not be changed.
func (s *Service) InstalledNames() (*advisory.Names, error) {
	index := s.store.IndexOf(api.TopicInventory)
	s.mu.Lock()
	names, at := s.names, s.named
	s.mu.Unlock()
	if names != nil && at == index {
		return names, nil
	}
	names = advisory.NewNames()
	for _, r := range s.store.Inventories() {
		if inventory.IsNode(r.Of) {
			continue
		}
		inv, err := s.ReadInventory(r)
		if err != nil && !api.IsCode(err, api.CodeNotFound) { // else it was forgotten meanwhile
			return nil, err
		}
		names.Add(&inv)
	}
	s.mu.Lock()
	s.names, s.named = names, index
	s.mu.Unlock()
	return names, nil
}

// mixed says of each target why what its instances run may be another thing in a moment: a
// rollout has touched the job and not left it yet.
func mixed(rollouts []api.Rollout) map[api.TargetRef]string {
	out := map[api.TargetRef]string{}
	for _, r := range rollouts {
		if r.Former != nil && !r.Status.Ended() {
			out[r.Target] = "rollout " + r.ID + " is under way, and some instances may still run what others don't"
		}
	}
	return out
}

// carried are the rollouts that the cluster remembers.
func (s *Service) carried(rollouts []api.Rollout) []advisory.Carried {
	var out []advisory.Carried
	for _, r := range rollouts {
		one := advisory.Carried{ID: r.ID, Patch: r.Patch, Digest: r.PatchDigest, Target: r.Target, Created: r.Created}
		if r.Status == api.RolloutComplete {
			one.Completed = r.Ended
		}
		if planned, ok := s.store.Planned(r.Plan, r.Target); ok && planned.Assessment != nil {
			one.Before = planned.Assessment.Status
		}
		out = append(out, one)
	}
	return out
}
