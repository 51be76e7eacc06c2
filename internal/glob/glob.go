// Package glob matches names with patterns, as policies, patches and auth rules have them.
package glob

import "strings"

// Match reports whether the whole text matches the pattern, in which *
// stands for any characters and ? for one byte. It takes time proportional to
// the product of the lengths at worst.
func Match(text, pattern string) bool {
	t, p := 0, 0
	star, mark := -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			t++
			p++
		case star >= 0:
			mark++
			t, p = mark, star+1
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// Is reports whether a pattern may match several texts.
func Is(pattern string) bool { return strings.ContainsAny(pattern, "*?") }
