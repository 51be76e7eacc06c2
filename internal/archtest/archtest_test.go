// Package archtest holds the rules of the house: which package may import
// which, and why. A broken rule fails with its reason.
package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

const module = "github.com/oakumhq/oakum"

// file is one parsed Go file of the module.
type file struct {
	path    string // from the root of the module, with slashes
	pkg     string // its folder
	imports []string
	lines   int
	ast     *ast.File
}

// pure packages take values and return values.
var pure = []string{
	"internal/graph",
	"internal/promql",
	"internal/spell",
	"internal/simulator/evidence",
	"internal/twin",
	"internal/stats",
	"internal/judge",
	"internal/judge/kayenta",
	"internal/kpi/convention",
	"internal/blame",
	"internal/calendar",
	"internal/planner",
	"internal/rollout",
	"internal/workload",
	"internal/inventory",
	"internal/advisory",
	"internal/access",
	"internal/glob",
	"internal/figure",
	"internal/fleet/agenda",
	"internal/fleet/load",
	"internal/nomad/sandbox/qemu",
	"internal/cli/view",
	"policies",
	"policies/changes",
	"policies/green",
	"policies/installed",
	"policies/lang",
	"policies/library",
	"policies/vocabulary",
	"server/state/levels",
	"server/state/versions",
}

// models hold a world in memory: they are given the time and a seed, so that one
// run is like the next.
var models = []string{"internal/fleet", "internal/fleet/adapter", "internal/fleet/mesh"}

// adapters are the only importers of a vendor's SDK.
var adapters = map[string][]string{
	"github.com/hashicorp/nomad/api":             {"internal/nomad", "internal/nomad/sandbox", "internal/nomad/sandbox/grouptask"},
	"github.com/hashicorp/consul/api":            {"internal/consul"},
	"github.com/hashicorp/vault/api":             {"internal/vault", "internal/vault/login"},
	"github.com/prometheus/client_golang/api":    {"internal/prometheus"},
	"github.com/prometheus/client_golang/api/v1": {"internal/prometheus"},
}

// components meet adapters through interfaces that they declare.
var components = []string{"internal/mapper", "internal/kpi", "internal/kpi/discover", "internal/profiler", "internal/canary", "internal/simulator", "internal/orchestrator", "internal/rehearsal", "internal/collector"}

// serverImports says which parts of the server each part of it may import. Package
// server wires them and may import all.
var serverImports = map[string][]string{
	"server/cluster":        {"server/cluster/disk", "server/cluster/port", "server/state", "server/state/levels"},
	"server/cluster/disk":   {"server/state", "server/state/levels"},
	"server/cluster/port":   {},
	"server/config":         {},
	"server/httpapi":        {},
	"server/service":        {"server/state", "server/state/levels"},
	"server/state":          {"server/state/clone", "server/state/levels", "server/state/readback", "server/state/versions"},
	"server/state/clone":    {},
	"server/state/levels":   {},
	"server/state/readback": {},
	"server/state/versions": {},
	"server/ui":             {},

	"server/cluster/disk/disktest": {},
}

func TestPurePackagesDoNoIO(t *testing.T) {
	banned := []string{
		"os", "os/exec", "net", "net/http", "context", "log", "log/slog", "sync", "sync/atomic",
		"math/rand", "math/rand/v2", "crypto/rand", "io/ioutil", "syscall", "os/signal", "database/sql",
	}
	for _, f := range sources(t) {
		if !slices.Contains(pure, f.pkg) {
			continue
		}
		for _, imp := range f.imports {
			must.SliceNotContains(t, banned, imp,
				must.Sprintf("%s imports %s: %s is pure, it is given values and returns values", f.path, imp, f.pkg))
			if in, ok := strings.CutPrefix(imp, module+"/"); ok {
				allowed := in == "api" || slices.Contains(pure, in)
				must.True(t, allowed, must.Sprintf("%s imports %s: a pure package imports only api and pure packages", f.path, in))
			}
		}
		checkPureBody(t, f)
	}
}

