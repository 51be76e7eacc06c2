package workload

// deckSize is how many requests are drawn at once. What makes up one in a hundred is in
// every deck.
const deckSize = 100

// Source is where the order of a sequence comes from. *rand.Rand is one.
type Source interface {
	Float64() float64
	Shuffle(n int, swap func(i, j int))
}

// Sequence is the requests of a workload in the order in which they are sent. Equal
// sources give equal sequences.
type Sequence struct {
	workload Workload
	order    []int // of the requests, while they are drawn
	source   Source
	deck     []int
}

// Sequence begins a sequence of the workload's requests, which must not be empty.
func (w Workload) Sequence(source Source) *Sequence {
	return &Sequence{workload: w, order: w.grouped(), source: source}
}

// Next is the index of the next request. Of each deckSize requests, a request has its
// share, rounded down or up, so that a short run has the mix of a long one. Their order
// is random.
func (s *Sequence) Next() int {
	if len(s.deck) == 0 {
		s.draw()
	}
	next := s.deck[0]
	s.deck = s.deck[1:]
	return next
}

// draw takes deckSize requests at equal distances of weight, from a random place on.
func (s *Sequence) draw() {
	step := float64(s.workload.Weight()) / deckSize
	at := s.source.Float64() * step
	var passed float64
	for n, i := range s.order {
		passed += float64(s.workload.Requests[i].Weight)
		last := n == len(s.order)-1 // it takes what rounding leaves
		for len(s.deck) < deckSize && (at < passed || last) {
			s.deck = append(s.deck, i)
			at += step
		}
	}
	s.source.Shuffle(len(s.deck), func(i, j int) { s.deck[i], s.deck[j] = s.deck[j], s.deck[i] })
}
