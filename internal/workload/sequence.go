package workload

const (
	// deckSize is how many requests are drawn at once. What makes up one in a hundred
	// is in every deck.
	deckSize = 100
	// hands is how many parts of equal mix a deck is sent in. What makes up one in
	// twenty is in each, so that a run of a few seconds has it too.
	hands = 5
)

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
// share, rounded down or up, so that a short run has the mix of a long one. The order is
// random within each fifth of them.
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
	s.deck = s.deal(s.deck)
}

// deal parts a deck into hands: every fifth request, from a different one on.
func (s *Sequence) deal(deck []int) []int {
	firsts := make([]int, hands)
	for i := range firsts {
		firsts[i] = i
	}
	s.source.Shuffle(hands, func(i, j int) { firsts[i], firsts[j] = firsts[j], firsts[i] })
	out := make([]int, 0, deckSize)
	for _, first := range firsts {
		from := len(out)
		for i := first; i < deckSize; i += hands {
			out = append(out, deck[i])
		}
		hand := out[from:]
		s.source.Shuffle(len(hand), func(i, j int) { hand[i], hand[j] = hand[j], hand[i] })
	}
	return out
}
