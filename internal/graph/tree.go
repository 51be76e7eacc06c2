package graph

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// Tree writes what each entry depends on, as an indented tree. A service that was
// written above is named again without its branch.
func Tree(g api.Graph) string {
	d := draw(g)
	below := make(map[string][]api.Edge)
	for _, e := range d.graph.Edges {
		if e.State.Possible() {
			below[e.From] = append(below[e.From], e)
		}
	}
	var out strings.Builder
	t := &treeWriter{out: &out, drawing: d, below: below, written: make(map[string]bool), health: make(map[string]string)}
	for _, s := range d.graph.Services {
		t.health[s.Name] = fmt.Sprintf("%d/%d", s.Healthy, s.Instances)
	}
	for _, entry := range d.analysis.Entries() {
		if t.written[entry] {
			continue // a cycle of entries is one tree
		}
		out.WriteString(t.label(entry, "") + "\n")
		t.branch(entry, "")
	}
	writeSources(&out, slices.DeleteFunc(slices.Clone(d.graph.Sources), func(s api.SourceStatus) bool { return s.State() == api.SourceWhole }))
	return out.String()
}

type treeWriter struct {
	out     *strings.Builder
	drawing *drawing
	below   map[string][]api.Edge
	written map[string]bool
	health  map[string]string
}

// label is one line's text: name, health, state of the edge that led here.
func (t *treeWriter) label(name string, state api.EdgeState) string {
	notes := []string{t.health[name]}
	if notes[0] == "" {
		notes[0] = "0/0"
	}
	if len(t.drawing.critical[name]) > 0 {
		notes = append(notes, "critical")
	}
	if state != "" && state != api.EdgeConfirmed {
		notes = append(notes, stateWords(state))
	}
	return name + " (" + strings.Join(notes, ", ") + ")"
}

// branch writes what a service depends on. Depth is bounded by the number of
// services, since each is written out once.
func (t *treeWriter) branch(name, indent string) {
	t.written[name] = true
	edges := t.below[name]
	for i, e := range edges {
		connector, next := "├── ", "│   "
		if i == len(edges)-1 {
			connector, next = "└── ", "    "
		}
		t.out.WriteString(indent + connector + t.label(e.To, e.State))
		if t.written[e.To] {
			if len(t.below[e.To]) > 0 {
				t.out.WriteString(" see above")
			}
			t.out.WriteString("\n")
			continue
		}
		t.out.WriteString("\n")
		t.branch(e.To, indent+next)
	}
}
