package consul

import (
	"context"
	"fmt"
	"slices"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// unknownService is a service name that no rule names. Asking whether it may call itself
// shows what holds where no rule matches.
const unknownService = "oakum-asks-for-the-default"

// Intentions reads the permissions of the mesh: every service-intentions entry,
// and the default. partial says what the token hides.
//
// A rule by request names both ends like any other rule, and allows only some
// requests. What none of its permissions is about, Consul decides by its default, and
// by no other intention: with default allow a rule that denies one path allows all
// others. Where the destination does not speak HTTP, Consul enforces such a rule
// as a denial. A source in a peer gets the name service@peer. A sameness group
// stands for the partitions and peers that are its members.
func (c *Client) Intentions(ctx context.Context) (p graph.Permissions, partial string, err error) {
	entries, partial, err := c.entries(ctx, consulapi.ServiceIntentions)
	if err != nil {
		return p, "", err
	}
	byRequest, groups := false, false
	for _, entry := range entries {
		if e, ok := entry.(*consulapi.ServiceIntentionsConfigEntry); ok {
			for _, s := range e.Sources {
				byRequest = byRequest || len(s.Permissions) > 0
				groups = groups || s.SamenessGroup != ""
			}
		}
	}
	r := reader{protocols: protocols{}, members: map[string][]consulapi.SamenessGroupMember{}}
	if byRequest {
		text, err := c.readProtocols(ctx, r.protocols)
		if err != nil {
			return p, "", err
		}
		partial = join(partial, text)
	}
	if groups {
		text, err := c.readGroups(ctx, r.members)
		if err != nil {
			return p, "", err
		}
		partial = join(partial, text)
	}
	p.Rules = r.all(entries)
	p.Default, err = c.defaultPermission(ctx, p)
	if err == nil && byRequest {
		// A rule for everything hides the default. What is not known to be denied may be
		// called.
		_, hidden := graph.Permissions{Rules: p.Rules}.Decide(graph.Pair{From: unknownService, To: unknownService})
		r.rest = hidden || p.Default == api.EvidenceAllowed
		p.Rules = r.all(entries)
	}
	if api.IsCode(err, api.CodePermissionDenied) {
		if partial == "" {
			partial = "consul does not tell this token what it allows by default"
		}
	} else if err != nil {
		return p, "", err
	}
	return p, partial, nil
}

// defaultPermission asks Consul what holds where no rule matches. It asks only
// when no rule is for everything.
func (c *Client) defaultPermission(ctx context.Context, p graph.Permissions) (api.EvidenceClass, error) {
	if e, ok := p.Decide(graph.Pair{From: unknownService, To: unknownService}); ok {
		return e.Class, nil
	}
	q, cancel := c.query(ctx)
	defer cancel()
	allowed, _, err := c.api.Connect().IntentionCheck(&consulapi.IntentionCheck{
		Source: unknownService, Destination: unknownService, SourceType: consulapi.IntentionSourceConsul}, q)
	if err != nil {
		return "", explain("check the default intention", err)
	}
	if allowed {
		return api.EvidenceAllowed, nil
	}
	return api.EvidenceDenied, nil
}

// protocols holds the protocol of each service. The entry for anyService holds the
// default.
type protocols map[string]string

const anyService = ""

// readProtocols reads the protocols from the services' defaults and from the
// proxies' defaults.
func (c *Client) readProtocols(ctx context.Context, into protocols) (partial string, err error) {
	list, partial, err := c.entries(ctx, consulapi.ServiceDefaults)
	if err != nil {
		return "", err
	}
	global, text, err := c.entries(ctx, consulapi.ProxyDefaults)
	if err != nil {
		return "", err
	}
	for _, entry := range append(global, list...) {
		switch e := entry.(type) {
		case *consulapi.ServiceConfigEntry:
			into[graph.Name(e.Partition, e.Namespace, e.Name)] = e.Protocol
		case *consulapi.ProxyConfigEntry:
			if p, ok := e.Config["protocol"].(string); ok {
				into[anyService] = p
			}
		}
	}
	return join(partial, text), nil
}

// http reports whether a service speaks a protocol with requests.
func (p protocols) http(service string) bool {
	switch or(p[service], p[anyService]) {
	case "http", "http2", "grpc":
		return true
	}
	return false
}

// readGroups reads the members of the sameness groups.
func (c *Client) readGroups(ctx context.Context, into map[string][]consulapi.SamenessGroupMember) (partial string, err error) {
	list, partial, err := c.entries(ctx, consulapi.SamenessGroup)
	if err != nil {
		return "", err
	}
	for _, entry := range list {
		if e, ok := entry.(*consulapi.SamenessGroupConfigEntry); ok {
			into[e.Name] = e.Members
		}
	}
	return partial, nil
}

// reader turns intentions into rules.
type reader struct {
	protocols protocols
	members   map[string][]consulapi.SamenessGroupMember
	rest      bool // requests that no permission is about are allowed
}

// all turns the entries into rules, in the order in which they govern.
func (r reader) all(entries []consulapi.ConfigEntry) []graph.Rule {
	var rules []graph.Rule
	for _, entry := range entries {
		if e, ok := entry.(*consulapi.ServiceIntentionsConfigEntry); ok {
			rules = append(rules, r.rules(e)...)
		}
	}
	slices.SortFunc(rules, graph.CompareRules)
	return rules
}

// rules turns one entry into rules: who may and who may not call one destination.
func (r reader) rules(e *consulapi.ServiceIntentionsConfigEntry) []graph.Rule {
	list := make([]graph.Rule, 0, len(e.Sources))
	to := pattern(e.Partition, e.Namespace, e.Name)
	for _, s := range e.Sources {
		if s == nil || s.Name == "" {
			continue
		}
		for _, from := range r.sources(s) {
			rule := graph.Rule{From: from, To: to, Precedence: s.Precedence, Allow: s.Action == consulapi.IntentionActionAllow}
			if rule.Precedence == 0 {
				rule.Precedence = graph.PrecedenceOf(from, to)
			}
			rule.Detail = fmt.Sprintf("intention %s => %s %s", from, to, s.Action)
			if len(s.Permissions) > 0 {
				rule.Conditional = true
				rule.Allow = r.allows(s.Permissions)
				rule.Detail = fmt.Sprintf("intention %s => %s by request (%d permissions)", from, to, len(s.Permissions))
				if rule.Allow && !r.protocols.http(to) {
					rule.Allow, rule.Conditional = false, false
					rule.Detail += ", which is a denial because " + to + " does not speak HTTP"
				}
			}
			list = append(list, rule)
		}
	}
	return list
}

// allows reports whether some request gets through permissions, of which the first that
// is about a request decides.
func (r reader) allows(permissions []*consulapi.IntentionPermission) bool {
	for _, p := range permissions {
		switch {
		case p == nil:
		case p.Action == consulapi.IntentionActionAllow:
			return true
		case everything(p):
			return false // nothing comes after it
		}
	}
	return r.rest
}

// everything reports whether a permission is about each request.
func everything(p *consulapi.IntentionPermission) bool {
	h := p.HTTP
	return h != nil && p.JWT == nil && h.PathPrefix == "/" && h.PathExact == "" && h.PathRegex == "" && len(h.Header) == 0 && len(h.Methods) == 0
}

// pattern names one end of a rule.
func pattern(partition, namespace, name string) string {
	if name == graph.Wildcard && (namespace == graph.Wildcard || namespace == "") {
		return graph.Wildcard
	}
	if name == graph.Wildcard && (partition == "" || partition == "default") {
		return or(namespace, "default") + "/" + graph.Wildcard
	}
	return graph.Name(partition, namespace, name)
}

// sources names the callers that one source of an intention stands for.
func (r reader) sources(s *consulapi.SourceIntention) []string {
	if s.SamenessGroup == "" {
		name := pattern(s.Partition, s.Namespace, s.Name)
		return []string{elsewhere(name, s.Peer, "", "")}
	}
	var out []string
	for _, m := range r.members[s.SamenessGroup] {
		out = append(out, elsewhere(pattern(m.Partition, s.Namespace, s.Name), m.Peer, "", ""))
	}
	return out
}
