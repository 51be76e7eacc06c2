package docs_test

import (
	"crypto/sha256"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/shoenig/test"
	"github.com/shoenig/test/must"
	"gonum.org/v1/gonum/graph/formats/dot"
	"gonum.org/v1/gonum/graph/formats/dot/ast"
)

// drawing is what a DOT file draws: its nodes, and its edges from one to another.
type drawing struct {
	nodes map[string]bool
	edges map[[2]string]bool
}

// TestDrawingsAreRenderedAnew compares each SVG's stamp with its source.
func TestDrawingsAreRenderedAnew(t *testing.T) {
	sources, err := filepath.Glob("drawings/*.dot")
	must.NoError(t, err)
	must.SliceNotEmpty(t, sources)
	for _, path := range sources {
		source, err := os.ReadFile(path)
		must.NoError(t, err)
		svg, err := os.ReadFile(strings.TrimSuffix(path, ".dot") + ".svg")
		must.NoError(t, err)
		must.StrContains(t, string(svg), fmt.Sprintf("source sha256:%x ", sha256.Sum256(source)), must.Sprintf("%s was changed: make generate", path))
	}
}

// TestLifeDrawing_IsWhatTheTranscriptsShow holds the drawing to the transcripts of
// internal/rollout, in both directions. Its node "any" stands for every open status.
func TestLifeDrawing_IsWhatTheTranscriptsShow(t *testing.T) {
	d := readDrawing(t, "drawings/life.dot")
	files, err := filepath.Glob("../internal/rollout/testdata/*.txt")
	must.NoError(t, err)
	must.SliceNotEmpty(t, files)
	seen := map[[2]string]bool{}
	status := regexp.MustCompile(`^  ([a-z_]+): `)
	for _, path := range files {
		text, err := os.ReadFile(path)
		must.NoError(t, err)
		before := ""
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "rollout") {
				before = ""
			}
			m := status.FindStringSubmatch(line)
			if m == nil || m[1] == "error" {
				continue
			}
			if before != "" && before != m[1] {
				seen[[2]string{before, m[1]}] = true
			}
			before = m[1]
		}
	}
	for e := range seen {
		test.True(t, d.edges[e] || d.edges[[2]string{"any", e[1]}], test.Sprintf("the transcripts go from %s to %s, and the drawing does not", e[0], e[1]))
	}
	for e := range d.edges {
		from := []string{e[0]}
		if e[0] == "any" {
			from = []string{"pending", "simulating", "awaiting_approval", "waiting", "running", "holding", "paused", "rolling_back"}
		}
		for _, status := range from {
			test.True(t, seen[[2]string{status, e[1]}], test.Sprintf("the drawing goes from %s to %s, and no transcript does", status, e[1]))
		}
	}
}

// TestRoomsDrawing_IsWhatIsImported holds the drawing to the imports: each arrow is
// an import, and each import between two drawn rooms follows from the arrows.
func TestRoomsDrawing_IsWhatIsImported(t *testing.T) {
	d := readDrawing(t, "drawings/rooms.dot")
	imported := imports(t, d.nodes)
	for e := range d.edges {
		test.True(t, imported[e], test.Sprintf("the drawing has an arrow from %s to %s, and no file of the first imports the second", e[0], e[1]))
	}
	for e := range imported {
		test.True(t, d.leads(e[0], e[1]), test.Sprintf("%s imports %s, and no arrows lead from the one to the other", e[0], e[1]))
	}
}

// leads reports whether arrows lead from one node to another.
func (d drawing) leads(from, to string) bool {
	visited, stack := map[string]bool{}, []string{from}
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for e := range d.edges {
			if e[0] == n && !visited[e[1]] {
				visited[e[1]] = true
				stack = append(stack, e[1])
			}
		}
	}
	return visited[to]
}

// imports finds who imports whom among rooms. A room is a folder with everything
// below it that lies in no smaller room.
func imports(t *testing.T, rooms map[string]bool) map[[2]string]bool {
	t.Helper()
	const module = "github.com/oakumhq/oakum/"
	room := func(folder string) string {
		for f := folder; f != "."; f = filepath.Dir(f) {
			if rooms[f] {
				return f
			}
		}
		return ""
	}
	found := map[[2]string]bool{}
	inhabited := map[string]bool{}
	must.NoError(t, filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != ".." && strings.HasPrefix(entry.Name(), ".") {
			return filepath.SkipDir
		}
		from := room(strings.TrimPrefix(filepath.Dir(path), "../"))
		if from == "" || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		inhabited[from] = true
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range file.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			in, ours := strings.CutPrefix(name, module)
			if to := room(in); ours && to != "" && to != from {
				found[[2]string{from, to}] = true
			}
		}
		return nil
	}))
	must.Eq(t, len(rooms), len(inhabited), must.Sprintf("rooms that are drawn, and those with code in them: %v", inhabited))
	return found
}

// readDrawing reads a DOT file's nodes and edges, those of its subgraphs included.
func readDrawing(t *testing.T, path string) drawing {
	t.Helper()
	file, err := dot.ParseFile(path)
	must.NoError(t, err)
	must.Len(t, 1, file.Graphs)
	d := drawing{nodes: map[string]bool{}, edges: map[[2]string]bool{}}
	d.take(file.Graphs[0].Stmts)
	must.MapNotEmpty(t, d.edges)
	return d
}

func (d drawing) take(statements []ast.Stmt) {
	for _, s := range statements {
		switch s := s.(type) {
		case *ast.NodeStmt:
			d.nodes[name(s.Node)] = true
		case *ast.Subgraph:
			d.take(s.Stmts)
		case *ast.EdgeStmt:
			from := name(s.From)
			for to := s.To; to != nil; to = to.To {
				d.edges[[2]string{from, name(to.Vertex)}] = true
				for _, a := range s.Attrs {
					if a.Key == "dir" && a.Val == "both" {
						d.edges[[2]string{name(to.Vertex), from}] = true
					}
				}
				from = name(to.Vertex)
			}
		}
	}
}

// name is a node's identity, without quotes; a drawing's edges join nodes only.
func name(v ast.Vertex) string { return strings.Trim(v.String(), `"`) }
