package httpapi

import (
	"fmt"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/access"
)

// view is what the caller may see, by the record as it is now.
func (a *API) view(c *call) *access.View {
	if access.Whole(c.by, c.rt.cap) {
		return access.All()
	}
	g := a.opt.Store.Graph()
	known := access.Known{Services: g.Services}
	for _, t := range g.Targets {
		known.Targets = append(known.Targets, t.Target.TargetRef)
	}
	for _, r := range a.opt.Store.Rollouts() { // sentences name targets that are gone, too
		known.Targets = append(known.Targets, r.Target)
	}
	return access.New(c.by, c.rt.cap, known)
}

// listScoped is list for entries that belong to a target. What is hidden from the caller
// is taken out before the filter sees it, which would tell of it otherwise.
func listScoped[T any](a *API, c *call, items []T, of func(T) api.TargetRef, key func(T) string) (any, error) {
	v := a.view(c)
	shown, err := access.Redact(v, access.Kept(v, items, of))
	if err != nil {
		return nil, err
	}
	return list(c, shown, key)
}

// oneScoped is an answer about one target. One that the caller may not see is not there.
func oneScoped[T any](a *API, c *call, item T, found bool, target api.TargetRef, missing *api.Error) (any, error) {
	v := a.view(c)
	if !found || !v.Sees(target) {
		return nil, missing
	}
	return shown(v, item)
}

func shown[T any](v *access.View, item T) (any, error) { return access.Redact(v, item) }

// may refuses a caller who may not do to a target what the route does. Without the right
// to read it either, the target is not there for them: missing.
func (a *API) may(c *call, target api.TargetRef, missing *api.Error) error {
	switch {
	case access.Reaches(c.by, c.rt.cap, target):
		return nil
	case access.Reaches(c.by, api.CapRead, target):
		return &api.Error{
			Code:    api.CodePermissionDenied,
			Message: fmt.Sprintf("identity %s lacks the capability %s on %s", c.by.Name, c.rt.cap, target),
			Details: access.Says(c.by.Grants, c.rt.cap),
		}
	}
	return missing
}

// mayTo is may for what has an ID and belongs to a target. Of a caller who may do it
// everywhere nothing is looked up: what does the deed says that there is none.
func (a *API) mayTo(c *call, kind, id string, find func() (api.TargetRef, bool)) error {
	if access.Everywhere(c.by, c.rt.cap) {
		return nil
	}
	missing := notFound(kind, id)
	target, ok := find()
	if !ok {
		return missing
	}
	return a.may(c, target, missing)
}

// hide gives an error the form that it has for this caller: names that they may not see
// are no part of it.
func (a *API) hide(c *call, err error) error {
	if access.Whole(c.by, c.rt.cap) || c.ctx().Err() != nil {
		return err
	}
	return a.view(c).Error(errorOf(err))
}

// covers refuses a patch whose selectors reach further than the caller's capability. They
// are compared with the caller's rules and not with what runs: the refusal is the same
// whether there is such a target or not, and names only what the patch itself names.
func (a *API) covers(c *call, file api.SourceFile) error {
	if access.Everywhere(c.by, c.rt.cap) {
		return nil
	}
	patch, err := a.opt.Control.ReadPatch(file)
	if err != nil {
		return err
	}
	refusal := api.Errorf(api.CodePermissionDenied,
		"identity %s lacks the capability %s on a part of what patch %q selects", c.by.Name, c.rt.cap, patch.Name)
	for _, s := range patch.Targets {
		if !access.Covers(c.by, c.rt.cap, s) {
			refusal.Details = append(refusal.Details, fmt.Sprintf("the patch selects jobs %s of namespace %s; where and groups count for nothing here",
				strings.Join(s.Jobs, ", "), s.Namespace))
		}
	}
	if len(refusal.Details) > 0 {
		refusal.Details = append(refusal.Details, access.Says(c.by.Grants, c.rt.cap)...)
		return refusal
	}
	return a.ownName(c, patch.Name)
}

// ownName refuses to put a patch in the place of one that reaches further than the caller
// does. The names of patches are one for the whole cluster.
func (a *API) ownName(c *call, name string) error {
	former, ok := a.opt.Store.Patch(name)
	if !ok {
		return nil
	}
	return access.MayReplace(c.by, former)
}

// receipt is a plan, or a submission, as the caller may see it.
func (a *API) receipt(c *call, r api.PatchReceipt, err error) (any, error) {
	if err != nil {
		return nil, a.hide(c, err)
	}
	v := a.view(c)
	r.Plan, _ = v.Plan(r.Plan)
	return shown(v, r)
}

// patchesSeen are the names of the patches that go to a target which the caller may see.
func (a *API) patchesSeen(v *access.View) map[string]bool {
	seen := map[string]bool{}
	if v.All() {
		return seen
	}
	for _, r := range a.opt.Store.Rollouts() {
		seen[r.Patch] = seen[r.Patch] || v.Sees(r.Target)
	}
	return seen
}
