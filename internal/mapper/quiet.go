package mapper

import (
	"encoding/json"
	"hash/maphash"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// quietFor is how long rounds in which no source says anything new may pass
// without being folded: what only time changes, such as a declaration that
// becomes stale, is then late by as much.
const quietFor = time.Minute

// quiescence tells a round that says what the last one said. Only graphs of many
// edges need it: in a small one each figure may be worth a record, and folding
// costs little.
type quiescence struct {
	seed    maphash.Seed
	imprint uint64
	folded  time.Time // when a fold of that imprint changed nothing; zero after one that did
}

// quiet reports whether answers with this imprint need not be folded.
func (q *quiescence) quiet(imprint uint64, edges int, now time.Time) bool {
	return edges > manyEdges && !q.folded.IsZero() && imprint == q.imprint && now.Sub(q.folded) < quietFor
}

// note takes down what became of a fold.
func (q *quiescence) note(imprint uint64, changed bool, now time.Time) {
	q.imprint, q.folded = imprint, now
	if changed {
		q.folded = time.Time{} // what was recorded may decide about the same answers again
	}
}

// imprint sums up a hash of everything in the answers that the graph of many
// edges depends on. Rates are left out: there they are recorded by their age
// only. The sum does not depend on the order of maps and lists.
type imprint struct {
	seed maphash.Seed
	sum  uint64
}

func imprintOf(seed maphash.Seed, results []result, s settings) uint64 {
	p := imprint{seed: seed}
	for _, r := range results {
		f := r.facts
		add(&p, r.name, struct {
			fresh, known, away, traffic, silent bool
			partial                             string
		}{r.fresh, r.known, r.away, f.Traffic, f.Silent, f.Partial})
		for pair, list := range f.Evidence {
			for _, e := range list {
				p.evidence(r.name, pair, false, e, s)
			}
		}
		for _, flow := range f.Flows {
			p.evidence(r.name, graph.Pair{From: flow.From, To: flow.To}, flow.Raw, flow.Evidence, s)
		}
		if f.Permissions != nil {
			add(&p, r.name, f.Permissions.Default)
			for _, rule := range f.Permissions.Rules {
				add(&p, r.name, rule)
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
				add(&p, r.name, [3]string{kind, from, to})
			}
		}
		for kind, names := range map[string][]string{"passing": f.Passing, "transparent": f.Transparent} {
			for _, name := range names {
				add(&p, r.name, [2]string{kind, name})
			}
		}
	}
	return p.sum
}

// evidence adds what a pair's evidence says, without how much.
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
