package consul

import (
	"encoding/json"
	"slices"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/fleet/mesh"
)

// Precedence of an intention, by whether its destination and its source are named.
const (
	namesBoth        = 9
	namesDestination = 8
	namesSource      = 6
	namesNeither     = 5
	anybody          = "*"
)

// entryRoutes are config entries and intentions.
func (c *Door) entryRoutes() {
	c.mux.HandleFunc("GET /v1/config/{kind}", c.read(listEntries, fleet.TableEntries))
	c.mux.HandleFunc("GET /v1/config/{kind}/{name}", c.read(readEntry, fleet.TableEntries))
	c.mux.HandleFunc("PUT /v1/config", c.write(writeEntry))
	c.mux.HandleFunc("DELETE /v1/config/{kind}/{name}", c.write(func(a *asked) (any, error) {
		expect, err := a.expects()
		if err != nil {
			return nil, err
		}
		return a.mesh.DeleteEntry(a.PathValue("kind"), a.PathValue("name"), expect), nil
	}))
	c.mux.HandleFunc("GET /v1/connect/intentions/check", c.read(checkIntention, fleet.TableEntries))
}

// expects is the index of a compare-and-set; nil when there is none.
func (a *asked) expects() (*uint64, error) {
	if !a.URL.Query().Has("cas") {
		return nil, nil
	}
	n, err := number(a.URL.Query().Get("cas"))
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "Failed to parse cas")
	}
	return &n, nil
}

func (a *asked) entries() ([]mesh.Entry, error) {
	kind := a.PathValue("kind")
	if _, err := consulapi.MakeConfigEntry(kind, "any"); err != nil {
		return nil, api.Errorf(api.CodeInternal, "invalid config entry kind: %s", kind)
	}
	return slices.DeleteFunc(a.mesh.Entries(kind), func(e mesh.Entry) bool { return a.hidden[e.Name] }), nil
}

func listEntries(a *asked) (any, error) {
	list, err := a.entries()
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, e := range list {
		body, err := wire(e)
		if err != nil {
			return nil, err
		}
		out = append(out, body)
	}
	return out, nil
}

func readEntry(a *asked) (any, error) {
	list, err := a.entries()
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		if e.Name == a.PathValue("name") {
			return wire(e)
		}
	}
	return nil, api.Errorf(api.CodeNotFound, "Config entry not found for %q / %q", a.PathValue("kind"), a.PathValue("name"))
}

// wire is an entry with its indexes.
func wire(e mesh.Entry) (map[string]any, error) {
	var out map[string]any
	if err := json.Unmarshal(e.Body, &out); err != nil {
		return nil, err
	}
	out["CreateIndex"], out["ModifyIndex"] = e.CreateIndex, e.ModifyIndex
	return out, nil
}

func writeEntry(a *asked) (any, error) {
	expect, err := a.expects()
	if err != nil {
		return nil, err
	}
	entry, err := consulapi.DecodeConfigEntryFromJSON(a.body)
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "Request decoding failed: %v", err)
	}
	if entry.GetName() == "" {
		return nil, api.Errorf(api.CodeInvalid, "a %s entry has a name", entry.GetKind())
	}
	if e, ok := entry.(*consulapi.ServiceIntentionsConfigEntry); ok {
		for _, s := range e.Sources {
			s.Precedence, s.Type = precedence(e.Name, s.Name), consulapi.IntentionSourceConsul
		}
	}
	body, err := json.Marshal(entry)
	if err != nil {
		return nil, err
	}
	return a.mesh.SetEntry(mesh.Entry{Kind: entry.GetKind(), Name: entry.GetName(), Body: body}, expect), nil
}

// precedence tells which of two intentions counts: the one that names more.
func precedence(destination, source string) int {
	switch {
	case destination != anybody && source != anybody:
		return namesBoth
	case destination != anybody:
		return namesDestination
	case source != anybody:
		return namesSource
	}
	return namesNeither
}

// checkIntention says whether one service may call another. What depends on the
// request is no permission, as in Consul.
func checkIntention(a *asked) (any, error) {
	query := a.URL.Query()
	from, to := query.Get("source"), query.Get("destination")
	if from == "" || to == "" {
		return nil, api.Errorf(api.CodeInvalid, "required query parameter 'source' or 'destination' not set")
	}
	allowed, best := !a.mesh.DefaultDeny, 0
	for _, e := range a.mesh.Entries(consulapi.ServiceIntentions) {
		if e.Name != to && e.Name != anybody {
			continue
		}
		var entry consulapi.ServiceIntentionsConfigEntry
		if err := json.Unmarshal(e.Body, &entry); err != nil {
			return nil, err
		}
		for _, s := range entry.Sources {
			if (s.Name == from || s.Name == anybody) && s.Precedence > best {
				best = s.Precedence
				allowed = s.Action == consulapi.IntentionActionAllow && len(s.Permissions) == 0
			}
		}
	}
	return map[string]bool{"Allowed": allowed}, nil
}
