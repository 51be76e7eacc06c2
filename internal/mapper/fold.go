package mapper

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// settings are the parts of Options that folding depends on.
type settings struct {
	keepObserved time.Duration
	staleAfter   time.Duration
	refresh      time.Duration
	awayAfter    time.Duration
	awayTries    int
	minBytes     float64
	ignore       map[string]bool
	outside      Ends
	collapse     []string // sorted
	figures      bool     // whether a rate that moves is worth a record
}

// sidecarSuffix is the end of the name under which a service's mesh proxy is
// registered.
const sidecarSuffix = "-sidecar-proxy"

// service returns the name of a service in the graph. It is empty when the service
// is not part of the application.
func (s settings) service(name string) string {
	name = strings.TrimSuffix(name, sidecarSuffix)
	if s.ignore[name] {
		return ""
	}
	return name
}

// recorded is a graph indexed by key.
type recorded struct {
	edges    map[graph.Pair]api.Edge
	services map[string]api.Service
	targets  map[api.TargetRef]api.Target
	sources  map[string]api.SourceStatus
}

func newRecorded(g api.Graph) *recorded {
	r := &recorded{
		edges:    make(map[graph.Pair]api.Edge, len(g.Edges)),
		services: make(map[string]api.Service, len(g.Services)),
		targets:  make(map[api.TargetRef]api.Target, len(g.Targets)),
		sources:  make(map[string]api.SourceStatus, len(g.Sources)),
	}
	for _, e := range g.Edges {
		r.edges[graph.Pair{From: e.From, To: e.To}] = e
	}
	for _, s := range g.Services {
		r.services[s.Name] = s
	}
	for _, t := range g.Targets {
		r.targets[t.Target.TargetRef] = t.Target
	}
	for _, s := range g.Sources {
		r.sources[s.Name] = s
	}
	return r
}

// apply applies a change that was recorded.
func (r *recorded) apply(c api.GraphChange) {
	for _, e := range c.Edges {
		r.edges[graph.Pair{From: e.From, To: e.To}] = e
	}
	for _, p := range c.RemoveEdges {
		delete(r.edges, graph.Pair{From: p[0], To: p[1]})
	}
	for _, s := range c.Services {
		r.services[s.Name] = s
	}
	for _, name := range c.RemoveServices {
		delete(r.services, name)
	}
	for _, t := range c.Targets {
		r.targets[t.TargetRef] = t
	}
	for _, ref := range c.RemoveTargets {
		delete(r.targets, ref)
	}
	for _, s := range c.Sources {
		r.sources[s.Name] = s
	}
	for _, name := range c.RemoveSources {
		delete(r.sources, name)
	}
}

// fold makes this round's graph out of the answers and the recorded graph.
func fold(before *recorded, results []result, now time.Time, s settings) *recorded {
	next := newRecorded(api.Graph{})
	evidence := make(map[graph.Pair][]api.Evidence)
	addresses := addressBook(results)
	for _, r := range results {
		status := status(before.sources[r.name], r, now)
		if r.known {
			lost := take(r, evidence, addresses, s)
			status.Partial = join(status.Partial, lost.String())
			next.addServices(r.facts.Services, s)
			for _, t := range r.facts.Targets {
				next.targets[t.TargetRef] = t
			}
		} else {
			inherit(before, next, r.name, evidence)
		}
		next.sources[r.name] = status
	}
	excuseNoMesh(next, results)
	via := collapse(evidence, results, s)
	for _, r := range results {
		if r.known {
			keepObserved(before, r.name, r.fresh, evidence, now, s)
		}
	}
	for _, name := range retire(before, next, now) {
		keepObserved(before, name, true, evidence, now, s)
	}
	transparent := transparentServices(results)
	for _, ruled := range [...]bool{false, true} { // permissions are asked of all pairs that anything names
		for _, r := range results {
			if !r.known || (r.facts.Permissions != nil) != ruled {
				continue
			}
			if ruled {
				permit(r, evidence, transparent, s)
			}
			if next.sources[r.name].Partial != "" {
				keepHidden(before, r.name, evidence, now)
			}
		}
	}
	joinShared(evidence)
	for pair, list := range evidence {
		oneWay(list, before.edges[pair].Evidence, now)
	}
	for pair, list := range evidence {
		stamp(list, before.edges[pair].Evidence, now, s)
	}
	for _, e := range graph.Merge(evidence, terms(next, results, now, s)) {
		pair := graph.Pair{From: e.From, To: e.To}
		e.Via = via.of(pair, before.edges[pair].Via)
		next.edges[pair] = e
		next.nameEnds(e)
	}
	next.foldScraped()
	return next
}

// excuseNoMesh clears the partial mark of traffic sources that report nothing where
// there is no mesh. Without a mesh nothing is missing.
func excuseNoMesh(next *recorded, results []result) {
	for _, r := range results {
		mesh := len(r.facts.Behind) > 0 || (r.name == SourceUpstreams && len(r.facts.Evidence) > 0)
		rules := r.facts.Permissions != nil && len(r.facts.Permissions.Rules) > 0
		if mesh || rules || (r.name == SourceUpstreams && !r.known) || (r.name == SourceIntentions && !r.known) {
			return
		}
	}
	for _, r := range results {
		if r.known && r.facts.Silent {
			status := next.sources[r.name]
			status.Partial = ""
			next.sources[r.name] = status
		}
	}
}

// join joins two remarks.
func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

