package glob_test

import (
	"path"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/internal/glob"
)

// TestMatch_IsThatOfPaths compares with path.Match, whose patterns mean the
// same where no slash and no class is in them.
func TestMatch_IsThatOfPaths(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ab]{0,8}`).Draw(t, "text")
		pattern := rapid.StringMatching(`[ab*?]{0,8}`).Draw(t, "pattern")
		want, err := path.Match(pattern, text)
		must.NoError(t, err)
		must.Eq(t, want, glob.Match(text, pattern))
		must.Eq(t, strings.ContainsAny(pattern, "*?"), glob.Is(pattern))
	})
}