func TestModelsAreGivenTimeAndSeed(t *testing.T) {
	banned := []string{"os", "os/exec", "net", "net/http", "log", "log/slog", "sync", "sync/atomic", "math/rand", "crypto/rand", "syscall"}
	for _, f := range sources(t) {
		if !slices.Contains(models, f.pkg) {
			continue
		}
		for _, imp := range f.imports {
			must.SliceNotContains(t, banned, imp, must.Sprintf("%s imports %s: a model does no I/O and is shared by whoever locks it", f.path, imp))
			if in, ok := strings.CutPrefix(imp, module+"/"); ok {
				allowed := in == "api" || slices.Contains(pure, in) || slices.Contains(models, in)
				must.True(t, allowed, must.Sprintf("%s imports %s: a model imports only api, pure packages and models", f.path, in))
			}
			must.MapNotContainsKey(t, adapters, imp, must.Sprintf("%s imports %s: the model is ours, not a vendor's", f.path, imp))
		}
		checkPureBody(t, f)
	}
}

// checkPureBody finds clocks, goroutines and mutable package variables.
func checkPureBody(t *testing.T, f file) {
	t.Helper()
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if _, ok := n.(*ast.GoStmt); ok {
			t.Errorf("%s starts a goroutine: a pure package decides, it does not run", f.path)
		}
		return true
	})
	eachClock(f, func(name string) { t.Errorf("%s uses time.%s: a pure package is given now", f.path, name) })
	for _, d := range f.ast.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
			for _, s := range g.Specs {
				spec := s.(*ast.ValueSpec)
				embedded := g.Doc != nil && strings.Contains(g.Doc.Text()+docs(g), "go:embed")
				if spec.Names[0].Name != "_" && !embedded {
					t.Errorf("%s has the package variable %s: a pure package keeps nothing between calls", f.path, spec.Names[0].Name)
				}
			}
		}
	}
}

// eachClock calls found with each function of package time that a file uses and
// that looks at the clock.
func eachClock(f file, found func(name string)) {
	clocks := []string{"Now", "Since", "Until", "Sleep", "After", "NewTimer", "NewTicker"}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clocks, s.Sel.Name) {
				found(s.Sel.Name)
			}
		}
		return true
	})
}

// docs is the raw text of a declaration's comment, directives included.
func docs(g *ast.GenDecl) string {
	var b strings.Builder
	for _, c := range g.Doc.List {
		b.WriteString(c.Text)
	}
	return b.String()
}

func TestAPIIsPlainData(t *testing.T) {
	for _, f := range sources(t) {
		if f.pkg != "api" && f.pkg != "api/client" {
			continue
		}
		for _, imp := range f.imports {
			own := imp == module+"/api"
			must.True(t, own || !strings.Contains(strings.Split(imp, "/")[0], "."),
				must.Sprintf("%s imports %s: api is for everybody, so it needs nothing but the standard library", f.path, imp))
		}
	}
}

func TestOneAdapterPerVendor(t *testing.T) {
	for _, f := range sources(t) {
		if outside(f.pkg) {
			continue
		}
		for _, imp := range f.imports {
			if owners, ok := adapters[imp]; ok {
				must.SliceContains(t, owners, f.pkg, must.Sprintf("%s imports %s: only %s speaks to that vendor", f.path, imp, strings.Join(owners, " or ")))
			}
		}
	}
}

func TestComponentsMeetAdaptersThroughInterfaces(t *testing.T) {
	for _, f := range sources(t) {
		if !slices.Contains(components, f.pkg) {
			continue
		}
		for _, imp := range f.imports {
			for _, owners := range adapters {
				must.SliceNotContains(t, owners, strings.TrimPrefix(imp, module+"/"),
					must.Sprintf("%s imports %s: a component declares the small interface that it needs", f.path, imp))
			}
		}
	}
}

