package graph

// Structure computes again what gonum has too: the strongly connected components
// of the certain edges and the dominators seen from the entries. It returns how
// many components there are, and how many services an entry reaches.
func (a *Analysis) Structure() (parts, reached int) {
	tree := dominate(a.certain, a.entry)
	for _, by := range tree.idom {
		if by >= 0 {
			reached++
		}
	}
	return len(condense(a.certain).members), reached
}
