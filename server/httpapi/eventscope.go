package httpapi

import (
	"encoding/json"
	"sync"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/access"
)

// eventsSeen returns the events of a batch that the caller may see, as they may see them.
// The view is made for each batch: a stream lives longer than a target.
func (a *API) eventsSeen(c *call, batch []api.Event) ([]api.Event, error) {
	if len(batch) == 0 {
		return nil, nil
	}
	v := a.view(c)
	if v.All() {
		return batch, nil
	}
	goes := sync.OnceValue(func() map[string]bool { return a.patchesSeen(v) }) // few batches have a patch
	kept := []api.Event{}
	for _, e := range batch {
		e, ok := a.eventSeen(v, goes, e)
		if !ok {
			continue
		}
		e, err := access.Redact(v, e)
		if err != nil {
			return nil, err
		}
		kept = append(kept, e)
	}
	return kept, nil
}

// eventSeen returns an event as a caller may see it who does not see everything, and
// whether at all. What an event is about that the record knows no more is not known to be
// theirs, and so is left out; so are policies and inventories, which belong to no target.
func (a *API) eventSeen(v *access.View, goes func() map[string]bool, e api.Event) (api.Event, bool) {
	switch e.Topic {
	case api.TopicRollout, api.TopicEffect:
		r, ok := a.opt.Store.Rollout(e.Key)
		return e, ok && v.Sees(r.Target)
	case api.TopicSimulation:
		s, ok := a.opt.Store.Simulation(e.Key)
		return e, ok && v.Sees(s.Target)
	case api.TopicProfile:
		ref, err := api.ParseTargetRef(e.Key)
		return e, err == nil && v.Sees(ref)
	case api.TopicQuarantine:
		var q api.Quarantine
		return e, json.Unmarshal(e.Payload, &q) == nil && v.Sees(q.Target)
	case api.TopicPatch:
		p, ok := a.opt.Store.Patch(e.Key)
		if ok {
			_, ok = v.Patch(p, goes()[e.Key])
		}
		return e, ok
	case api.TopicGraph:
		return graphEventSeen(v, e)
	case api.TopicBrake:
		return e, true
	case api.TopicPolicy, api.TopicInventory:
		return e, false
	}
	return e, false
}

// graphEventSeen takes the sentence of a change apart: it names services, and those that
// are gone are not known any more. What happened to a source is told as it is.
func graphEventSeen(v *access.View, e api.Event) (api.Event, bool) {
	if e.Type != "graph_changed" {
		return e, true
	}
	var d api.GraphDelta
	if len(e.Payload) == 0 || json.Unmarshal(e.Payload, &d) != nil {
		return e, false
	}
	if d = v.Delta(d); d.Empty() {
		return e, false
	}
	payload, err := json.Marshal(d)
	if err != nil {
		return e, false
	}
	e.Text, e.Payload = "the graph changed", payload
	return e, true
}
