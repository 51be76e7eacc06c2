package mapper

import (
	"maps"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// keepAttempts is how long a refused attempt is remembered: long enough to be
// seen by people, and gone when a patch on the next day is judged by new ones.
const keepAttempts = 24 * time.Hour

// hiddenFor is how long a declaration outlives that it was hidden: long enough
// for somebody to give the token its rights back, short enough that what was
// removed in the meantime does not stay for ever.
const hiddenFor = 24 * time.Hour

// retireAfter is how long the status of a source that is not configured any
// more is kept, so that decisions say what they lack.
const retireAfter = 24 * time.Hour

// gone is what the status of such a source says.
const gone = "it is not configured any more"

// keepHidden keeps for a while what a source said of a pair by name, and does not
// say now that part of its answer is missing: a token that lost its rights must
// not make dependencies vanish. Its last sight is when it was missed first.
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
			// What a wildcard or the default says of the pair is no longer all there is.
			rest := slices.DeleteFunc(evidence[pair], func(o api.Evidence) bool {
				return o.Source == source && !o.Exact && (o.Class == api.EvidenceAllowed || o.Class == api.EvidenceDenied)
			})
			evidence[pair] = append(rest, e)
		}
	}
}

// inherit takes over what an earlier term recorded from a source that has not
// answered in this one. Services and targets carry no source, so they stay.
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

// keepObserved keeps traffic that was seen before and is not seen now, until it
// is too old to prove anything. While its source is away nothing ages.
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

// keep is how long an evidence holds after its last sight.
func (s settings) keep(e api.Evidence) time.Duration {
	if e.Attempt {
		return min(keepAttempts, s.keepObserved)
	}
	return s.keepObserved
}

// quiet is an evidence without what was measured.
func quiet(e api.Evidence) api.Evidence {
	e.BytesPerSecond, e.RequestsPerSecond, e.ErrorsPerSecond, e.LatencySeconds, e.Connections = 0, 0, 0, 0, 0
	e.Endpoints, e.Healthy = 0, 0
	return e
}

// stamp sets the times: first seen is kept from the record, last seen is now
// for traffic that flows, and its day is marked. What stands written has no
// last sight: it holds as long as it is there.
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

// retire keeps the status of a source that an earlier configuration had, for a
// while: what it said is gone, and a decision must be able to say so. It
// returns the names of all such sources, for the traffic that they saw is true
// all the same.
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
		if status.Error != gone {
			status.Since = now
		}
		status = api.SourceStatus{Name: name, Since: status.Since, FirstOK: status.FirstOK, LastOK: status.LastOK, Error: gone}
		if now.Sub(status.Since) < retireAfter {
			next.sources[name] = status
		}
	}
	for name := range known {
		if status, ok := next.sources[name]; !ok || !status.OK && status.Error == gone {
			names = append(names, name)
		}
	}
	return names
}
