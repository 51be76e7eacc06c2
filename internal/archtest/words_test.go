package archtest

import (
	"go/ast"
	"go/token"
	"os"
	"strings"
	"testing"
	"unicode"

	"github.com/shoenig/test"
	"github.com/shoenig/test/must"
)

// private are words that a reader who knows Nomad would not look for, and the
// field's words for them.
var private = map[string]string{
	"pilot":     "autopilot",
	"hear":      "receive, or observe",
	"heard":     "received, or observed",
	"orchestra": "orchestrator",
	"learner":   "profiler",
	"told":      "reported, or the noun",
	"tell":      "report, or publish",
	"abreast":   "beside, or concurrent",
	"befall":    "fault",
	"bend":      "the function's name",
	"bough":     "connector, or branch",
	"crowd":     "fleet",
	"fate":      "behaviour",
	"founder":   "server, or member",
	"founders":  "servers, or members",
	"haunt":     "fault",
	"luck":      "rng",
	"moot":      "unneeded",
	"plight":    "degradation",
	"roomier":   "the jobs that wait for room",
	"roomy":     "the jobs that wait for room",
	"stir":      "wake",
	"truth":     "model",
	"vitals":    "health",
	"willing":   "the condition",
}

// owned are words of the glossary that everyday English has other uses for, and the
// packages in which identifiers mean what the glossary says.
var owned = map[string][]string{
	"attempt":  {"api", "internal/graph", "internal/mapper", "internal/prometheus", "internal/orchestrator", "internal/rollout"},
	"recorder": {"internal/mapper", "internal/orchestrator", "internal/profiler", "server"},
	"beside":   {"api", "internal/blame"},
	"reached":  {"internal/rehearsal"},
	"settle":   {"api", "internal/nomad", "internal/fleet", "internal/fleet/adapter", "internal/orchestrator", "internal/rehearsal", "internal/rollout", "server"},
	"settled":  {"internal/nomad", "internal/fleet", "internal/orchestrator", "internal/rollout", "internal/rehearsal"},
}

// TestNamesHaveOneMeaning holds the identifiers that the product declares to the
// glossary.
func TestNamesHaveOneMeaning(t *testing.T) {
	for _, f := range sources(t) {
		if outside(f.pkg) {
			continue
		}
		declared(f.ast, func(id *ast.Ident) {
			for _, w := range words(id.Name) {
				better, found := private[w]
				test.False(t, found, test.Sprintf("%s declares %s: say %s", f.path, id.Name, better))
				if packages, found := owned[w]; found {
					test.SliceContains(t, packages, f.pkg, test.Sprintf("%s declares %s: the glossary has another meaning for it", f.path, id.Name))
				}
			}
		})
	}
}

// TestGlossaryHasEachWordOnce reads the words of the glossary's first column.
func TestGlossaryHasEachWordOnce(t *testing.T) {
	text, err := os.ReadFile("../../GLOSSARY.md")
	must.NoError(t, err)
	seen := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 || strings.HasPrefix(strings.TrimSpace(cells[1]), "---") {
			continue
		}
		for word := range strings.SplitSeq(cells[1], ",") {
			word = strings.TrimSpace(word)
			test.False(t, seen[word], test.Sprintf("%q has two rows", word))
			seen[word] = true
		}
	}
	must.Greater(t, 60, len(seen))
	for word := range owned {
		test.True(t, seen[strings.TrimSuffix(word, "d")] || seen[word], test.Sprintf("%q has an owner, and the glossary has no row for it", word))
	}
}

// declared calls do with every identifier that a file declares.
func declared(file *ast.File, do func(*ast.Ident)) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			do(n.Name)
		case *ast.TypeSpec:
			do(n.Name)
		case *ast.ValueSpec:
			each(n.Names, do)
		case *ast.Field:
			each(n.Names, do)
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				if id, ok := left.(*ast.Ident); ok && n.Tok == token.DEFINE {
					do(id)
				}
			}
		}
		return true
	})
}

func each(ids []*ast.Ident, do func(*ast.Ident)) {
	for _, id := range ids {
		do(id)
	}
}

// words are the words that a name is made of, in lower case: "keepAttempts" is made
// of "keep" and "attempts".
func words(name string) []string {
	var out []string
	letters := []rune(name)
	start := 0
	for i := 1; i < len(letters); i++ {
		begins := unicode.IsUpper(letters[i]) && (!unicode.IsUpper(letters[i-1]) || i+1 < len(letters) && unicode.IsLower(letters[i+1]))
		if begins || letters[i] == '_' {
			out = append(out, strings.ToLower(string(letters[start:i])))
			start = i
		}
	}
	return append(out, strings.ToLower(string(letters[start:])))
}
