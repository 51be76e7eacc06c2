package workload

import (
	"cmp"
	"slices"
)

// choose takes at most n of the entries, which are in order of their keys, and gives
// them weights that sum to all of theirs.
//
// Those that make up at least 1/n are all in, with their own counts. Of the others, one
// is taken from each stretch of equal weight and stands for the stretch. As similar
// requests stand together, each kind of them keeps its part: a thousand paths that were
// asked for once are there as much as a path that was asked for a thousand times.
//
//	counts 6 1 1 1 1 and n = 3: the first with 6, and two of the others with 2 each
func choose(entries []*entry, n int) []Request {
	certain, slots, rest := heavy(entries, n)
	out := make([]Request, 0, min(n, len(entries)))
	var passed int64 // weight of the light entries before this one
	stretch := int64(0)
	var hours map[int]int64 // of the light entries since the last one that stands for a stretch
	last := -1              // that one
	for _, e := range entries {
		if certain[e] {
			out = append(out, e.weighing(e.count, e.hours))
			continue
		}
		passed += e.count
		hours = addHours(hours, e.hours)
		// The middle of a stretch decides which entry stands for it.
		for stretch < slots && (2*stretch+1)*rest < 2*slots*passed {
			weight := (stretch+1)*rest/slots - stretch*rest/slots
			out = append(out, e.weighing(weight, hours))
			stretch, hours, last = stretch+1, nil, len(out)-1
		}
	}
	if last >= 0 {
		out[last].Hours = addHours(out[last].Hours, hours)
	}
	slices.SortStableFunc(out, func(a, b Request) int { return cmp.Compare(b.Weight, a.Weight) })
	return out
}

// heavy finds the entries that are in for certain, how many places they leave, and the
// weight of all others.
func heavy(entries []*entry, n int) (certain map[*entry]bool, slots, rest int64) {
	slots = int64(n)
	for _, e := range entries {
		rest += e.count
	}
	byCount := slices.Clone(entries)
	slices.SortStableFunc(byCount, func(a, b *entry) int { return cmp.Compare(b.count, a.count) })
	certain = map[*entry]bool{}
	for _, e := range byCount {
		if slots == 0 || len(entries) > n && e.count < (rest+slots-1)/slots {
			break
		}
		certain[e] = true
		slots--
		rest -= e.count
	}
	return certain, slots, rest
}

func (e *entry) weighing(weight int64, hours map[int]int64) Request {
	r := e.request
	r.Weight, r.Hours = weight, hours
	return r
}
