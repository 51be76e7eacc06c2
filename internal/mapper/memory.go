package mapper

import (
	"maps"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// keepAttempts is how long a refused attempt is kept. A day is long enough for
// people to see it, and it does not disturb the judgement of a patch on the next
// day.
const keepAttempts = 24 * time.Hour

// hiddenFor is how long a declaration is kept after a partial answer stopped to
// contain it. A day is long enough to give a token its rights back, and what was
// really removed does not stay for ever.
const hiddenFor = 24 * time.Hour

// retireAfter is how long the status of a source is kept after it left the
// configuration. Until then decisions say that it is missing.
const retireAfter = 24 * time.Hour

// notConfigured is the error in the status of a source that left the configuration.
const notConfigured = "it is not configured any more"

// keepHidden keeps evidence that names a pair when the source's partial answer
// does not contain it any more. A token that lost its rights must not make
// dependencies vanish. The first answer without the evidence sets LastSeen, from
// which hiddenFor counts.
func keepHidden(before *recorded, source string, evidence map[graph.Pair][]api.Evidence, now time.Time) {
	for pair, edge := range before.edges {
		for _, e := range edge.Evidence {
			named := e.Class == api.EvidenceDeclared || (e.Class == api.EvidenceAllowed && e.Exact)
			if e.Source != source || !named {
				continue
			}
			if slices.ContainsFunc(evidence[pair], func(o api.Evidence) bool { return graph.CompareEvidence(o, e) == 0 }) {
				continue
			}
			if e.LastSeen.IsZero() {
				e.LastSeen = now
			}
			if now.Sub(e.LastSeen) > hiddenFor {
				continue
			}
			// The kept evidence replaces what a wildcard or the default says
			// about the pair.
			rest := slices.DeleteFunc(evidence[pair], func(o api.Evidence) bool {
				return o.Source == source && !o.Exact && (o.Class == api.EvidenceAllowed || o.Class == api.EvidenceDenied)
			})
			evidence[pair] = append(rest, e)
		}
	}
}

// inherit copies the evidence that an earlier term recorded of a source that has
// not answered in this term. Services and targets name no source, so all of them
// are kept.
func inherit(before, next *recorded, source string, evidence map[graph.Pair][]api.Evidence) {
	for pair, edge := range before.edges {
		for _, e := range edge.Evidence {
			if e.Source == source {
				evidence[pair] = append(evidence[pair], e)
			}
		}
	}
	for name, service := range before.services {
		next.join(name, service)
	}
	if source == SourcePlacement {
		maps.Copy(next.targets, before.targets)
	}
}

// keepObserved keeps traffic that is not seen any more until it is too old to
// prove an edge. Nothing ages while its source does not answer.
func keepObserved(before *recorded, source string, fresh bool, evidence map[graph.Pair][]api.Evidence, now time.Time, s settings) {
	for pair, edge := range before.edges {
		for _, e := range edge.Evidence {
			if e.Source != source || (e.Class != api.EvidenceObserved && !e.Attempt) || (fresh && now.Sub(e.LastSeen) > s.keep(e)) {
				continue
			}
			seen := slices.ContainsFunc(evidence[pair], func(o api.Evidence) bool { return graph.CompareEvidence(o, e) == 0 })
			if seen {
				continue
			}
			if fresh {
				e = quiet(e)
			}
			evidence[pair] = append(evidence[pair], e)
		}
	}
}

// keep is how long evidence is kept after its last sight.
func (s settings) keep(e api.Evidence) time.Duration {
	if e.Attempt {
		return min(keepAttempts, s.keepObserved)
	}
	return s.keepObserved
}

// quiet returns evidence without its figures.
func quiet(e api.Evidence) api.Evidence {
	e.BytesPerSecond, e.RequestsPerSecond, e.ErrorsPerSecond, e.LatencySeconds, e.Connections = 0, 0, 0, 0, 0
	e.Endpoints, e.Healthy = 0, 0
	return e
}

// stamp sets the times of evidence. The first sight is kept from the record. The
// last sight of traffic is now, and its day is marked. A declaration or permission
// gets no last sight, since it holds as long as its source contains it.
func stamp(list, before []api.Evidence, now time.Time, s settings) {
	const day = 24 * time.Hour
	keep := int((s.keepObserved + day - 1) / day)
	for i := range list {
		e := &list[i]
		var have api.Evidence
		if known := slices.IndexFunc(before, func(o api.Evidence) bool { return graph.CompareEvidence(o, *e) == 0 }); known >= 0 {
			have = before[known]
		}
		if !have.FirstSeen.IsZero() {
			e.FirstSeen = have.FirstSeen
		}
		if e.FirstSeen.IsZero() {
			e.FirstSeen = now
		}
		if (e.Class == api.EvidenceObserved || e.Attempt) && e.LastSeen.IsZero() {
			e.LastSeen = now
			e.Days = have.Days.Seen(have.LastSeen, now, keep)
		}
	}
}

// retire keeps for a while the status of a source that left the configuration, so
// that a decision can name it. It returns the names of all sources of recorded
// evidence that are not configured. The traffic that they observed is kept, since
// it is still true.
func retire(before, next *recorded, now time.Time) []string {
	var names []string
	known := make(map[string]bool)
	for _, edge := range before.edges {
		for _, e := range edge.Evidence {
			known[e.Source] = true
		}
	}
	for name, status := range before.sources {
		if _, ok := next.sources[name]; ok {
			continue
		}
		known[name] = true
		if status.Error != notConfigured {
			status.Since = now
		}
		status = api.SourceStatus{Name: name, Since: status.Since, FirstOK: status.FirstOK, LastOK: status.LastOK, Error: notConfigured}
		if now.Sub(status.Since) < retireAfter {
			next.sources[name] = status
		}
	}
	for name := range known {
		if status, ok := next.sources[name]; !ok || !status.OK && status.Error == notConfigured {
			names = append(names, name)
		}
	}
	return names
}
