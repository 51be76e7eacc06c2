package service

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

// FindInventories says which inventory there is of what each task of each target runs, in
// the order of the targets. It reads the replicated state only.
func (s *Service) FindInventories(targets []api.Target) []api.TargetInventory {
	readings := s.store.Readings()
	kept, digests := inventory.KeptOf(s.store.Inventories()), inventory.Digests(s.store.Simulations(), readings)
	out := []api.TargetInventory{}
	for _, t := range targets {
		out = append(out, inventory.Find(t, digests, kept)...)
	}
	inventory.AddReadings(out, readings)
	return out
}

// TargetInventories does the same for the targets that run now; for one of them, when ref
// names it.
func (s *Service) TargetInventories(ctx context.Context, ref *api.TargetRef) ([]api.TargetInventory, error) {
	if ref != nil {
		target, err := s.opt.Fleet.Target(ctx, *ref)
		if err != nil {
			return nil, err
		}
		return s.FindInventories([]api.Target{target}), nil
	}
	targets, err := s.opt.Fleet.Targets(ctx)
	if err != nil {
		return nil, fmt.Errorf("list targets: %w", err)
	}
	return s.FindInventories(targets), nil
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

// Inventory returns the inventory of a digest, or of an image by its name. of may be the
// beginning of a digest, as lists show it. hash, or the beginning of it, chooses one of
// several that differ; without it they are an error of code conflict.
func (s *Service) Inventory(of, hash string) (api.Inventory, error) {
	of, err := s.wholeDigest(of)
	if err != nil {
		return api.Inventory{}, err
	}
	records := s.store.InventoriesOf(of)
	if hash != "" {
		records = slices.DeleteFunc(records, func(r api.InventoryRecord) bool { return !strings.HasPrefix(r.Hash, hash) })
	}
	switch len(records) {
	case 0:
		return api.Inventory{}, api.Errorf(api.CodeNotFound, "inventory of %s: there is none", strings.TrimSuffix(of+"#"+hash, "#"))
	case 1:
		return s.ReadInventory(records[0])
	}
	wrong := api.Errorf(api.CodeConflict, "inventory of %s: %d of them differ; name the hash of one", of, len(records))
	for _, r := range records {
		wrong.Details = append(wrong.Details, fmt.Sprintf("%s, %s by %s, with %d packages", r.Hash[:12], r.Source, cmp.Or(r.PutBy, "nobody"), r.Packages))
	}
	return api.Inventory{}, wrong
}

// digestLeast is how many hexadecimal digits of a digest name an inventory.
const digestLeast = 12

// wholeDigest is the digest that begins so and of which there is an inventory. Anything
// else stays as it is. Several digests that begin so are an error of code conflict.
func (s *Service) wholeDigest(of string) (string, error) {
	if digits, ok := strings.CutPrefix(of, "sha256:"); !ok || len(digits) < digestLeast || len(s.store.InventoriesOf(of)) > 0 {
		return of, nil
	}
	var found []string
	for _, r := range s.store.Inventories() {
		if strings.HasPrefix(r.Of, of) && !slices.Contains(found, r.Of) {
			found = append(found, r.Of)
		}
	}
	switch len(found) {
	case 0:
		return of, nil
	case 1:
		return found[0], nil
	}
	wrong := api.Errorf(api.CodeConflict, "inventory of %s: %d digests begin so; name more of one", of, len(found))
	wrong.Details = found
	return "", wrong
}

// PutInventory keeps an inventory that a person or a pipeline gives. Where another one of
// the same thing has other packages, both are kept, unless the new one shall replace it.
func (s *Service) PutInventory(ctx context.Context, in api.InventoryGiven, document []byte, by api.Identity) (api.InventoryReceipt, error) {
	if level := s.store.Level(); level < levels.Seven {
		return api.InventoryReceipt{}, api.Errorf(api.CodeUnavailable,
			"the cluster is at level %d, and inventories are kept from level %d on: upgrade every server first, or wait a few seconds where the cluster is new", level, levels.Seven)
	}
	inv, err := inventory.Parse(cmp.Or(in.Source, "the document"), document)
	if err != nil {
		return api.InventoryReceipt{}, err
	}
	of, err := s.describes(ctx, in, inv)
	if err != nil {
		return api.InventoryReceipt{}, err
	}
	return s.keepInventory(ctx, of, inv, api.InventoryPut, in.Replace, by.Name)
}

// describes is what a given inventory is of: what the caller says, else what the document
// says.
func (s *Service) describes(ctx context.Context, in api.InventoryGiven, inv api.Inventory) (string, error) {
	said := 0
	for _, text := range []string{in.Digest, in.Image, in.Target} {
		if text != "" {
			said++
		}
	}
	switch {
	case in.Task != "" && in.Target == "":
		return "", api.Errorf(api.CodeInvalid, "put inventory: task %q: want the target that it is of, too", in.Task)
	case said > 1:
		return "", api.Errorf(api.CodeInvalid, "put inventory: want one of digest, image and target, have %d", said)
	case in.Digest != "" && inventory.DigestOf(api.InventoryRecord{Of: in.Digest}) == "":
		return "", api.Errorf(api.CodeInvalid, "put inventory: digest: want sha256: and 64 hexadecimal digits, not %q", in.Digest)
	case in.Digest != "":
		return in.Digest, nil
	case inventory.IsNode(in.Image):
		return "", api.Errorf(api.CodeInvalid, "put inventory: image: %q is a node, and what is installed on nodes is read there", in.Image)
	case in.Image != "":
		return in.Image, nil
	case in.Target != "":
		return s.runsNow(ctx, in)
	case inv.Digest != "":
		return inv.Digest, nil
	}
	return "", api.Errorf(api.CodeInvalid, "put inventory %s: it does not name the digest of what it describes: say the digest, the image or the target", inv.Source)
}

// runsNow is what a task of a target runs: its digest, else the name of its image.
func (s *Service) runsNow(ctx context.Context, in api.InventoryGiven) (string, error) {
	ref, err := api.ParseTargetRef(in.Target)
	if err != nil {
		return "", err
	}
	target, err := s.opt.Fleet.Target(ctx, ref)
	if err != nil {
		return "", err
	}
	found := s.FindInventories([]api.Target{target})
	var names []string
	for _, f := range found {
		names = append(names, f.Task)
	}
	if in.Task != "" {
		found = slices.DeleteFunc(found, func(f api.TargetInventory) bool { return f.Task != in.Task })
	}
	switch {
	case len(found) == 0:
		return "", api.Errorf(api.CodeInvalid, "put inventory: target %s has no task %q: want one of %s", ref, in.Task, strings.Join(names, ", "))
	case len(found) > 1:
		return "", api.Errorf(api.CodeInvalid, "put inventory: target %s has several tasks (%s): say which", ref, strings.Join(names, ", "))
	case found[0].Digest == "" && !inventory.NamesContent(target, found[0].Task):
		return "", api.Errorf(api.CodeInvalid, "put inventory: target %s: %s", ref, found[0].Missing)
	}
	return cmp.Or(found[0].Digest, found[0].Image), nil
}

// keepInventory puts an inventory into the replicated state, piece by piece. One that has
// the same packages as another takes its place, whatever else its document says.
func (s *Service) keepInventory(ctx context.Context, of string, inv api.Inventory, origin api.InventoryOrigin, replace bool, by string) (api.InventoryReceipt, error) {
	hash, pieces, err := inventory.Pack(inv, state.PieceMax)
	if err != nil {
		return api.InventoryReceipt{}, err
	}
	record := api.InventoryRecord{
		Of: of, Hash: hash, Origin: origin, Source: inv.Source, Format: inv.Format, Subject: inv.Subject, Releases: inv.Releases,
		Packages: len(inv.Packages), Aside: len(inv.Aside), TakenAt: inv.TakenAt, PutBy: by,
	}
	if origin == api.InventoryNode {
		record.Seen = inv.TakenAt
	}
	receipt := api.InventoryReceipt{Targets: []api.TargetRef{}}
	for _, other := range s.store.InventoriesOf(of) {
		switch same := s.agrees(other, record, inv); {
		case same && origin == api.InventoryImage && other.Origin != api.InventoryImage:
			return api.InventoryReceipt{Record: other, Known: true, Targets: []api.TargetRef{}}, nil // it says at least as much
		case same || replace || origin == api.InventoryNode, origin == api.InventoryNamed && other.Origin == origin && other.Source == inv.Source:
			receipt.Known = receipt.Known || other.Hash == hash
			record.Replaces = append(record.Replaces, other.Hash)
		default:
			receipt.Differs = append(receipt.Differs, other.Hash)
		}
	}
	for _, data := range pieces {
		record.Pieces = append(record.Pieces, state.PieceSum(data))
		if _, err := s.opt.Log.Apply(ctx, &state.InventoryPiece{Data: data}, by); err != nil {
			return api.InventoryReceipt{}, fmt.Errorf("keep the inventory of %s: %w", of, err)
		}
	}
	if _, err := s.opt.Log.Apply(ctx, &state.InventoryPut{Record: record}, by); err != nil {
		return api.InventoryReceipt{}, fmt.Errorf("keep the inventory of %s: %w", of, err)
	}
	if origin != api.InventoryNode { // which no target runs
		receipt.Targets, receipt.Unlisted = s.runners(ctx, of)
	}
	if len(receipt.Targets) > 0 {
		if _, err := s.opt.Log.Apply(ctx, &state.InventoriesSeen{Of: []string{of}}, by); err != nil {
			s.log.Warn("note that an inventory is in use", "of", of, "error", err) // the next look notes it
		}
	}
	for _, r := range s.store.InventoriesOf(of) {
		if r.Hash == hash {
			receipt.Record = r
		}
	}
	return receipt, nil
}

// agrees reports whether an inventory that is kept and a new one of the same thing say the
// same. Oakum itself reads packages of distributions only, so that what it has read is
// compared by those alone.
func (s *Service) agrees(kept, record api.InventoryRecord, inv api.Inventory) bool {
	if kept.Hash == record.Hash {
		return true
	}
	former, err := s.ReadInventory(kept)
	if err != nil {
		return false
	}
	if kept.Origin != record.Origin && (kept.Origin == api.InventoryImage || record.Origin == api.InventoryImage) {
		former, inv = ofDistributions(former), ofDistributions(inv)
	} else if !slices.Equal(former.Releases, inv.Releases) || len(former.Aside) != len(inv.Aside) {
		return false
	}
	return len(inventory.Diff(former, inv).Changes) == 0
}

// ofDistributions are the packages of an inventory that distributions have made.
func ofDistributions(inv api.Inventory) api.Inventory {
	inv.Packages = slices.DeleteFunc(slices.Clone(inv.Packages), func(p api.Package) bool {
		return !inventory.Distributed(p.Ecosystem)
	})
	return inv
}

// ImageInstalled keeps what was read of an image: its digest, hex SHA-256, and what is
// installed in it.
func (s *Service) ImageInstalled(ctx context.Context, digest string, inv api.Inventory) error {
	inv.TakenAt = s.now()
	return s.InventoryRead(ctx, "sha256:"+digest, api.InventoryImage, inv)
}

// InventoryRead keeps an inventory that a server has read by itself.
func (s *Service) InventoryRead(ctx context.Context, of string, origin api.InventoryOrigin, inv api.Inventory) error {
	if s.store.Level() < levels.Seven {
		return nil
	}
	receipt, err := s.keepInventory(ctx, of, inv, origin, false, s.opt.Server)
	if err == nil && len(receipt.Differs) > 0 {
		s.log.Warn("what was read differs from another inventory of the same thing", "of", of, "source", inv.Source)
	}
	return err
}

// runners are the targets that run something. unlisted says why nobody knows.
func (s *Service) runners(ctx context.Context, of string) (targets []api.TargetRef, unlisted string) {
	targets = []api.TargetRef{}
	found, err := s.TargetInventories(ctx, nil)
	if err != nil {
		return targets, err.Error()
	}
	for _, f := range found {
		if (f.Digest == of || f.Image == of) && !slices.Contains(targets, f.Target) {
			targets = append(targets, f.Target)
		}
	}
	return targets, ""
}

const (
	// inventoriesEvery is the pause between two looks at which inventories are in use.
	inventoriesEvery = time.Hour
	// seenEvery is how old the record of an inventory in use may be.
	seenEvery = 24 * time.Hour
	// unseenAfter is how long an inventory is kept that nothing runs: a pipeline may give
	// it before its image runs anywhere, and a rollback may come late.
	unseenAfter = 30 * 24 * time.Hour
)

// watchInventories notes which inventories are in use, and forgets those that nothing has
// run for long, until ctx ends.
func (s *Service) watchInventories(ctx context.Context) {
	ticks, stop := s.opt.Ticker(inventoriesEvery)
	defer stop()
	for {
		if err := s.noteInventories(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("note which inventories are in use", "error", err)
		}
		select {
		case <-ticks:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Service) noteInventories(ctx context.Context) error {
	records := s.store.Inventories()
	if len(records) == 0 || s.store.Level() < levels.Seven {
		return nil
	}
	found, err := s.TargetInventories(ctx, nil)
	if err != nil {
		return err // what runs is unknown, so nothing is forgotten
	}
	runs := map[string]bool{}
	for _, f := range found {
		runs[f.Digest], runs[f.Image] = true, true
	}
	if slices.ContainsFunc(records, func(r api.InventoryRecord) bool { return inventory.IsNode(r.Of) }) {
		nodes, err := s.opt.Fleet.Nodes(ctx)
		if err != nil {
			return fmt.Errorf("list nodes: %w", err)
		}
		for _, n := range nodes {
			runs[inventory.OfNode(n.ID)] = true
		}
	}
	var seen, unseen []string
	for _, r := range records {
		switch age := s.now().Sub(r.Seen); {
		case runs[r.Of] && age >= seenEvery:
			seen = append(seen, r.Of)
		case !runs[r.Of] && age >= unseenAfter && s.now().Sub(r.PutAt) >= unseenAfter:
			unseen = append(unseen, r.Of)
		}
	}
	if len(seen) > 0 {
		if _, err := s.opt.Log.Apply(ctx, &state.InventoriesSeen{Of: slices.Compact(seen)}, s.opt.Server); err != nil {
			return err
		}
	}
	if len(unseen) > 0 {
		_, err = s.opt.Log.Apply(ctx, &state.InventoriesForget{Of: slices.Compact(unseen), Unseen: api.Duration(unseenAfter)}, s.opt.Server)
	}
	return err
}
