package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/shoenig/test"
	"github.com/shoenig/test/must"
)

var (
	quoted   = regexp.MustCompile("`([^`\n]+)`")
	linked   = regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`)
	made     = regexp.MustCompile(`make ([a-z0-9-]+)`)
	isTarget = regexp.MustCompile(`(?m)^([a-z0-9-]+):`)
)

// TestPagesNameWhatIsThere looks for every file, folder and make target that the
// pages name.
func TestPagesNameWhatIsThere(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	must.NoError(t, err)
	targets := map[string]bool{}
	for _, m := range isTarget.FindAllStringSubmatch(string(makefile), -1) {
		targets[m[1]] = true
	}
	pages, err := filepath.Glob("../*.md")
	must.NoError(t, err)
	for _, dir := range []string{"../*/DESIGN.md", "../*/*/DESIGN.md", "../*/*/*/DESIGN.md", "*/*.md", "../*/*/README.md"} {
		more, err := filepath.Glob(dir)
		must.NoError(t, err)
		pages = append(pages, more...)
	}
	must.Greater(t, 30, len(pages))
	for _, page := range pages {
		text, err := os.ReadFile(page)
		must.NoError(t, err)
		for _, m := range linked.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(m[1], "://") {
				_, err := os.Stat(filepath.Join(filepath.Dir(page), m[1]))
				test.NoError(t, err, test.Sprintf("%s links to %s", page, m[1]))
			}
		}
		for _, m := range quoted.FindAllStringSubmatch(string(text), -1) {
			for _, c := range made.FindAllStringSubmatch(m[1], -1) {
				test.True(t, targets[c[1]], test.Sprintf("%s speaks of `make %s`, and the Makefile has no such target", page, c[1]))
			}
			if path := inTree(m[1]); path != "" {
				found, err := filepath.Glob(filepath.Join("..", path))
				must.NoError(t, err)
				beside, err := filepath.Glob(filepath.Join(filepath.Dir(page), path))
				must.NoError(t, err)
				found = append(found, beside...)
				test.SliceNotEmpty(t, found, test.Sprintf("%s speaks of %s, which is not there", page, m[1]))
			}
		}
	}
}

// inTree is the path that a word names, when it begins as a path in this repository
// does; "" for any other word. A page may mean it from the root or from its folder.
func inTree(word string) string {
	word, _, _ = strings.Cut(word, " ")
	first, rest, ok := strings.Cut(strings.TrimPrefix(word, "./"), "/")
	if !ok || rest == "" || strings.ContainsAny(word, "{}=<>|…:\"") {
		return ""
	}
	switch first {
	case "api", "cmd", "docs", "e2e", "examples", "internal", "plugins", "policies", "server":
		return strings.TrimSuffix(strings.TrimPrefix(word, "./"), "/...")
	}
	return ""
}
