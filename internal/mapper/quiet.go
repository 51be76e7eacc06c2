package mapper

import (
	"encoding/json"
	"hash/maphash"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// quietFor is the longest time between two folds while no source says anything
// new. A change that only time makes, such as a declaration that becomes stale, is
// late by at most this much.
const quietFor = time.Minute

// quiescence recognises a round whose answers are the same as in the round before.
// Only graphs of many edges use it. In a small graph each figure may have to be
// recorded, and folding costs little.
type quiescence struct {
	seed    maphash.Seed
	imprint uint64
	folded  time.Time           // when a fold of that imprint changed nothing; zero after one that did
	numbers map[string]numbered // by source, of those that number their answers
}

// numbered is the imprint of an answer that has a number.
type numbered struct{ revision, imprint uint64 }

func newQuiescence() quiescence {
	return quiescence{seed: maphash.MakeSeed(), numbers: make(map[string]numbered)}
}

// quiet reports whether a round with this imprint need not be folded.
func (q *quiescence) quiet(imprint uint64, edges int, now time.Time) bool {
	return edges > manyEdges && !q.folded.IsZero() && imprint == q.imprint && now.Sub(q.folded) < quietFor
}

// note remembers whether a fold changed something.
func (q *quiescence) note(imprint uint64, changed bool, now time.Time) {
	q.imprint, q.folded = imprint, now
	if changed {
		q.folded = time.Time{} // what was recorded may decide about the same answers again
	}
}

// imprint is a hash of everything in the answers that a graph of many edges
// depends on. It leaves rates out, since such a graph records rates with a refresh
// only. It is a sum, so it does not depend on the order of maps and lists.
type imprint struct {
	seed maphash.Seed
	sum  uint64
}

func (q *quiescence) imprintOf(results []result, s settings) uint64 {
	p := imprint{seed: q.seed}
	for _, r := range results {
		add(&p, r.name, struct {
			fresh, known, away bool
			partial            string
		}{r.fresh, r.known, r.away, r.facts.Partial})
		p.sum += q.answer(r.name, r.facts, s)
	}
	return p.sum
}

// answer is the imprint of what a source said. It is kept for an answer with a number.
func (q *quiescence) answer(name string, f Facts, s settings) uint64 {
	if have := q.numbers[name]; f.Revision != 0 && have.revision == f.Revision {
		return have.imprint
	}
	p := imprint{seed: q.seed}
	p.facts(name, f, s)
	if f.Revision != 0 {
		q.numbers[name] = numbered{f.Revision, p.sum}
	}
	return p.sum
}

// facts adds what a source said.
func (p *imprint) facts(source string, f Facts, s settings) {
	add(p, source, [2]bool{f.Traffic, f.Silent})
	for pair, list := range f.Evidence {
		for _, e := range list {
			p.evidence(source, pair, false, e, s)
		}
	}
	for _, flow := range f.Flows {
		p.evidence(source, graph.Pair{From: flow.From, To: flow.To}, flow.Raw, flow.Evidence, s)
	}
	if f.Permissions != nil {
		add(p, source, f.Permissions.Default)
		for _, rule := range f.Permissions.Rules {
			add(p, source, rule)
		}
	}
	for _, service := range f.Services {
		p.document(service)
	}
	for _, target := range f.Targets {
		p.document(target)
	}
	for kind, names := range map[string]map[string]string{"address": f.Addresses, "behind": f.Behind} {
		for from, to := range names {
			add(p, source, [3]string{kind, from, to})
		}
	}
	for kind, names := range map[string][]string{"passing": f.Passing, "transparent": f.Transparent} {
		for _, name := range names {
			add(p, source, [2]string{kind, name})
		}
	}
}

// evidence adds evidence of a pair without its figures.
func (p *imprint) evidence(source string, pair graph.Pair, raw bool, e api.Evidence, s settings) {
	add(p, source, struct {
		pair             graph.Pair
		raw, alive, sent bool
		e                api.Evidence
	}{pair, raw, s.alive(e), e.BytesPerSecond > 0, quiet(e)})
}

// document adds a service or a target.
func (p *imprint) document(v any) {
	text, err := json.Marshal(v)
	if err != nil {
		return // can't be: both are plain nouns
	}
	p.sum += maphash.Bytes(p.seed, text)
}

// add adds a value of one source.
func add[T comparable](p *imprint, source string, v T) {
	p.sum += maphash.Comparable(p.seed, struct {
		source string
		v      T
	}{source, v})
}