// TestServerPackages_MeetInTheServer keeps the parts of the server apart: the API
// knows the use cases by an interface of its own, and the use cases know neither
// the API nor the cluster.
func TestServerPackages_MeetInTheServer(t *testing.T) {
	for _, f := range sources(t) {
		known, ok := serverImports[f.pkg]
		if !ok {
			must.StrNotHasPrefix(t, "server/", f.pkg, must.Sprintf("%s: say in serverImports which parts of the server %s may import", f.path, f.pkg))
			continue
		}
		for _, imp := range f.imports {
			if in := strings.TrimPrefix(imp, module+"/"); in == "server" || strings.HasPrefix(in, "server/") {
				must.SliceContains(t, known, in, must.Sprintf("%s imports %s: they meet in package server, which wires them", f.path, in))
			}
		}
	}
}

// TestUseCases_AreGivenTheWorld lets the use cases import nothing but what decides
// and the replicated state.
func TestUseCases_AreGivenTheWorld(t *testing.T) {
	const useCases = "server/service"
	allowed := slices.Concat(pure, []string{"api", "server/state", "internal/rehearsal"})
	for _, f := range sources(t) {
		if f.pkg != useCases {
			continue
		}
		for _, imp := range f.imports {
			in, own := strings.CutPrefix(imp, module+"/")
			must.True(t, own || !strings.Contains(strings.Split(imp, "/")[0], "."),
				must.Sprintf("%s imports %s: the use cases need nothing but this module and the standard library", f.path, imp))
			if own {
				must.SliceContains(t, allowed, in, must.Sprintf("%s imports %s: declare the small interface that the use case needs in ports.go", f.path, in))
			}
			must.SliceNotContains(t, []string{"os", "net", "net/http", "crypto/rand", "math/rand", "math/rand/v2"}, imp,
				must.Sprintf("%s imports %s: the use cases are given identifiers, and do no I/O", f.path, imp))
		}
		eachClock(f, func(name string) { t.Errorf("%s uses time.%s: the use cases are given the clock", f.path, name) })
	}
}

func TestImportsPointOneWay(t *testing.T) {
	for _, f := range sources(t) {
		for _, imp := range f.imports {
			in, ok := strings.CutPrefix(imp, module+"/")
			if !ok || outside(f.pkg) {
				continue
			}
			if strings.HasPrefix(in, "server") {
				fine := strings.HasPrefix(f.pkg, "server") || strings.HasPrefix(f.pkg, "cmd")
				must.True(t, fine, must.Sprintf("%s imports %s: only cmd and the server itself know the server", f.path, in))
			}
			if strings.HasPrefix(f.pkg, "internal/cli") {
				allowed := []string{"api", "api/client", "internal/access", "internal/access/authtest", "internal/advisory", "internal/audit", "policies", "policies/policytest", "plugins/host", "plugins/conformance", "internal/appliance", "internal/appliance/manifests", "internal/durable", "internal/figure", "internal/graph", "internal/inventory", "internal/rehearsal", "internal/spell", "internal/cli/command", "internal/cli/input", "internal/cli/operating", "internal/cli/patching", "internal/cli/tokenfile", "internal/cli/view", "internal/workload", "internal/workload/proxy", "internal/workload/stub", "internal/sender", "internal/vault/login"}
				must.True(t, slices.Contains(allowed, in), must.Sprintf("%s imports %s: the CLI is a client of the API and knows what runs offline", f.path, in))
			}
			if in == "internal/cli/patching" || in == "internal/cli/operating" {
				must.EqOp(t, "internal/cli", f.pkg, must.Sprintf("%s imports %s: families of commands meet in the program only", f.path, in))
			}
			must.StrNotHasPrefix(t, "cmd/", in, must.Sprintf("%s imports %s: nothing imports a command", f.path, in))
			must.StrNotHasPrefix(t, "e2e", in, must.Sprintf("%s imports %s: the product does not know its tests", f.path, in))
			must.StrNotHasPrefix(t, "examples", in, must.Sprintf("%s imports %s: the product does not know its examples", f.path, in))
			must.False(t, in == "policies/lang" && !strings.HasPrefix(f.pkg, "policies"), must.Sprintf("%s imports %s: package policies and its parts say what is said in the language", f.path, in))
			must.SliceNotContains(t, []string{"internal/wait", "internal/recordings", "internal/kpi/kpitest", "internal/kpi/promtest", "internal/blame/blametest", "internal/log/logtest", "server/cluster/disk/disktest"}, in, must.Sprintf("%s imports %s: it is for tests", f.path, in))
			if f.pkg == "internal/kpi" {
				must.SliceNotContains(t, []string{"internal/profiler", "internal/canary"}, in, must.Sprintf("%s imports %s: samples walk one way", f.path, in))
			}
			if f.pkg == "internal/profiler" || f.pkg == "internal/canary" {
				must.SliceNotContains(t, []string{"internal/profiler", "internal/canary"}, in, must.Sprintf("%s imports %s: the judge is given a History", f.path, in))
			}
		}
	}
}