// terms returns what the states of all pairs depend on besides their evidence.
func terms(next *recorded, results []result, now time.Time, s settings) graph.Terms {
	t := graph.Terms{Now: now, StaleAfter: s.staleAfter}
	for _, r := range results {
		status := next.sources[r.name]
		if r.facts.Permissions != nil && status.Partial != "" {
			t.Hidden = true
		}
		if !r.facts.Traffic {
			continue
		}
		t.Unseen = true
		if !status.FirstOK.IsZero() && (t.Watched.IsZero() || status.FirstOK.Before(t.Watched)) {
			t.Watched = status.FirstOK
		}
	}
	t.Unseen = t.Unseen && t.Watched.IsZero()
	return t
}

// permit adds to every pair the permission that governs it. It runs after all
// other evidence is collected, since a wildcard says something only about pairs
// that other evidence names.
func permit(r result, evidence map[graph.Pair][]api.Evidence, transparent map[string]bool, s settings) {
	pairs := make([]graph.Pair, 0, len(evidence))
	for pair, list := range evidence {
		if !onlyShared(list) { // a shared node is no reason to ask who may talk to whom
			pairs = append(pairs, pair)
		}
	}
	for pair, e := range r.facts.Permissions.Expand(pairs) {
		pair = graph.Pair{From: s.service(pair.From), To: s.service(pair.To)}
		e.Source = r.name
		if e.Class == api.EvidenceAllowed && e.Exact && transparent[pair.From] && r.facts.Permissions.Default == api.EvidenceDenied {
			e.Detail += reachable
		}
		evidence[pair] = append(evidence[pair], e)
	}
}

// reachable is added to the detail of an intention that makes its destination an
// upstream of a transparent proxy. It is not added where the default allows, since
// every service is an upstream there.
const reachable = ", which its transparent proxy may reach"

// transparentServices names the services whose proxies need no declared upstream.
func transparentServices(results []result) map[string]bool {
	names := make(map[string]bool)
	for _, r := range results {
		for _, name := range r.facts.Transparent {
			names[name] = true
		}
	}
	return names
}

// oneWayAfter is how long a pair must have been allowed before bytes without an
// answer count as traffic. The window of the rates still holds bytes that were
// refused just before the pair was allowed.
const oneWayAfter = 2 * time.Minute

// oneWay turns attempts into observed traffic where a permission has allowed the
// pair for a while. Such bytes had no answer because the callee sends none, not
// because somebody refused them.
func oneWay(list, before []api.Evidence, now time.Time) {
	allowed := slices.ContainsFunc(list, func(e api.Evidence) bool {
		return e.Class == api.EvidenceAllowed && slices.ContainsFunc(before, func(o api.Evidence) bool {
			return graph.CompareEvidence(o, e) == 0 && now.Sub(o.FirstSeen) >= oneWayAfter
		})
	})
	if !allowed {
		return
	}
	for i := range list {
		if e := &list[i]; e.Attempt && e.BytesPerSecond > 0 {
			e.Class, e.Attempt = api.EvidenceObserved, false
		}
	}
}

// joinShared moves evidence of a shared node, which has no direction, to the
// reverse pair when only that pair has other evidence.
func joinShared(evidence map[graph.Pair][]api.Evidence) {
	for pair, list := range evidence {
		back := graph.Pair{From: pair.To, To: pair.From}
		if other, ok := evidence[back]; ok && onlyShared(list) && !onlyShared(other) {
			evidence[back] = append(other, list...)
			delete(evidence, pair)
		}
	}
}

func onlyShared(list []api.Evidence) bool {
	return !slices.ContainsFunc(list, func(e api.Evidence) bool { return e.Class != api.EvidenceShared })
}

// status returns how far a source can be trusted now.
func status(before api.SourceStatus, r result, now time.Time) api.SourceStatus {
	next := api.SourceStatus{Name: r.name, OK: !r.away, Since: before.Since, FirstOK: before.FirstOK, LastOK: before.LastOK}
	switch {
	case r.away:
		next.Since = r.streak.began
	case before.Name == "" || !before.OK:
		next.Since = now
	}
	if r.known {
		next.Partial = r.facts.Partial
	} else {
		next.Partial = before.Partial
	}
	if r.fresh {
		next.LastOK = now
		if next.FirstOK.IsZero() && !r.facts.Silent {
			next.FirstOK = now
		}
	} else {
		next.Failures, next.Failing, next.Failed = r.streak.failures, r.streak.began, now
		next.Error = r.err.Error()
	}
	return next
}

// addServices merges the services of one source into the graph.
func (r *recorded) addServices(list []api.Service, s settings) {
	for _, service := range list {
		service.Name = s.service(service.Name)
		if service.Name != "" {
			r.join(service.Name, service)
		}
	}
}

// join merges what two sources say about one service. The placement is Nomad's,
// the only source with targets. The larger count of instances is taken, since a
// catalog lags behind. The smaller count of healthy instances is taken, since
// Nomad knows the tasks and the catalog knows the checks.
func (r *recorded) join(name string, s api.Service) {
	have, ok := r.services[name]
	if !ok {
		r.services[name] = s
		return
	}
	have.Kind = cmp.Or(have.Kind, s.Kind)
	have.Instances = max(have.Instances, s.Instances)
	have.Healthy = min(have.Healthy, s.Healthy)
	if len(have.Targets) == 0 && len(s.Targets) > 0 {
		have.Targets, have.Nodes, have.Racks, have.Volumes = s.Targets, s.Nodes, s.Racks, s.Volumes
	}
	r.services[name] = have
}

// nameEnds adds a service for each end of an edge that has none, so that an edge
// never names a service that the graph does not list.
func (r *recorded) nameEnds(e api.Edge) {
	for _, name := range append([]string{e.From, e.To}, e.Via...) {
		if _, ok := r.services[name]; !ok {
			r.services[name] = api.Service{Name: name}
			if strings.Contains(name, graph.Beyond) {
				r.services[name] = api.Service{Name: name, Kind: api.KindOutside}
			}
		}
	}
}
