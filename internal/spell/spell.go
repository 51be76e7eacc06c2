// Package spell finds the word that was probably meant.
package spell

import "github.com/agext/levenshtein"

// Nearest returns the known word that is the fewest edits away from a word, and at most
// two; the first of several, "" when there is none.
func Nearest(word string, known []string) string {
	best, distance := "", 3
	for _, k := range known {
		if d := levenshtein.Distance(word, k, nil); d < distance {
			best, distance = k, d
		}
	}
	return best
}