// TestFilesAreRooms keeps files short enough to be read in one go.
func TestFilesAreRooms(t *testing.T) {
	const most = 500
	for _, f := range sources(t) {
		must.LessEq(t, most, f.lines, must.Sprintf("%s has %d lines: split it by what its parts are for", f.path, f.lines))
	}
}

// TestPackages_AreNotTooLarge keeps packages small enough to be known as a whole.
// Tests do not count, generated code does.
func TestPackages_AreNotTooLarge(t *testing.T) {
	const most = 4000
	lines := map[string]int{}
	for _, f := range parsed(t, func(rel string) bool { return !strings.HasSuffix(rel, "_test.go") }) {
		lines[f.pkg] += f.lines
	}
	for pkg, n := range lines {
		must.LessEq(t, most, n, must.Sprintf("package %s has %d lines: give its parts packages of their own", pkg, n))
	}
}

// TestNoTestWaitsByTheClock lets tests sleep only where there is a synctest
// bubble, in which it takes no time. The linter looks after all other code.
func TestNoTestWaitsByTheClock(t *testing.T) {
	tests := parsed(t, func(rel string) bool { return strings.HasSuffix(rel, "_test.go") })
	bubble := map[string]bool{}
	for _, f := range tests {
		bubble[f.pkg] = bubble[f.pkg] || slices.Contains(f.imports, "testing/synctest")
	}
	for _, f := range tests {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && !bubble[f.pkg] {
				x, _ := s.X.(*ast.Ident)
				must.False(t, x != nil && x.Name == "time" && s.Sel.Name == "Sleep",
					must.Sprintf("%s sleeps: wait on a condition with a deadline", f.path))
			}
			return true
		})
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	documented := map[string]bool{}
	for _, f := range sources(t) {
		documented[f.pkg] = documented[f.pkg] || f.ast.Doc != nil
	}
	for pkg, ok := range documented {
		must.True(t, ok, must.Sprintf("package %s has no package comment", pkg))
	}
}

// outside reports whether a package is not part of the product.
func outside(pkg string) bool {
	return strings.HasPrefix(pkg, "e2e") || strings.HasPrefix(pkg, "examples")
}

// sources parses every Go file of the module that is neither a test nor
// generated.
func sources(t *testing.T) []file {
	t.Helper()
	return parsed(t, func(rel string) bool {
		return !strings.HasSuffix(rel, "_test.go") && !strings.HasSuffix(rel, ".pb.go")
	})
}

// parsed parses the Go files of the module that keep asks for.
func parsed(t *testing.T, keep func(rel string) bool) []file {
	t.Helper()
	root := "../.."
	var out []file
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := filepath.ToSlash(strings.TrimPrefix(path, root+"/"))
		if d.IsDir() {
			_, nested := os.Stat(filepath.Join(path, "go.mod"))
			if path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || nested == nil) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") || !keep(rel) {
			return nil
		}
		out = append(out, parse(t, path, rel))
		return nil
	})
	must.NoError(t, err)
	must.Greater(t, 50, len(out), must.Sprint("the walk must find the house"))
	return out
}

func parse(t *testing.T, path, rel string) file {
	t.Helper()
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, path, nil, parser.ParseComments)
	must.NoError(t, err)
	f := file{path: rel, pkg: filepath.ToSlash(filepath.Dir(rel)), ast: tree, lines: set.File(tree.Pos()).LineCount()}
	for _, i := range tree.Imports {
		name, err := strconv.Unquote(i.Path.Value)
		must.NoError(t, err)
		f.imports = append(f.imports, name)
	}
	return f
}
