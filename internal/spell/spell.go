// Package spell finds the word that was probably meant.
package spell

import (
	"unicode/utf8"

	"github.com/agext/levenshtein"
)

// Nearest returns the known word that is the fewest edits away from a word: at most two,
// and fewer than it has letters. It is the first of several, "" when there is none.
func Nearest(word string, known []string) string {
	best, distance := "", min(3, utf8.RuneCountInString(word))
	for _, k := range known {
		if d := levenshtein.Distance(word, k, nil); d < distance {
			best, distance = k, d
		}
	}
	return best
}
