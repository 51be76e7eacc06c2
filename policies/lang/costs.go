package lang

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

const (
	// loopStepsMax bounds what the for expressions of a file do together: the parts of each
	// one's collection times the parts of the whole. Real ones have below a thousand.
	loopStepsMax = 1 << 18
	// readsMax bounds what the calls of file() in a source return together, in bytes. The API
	// takes at most 12 MiB of files.
	readsMax = 64 << 20
)

// checkCosts refuses what could take a server's processor or memory for long: nested for
// expressions, large lists made for each element of large lists, and many calls of file()
// for a large file. It evaluates no loop, so that it can come before what does.
func (s *Source) checkCosts(node hclsyntax.Node, files map[string]string) {
	w := &costWalker{source: s, files: files, times: 1}
	_ = hclsyntax.Walk(node, w)
}

// costWalker adds up what a source asks for.
type costWalker struct {
	source *Source
	files  map[string]string // that came along
	around int               // for expressions around the node
	times  int               // at most, that they evaluate the node
	steps  int               // of those so far
	reads  int               // bytes that file() returns so far
}

// Enter looks at one node on the way down.
func (w *costWalker) Enter(node hclsyntax.Node) hcl.Diagnostics {
	switch n := node.(type) {
	case *hclsyntax.ForExpr:
		w.enterFor(n)
	case *hclsyntax.FunctionCallExpr:
		if n.Name == "file" && len(n.Args) > 0 {
			w.enterFile(n)
		}
	}
	return nil
}

// Exit looks at one node on the way up.
func (w *costWalker) Exit(node hclsyntax.Node) hcl.Diagnostics {
	if _, ok := node.(*hclsyntax.ForExpr); ok {
		if w.around--; w.around == 0 {
			w.times = 1
		}
	}
	return nil
}

func (w *costWalker) enterFor(n *hclsyntax.ForExpr) {
	w.around++
	switch w.around {
	case 1:
		w.times = parts(n.CollExpr)
		before := w.steps
		if w.steps += w.times * parts(n); before <= loopStepsMax && w.steps > loopStepsMax {
			w.source.Problem(n.SrcRange, "Too many steps", "The for expressions of the file make too much of lists that are too long.")
		}
	case 2:
		w.source.Problem(n.SrcRange, "Nested for", "A for expression can't stand inside another one.")
	}
}

func (w *costWalker) enterFile(n *hclsyntax.FunctionCallExpr) {
	size := 0
	for _, text := range w.files { // a path that isn't plain may be that of the largest
		size = max(size, len(text))
	}
	if literal, ok := n.Args[0].(*hclsyntax.TemplateExpr); ok && literal.IsStringLiteral() {
		if path, diags := literal.Value(nil); !diags.HasErrors() && path.Type() == cty.String {
			size = len(w.files[path.AsString()])
		}
	}
	before := w.reads
	if w.reads += w.times * size; before <= readsMax && w.reads > readsMax {
		w.source.Problem(n.Range(), "Too much of files", "The calls of file() return more than %d MiB together.", readsMax>>20)
	}
}

// parts counts the expressions of which one is made, itself included.
func parts(expr hclsyntax.Expression) int {
	count := 0
	_ = hclsyntax.VisitAll(expr, func(hclsyntax.Node) hcl.Diagnostics { count++; return nil })
	return count
}
