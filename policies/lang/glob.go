package lang

import "strings"

// MatchGlob reports whether the whole text matches the pattern, in which *
// stands for any characters and ? for one byte. It takes time proportional to
// the product of the lengths at worst.
func MatchGlob(text, pattern string) bool {
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

// IsGlob reports whether a pattern may match several texts.
func IsGlob(pattern string) bool { return strings.ContainsAny(pattern, "*?") }
