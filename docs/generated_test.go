package docs_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/cli"
	"github.com/oakumhq/oakum/internal/cli/command"
)

var update = flag.Bool("update", false, "write the generated parts of the pages anew")

// printed is what a command prints.
func printed(t *testing.T, args ...string) string {
	t.Helper()
	var out, wrong strings.Builder
	code := cli.Run(t.Context(), command.Options{
		Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &wrong, Getenv: func(string) string { return "" },
	})
	must.Eq(t, 0, code, must.Sprint(wrong.String()))
	return out.String()
}

// TestGeneratedPartsOfThePages compares what stands between two marks of a page with what
// the program says now.
func TestGeneratedPartsOfThePages(t *testing.T) {
	var commands strings.Builder
	cli.Reference(&commands)
	for _, part := range []struct{ page, made string }{
		{"policy.md", "```text\n" + printed(t, "policy", "schema") + "```\n"},
		{"patch.md", "```text\n" + printed(t, "patch", "schema") + "```\n"},
		{"cli.md", commands.String()},
	} {
		t.Run(part.page, func(t *testing.T) {
			const begin, end = "<!-- generated: make generate -->\n", "<!-- end -->\n"
			path := filepath.Join("reference", part.page)
			text, err := os.ReadFile(path)
			must.NoError(t, err)
			before, rest, ok := strings.Cut(string(text), begin)
			must.True(t, ok, must.Sprint("the page has no mark"))
			was, after, ok := strings.Cut(rest, end)
			must.True(t, ok, must.Sprint("the page has no mark of the end"))
			if *update {
				must.NoError(t, os.WriteFile(path, []byte(before+begin+part.made+end+after), 0o644))
				return
			}
			must.Eq(t, part.made, was, must.Sprint("the page is stale: make generate, or go test ./docs -run TestGeneratedPartsOfThePages -update"))
		})
	}
}
