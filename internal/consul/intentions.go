package consul

import (
	"context"
	"fmt"
	"slices"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// nobody is a service name that no rule mentions: asking whether it may call
// itself tells what holds where no rule matches.
const nobody = "oakum-asks-for-the-default"

// Intentions reads what the mesh allows and forbids now: every
// service-intentions entry, and what holds where none matches. Sources in other
// peers and sameness groups are left out: they are outside this graph. partial
// says what the token hides.
func (c *Client) Intentions(ctx context.Context) (p graph.Permissions, partial string, err error) {
	q, cancel := c.query(ctx)
	defer cancel()
	entries, meta, err := c.api.ConfigEntries().List(consulapi.ServiceIntentions, q)
	if err != nil {
		return p, "", explain("list intentions", err)
	}
	for _, entry := range entries {
		if e, ok := entry.(*consulapi.ServiceIntentionsConfigEntry); ok {
			p.Rules = append(p.Rules, rules(e)...)
		}
	}
	slices.SortFunc(p.Rules, graph.CompareRules)
	partial = filtered("intentions", meta)
	p.Default, err = c.defaultPermission(ctx, p)
	if api.IsCode(err, api.CodePermissionDenied) && partial == "" {
		partial = "consul does not tell this token what it allows by default"
	} else if err != nil {
		return p, "", err
	}
	return p, partial, nil
}

// defaultPermission finds out what holds where no rule matches. A rule for
// everything makes the answer unnecessary.
func (c *Client) defaultPermission(ctx context.Context, p graph.Permissions) (api.EvidenceClass, error) {
	if e, ok := p.Decide(graph.Pair{From: nobody, To: nobody}); ok {
		return e.Class, nil
	}
	q, cancel := c.query(ctx)
	defer cancel()
	allowed, _, err := c.api.Connect().IntentionCheck(&consulapi.IntentionCheck{
		Source: nobody, Destination: nobody, SourceType: consulapi.IntentionSourceConsul}, q)
	if err != nil {
		return "", explain("check the default intention", err)
	}
	if allowed {
		return api.EvidenceAllowed, nil
	}
	return api.EvidenceDenied, nil
}

// rules reads one entry: all that may or may not call one destination.
func rules(e *consulapi.ServiceIntentionsConfigEntry) []graph.Rule {
	list := make([]graph.Rule, 0, len(e.Sources))
	for _, s := range e.Sources {
		if s == nil || s.Peer != "" || s.SamenessGroup != "" || s.Name == "" {
			continue
		}
		r := graph.Rule{From: s.Name, To: e.Name, Precedence: s.Precedence, Allow: s.Action == consulapi.IntentionActionAllow}
		r.Detail = fmt.Sprintf("intention %s => %s %s", s.Name, e.Name, s.Action)
		if len(s.Permissions) > 0 {
			// Some requests may pass. The rule still names both ends, so it is a
			// declaration; traffic shows whether it is used.
			r.Allow = slices.ContainsFunc(s.Permissions, func(p *consulapi.IntentionPermission) bool {
				return p != nil && p.Action == consulapi.IntentionActionAllow
			})
			r.Detail = fmt.Sprintf("intention %s => %s by request (%d permissions)", s.Name, e.Name, len(s.Permissions))
		}
		list = append(list, r)
	}
	return list
}
