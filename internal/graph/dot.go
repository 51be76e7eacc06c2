package graph

import (
	"fmt"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// style is how an edge is drawn.
type style struct {
	dot     string // attributes of Graphviz
	mermaid string // arrow of Mermaid
}

func styleOf(s api.EdgeState) style {
	switch s {
	case api.EdgeConfirmed:
		return style{dot: `color="#2b5d34"`, mermaid: "-->"}
	case api.EdgeObservedUndeclared:
		return style{dot: `color="#b36b00"`, mermaid: "-->"}
	case api.EdgeObservedOffMesh:
		return style{dot: `color="#6a3d9a"`, mermaid: "-->"}
	case api.EdgeObservedDenied:
		return style{dot: `color="#b00020", penwidth=2`, mermaid: "==>"}
	case api.EdgeDeclaredOnly:
		return style{dot: `color="#5f6b76", style=dashed`, mermaid: "-.->"}
	case api.EdgeDeclaredStale:
		return style{dot: `color="#a9b2ba", style=dashed`, mermaid: "-.->"}
	case api.EdgeUnknown:
		return style{dot: `color="#3b6ea5", style=dashed`, mermaid: "-.->"}
	case api.EdgeDeniedAttempted:
		return style{dot: `color="#b00020", style=dashed, arrowhead=tee, constraint=false`, mermaid: "-.-x"}
	case api.EdgeDenied:
		return style{dot: `color="#b00020", style=dotted, arrowhead=tee, constraint=false`, mermaid: "-.-x"}
	case api.EdgeShared:
		return style{dot: `color="#8a94a0", style=dotted, dir=none, constraint=false`, mermaid: "-.-"}
	}
	return style{mermaid: "-->"}
}

// DOT writes the graph in Graphviz's language: critical services are filled,
// and an edge's line shows its state.
func DOT(g api.Graph) string {
	d := draw(g)
	var out strings.Builder
	out.WriteString("digraph application {\n")
	out.WriteString("  rankdir=LR;\n")
	out.WriteString("  node [shape=box, style=\"rounded,filled\", fillcolor=\"#eef2f5\", color=\"#44505c\", fontname=\"Helvetica\", fontsize=11];\n")
	out.WriteString("  edge [fontname=\"Helvetica\", fontsize=9];\n")
	for _, s := range d.graph.Services {
		fill := ""
		if len(d.critical[s.Name]) > 0 {
			fill = `, fillcolor="#f6d9a8"`
		}
		switch s.Kind {
		case api.KindGateway:
			fill += ", shape=hexagon"
		case api.KindOutside:
			fill += `, shape=ellipse, style=dashed`
		}
		fmt.Fprintf(&out, "  %s [label=%s%s];\n", quoteDOT(s.Name), quoteDOT(strings.Join(d.lines(s), "\n")), fill)
	}
	for _, e := range d.graph.Edges {
		fmt.Fprintf(&out, "  %s -> %s [%s];\n", quoteDOT(e.From), quoteDOT(e.To),
			strings.Join(nonEmpty(styleOf(e.State).dot, label(e)), ", "))
	}
	out.WriteString("}\n")
	return out.String()
}

// lines are what a service's box says.
func (d *drawing) lines(s api.Service) []string {
	c := d.rated[s.Name]
	lines := []string{s.Name}
	if s.Kind == api.KindOutside {
		lines = append(lines, "outside")
	} else {
		lines = append(lines, fmt.Sprintf("%d of %d healthy", s.Healthy, s.Instances))
	}
	if c.BlastRadiusMax > 0 {
		lines = append(lines, "blast radius "+radius(c))
	}
	if len(c.Dominates) > 0 {
		lines = append(lines, "single point for "+some(c.Dominates, 2))
	} else if c.SinglePoint {
		lines = append(lines, "single instance")
	}
	return lines
}

// label says the state of an edge that is not plainly confirmed, and its rate.
func label(e api.Edge) string {
	text := ""
	if e.State != api.EdgeConfirmed {
		text = stateWords(e.State)
	}
	rate := 0.0
	for _, evidence := range e.Evidence {
		rate += evidence.BytesPerSecond
	}
	if rate > 0 {
		text = strings.TrimSpace(text + "\n" + bytesPerSecond(rate))
	}
	if len(e.Via) > 0 {
		text = strings.TrimSpace(text + "\nthrough " + strings.Join(e.Via, ", "))
	}
	if text == "" {
		return ""
	}
	return "label=" + quoteDOT(text)
}

func nonEmpty(list ...string) []string {
	var out []string
	for _, s := range list {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

// quoteDOT writes a quoted identifier; a line feed becomes a centred line.
func quoteDOT(s string) string {
	s = strings.ReplaceAll(s, `\`, `\\`)
	s = strings.ReplaceAll(s, `"`, `\"`)
	return `"` + strings.ReplaceAll(s, "\n", `\n`) + `"`
}

// Mermaid writes the graph as a Mermaid flowchart.
func Mermaid(g api.Graph) string {
	d := draw(g)
	ids := make(map[string]string, len(d.graph.Services))
	var out strings.Builder
	out.WriteString("flowchart LR\n")
	node := func(name string, lines []string) {
		if _, ok := ids[name]; ok {
			return
		}
		ids[name] = fmt.Sprintf("s%d", len(ids))
		fmt.Fprintf(&out, "  %s[\"%s\"]\n", ids[name], quoteMermaid(lines))
	}
	for _, s := range d.graph.Services {
		node(s.Name, d.lines(s))
	}
	for _, e := range d.graph.Edges {
		node(e.From, []string{e.From})
		node(e.To, []string{e.To})
		arrow := styleOf(e.State).mermaid
		if e.State != api.EdgeConfirmed {
			arrow += "|" + stateWords(e.State) + "|"
		}
		fmt.Fprintf(&out, "  %s %s %s\n", ids[e.From], arrow, ids[e.To])
	}
	var critical []string
	for _, s := range d.graph.Services {
		if len(d.critical[s.Name]) > 0 {
			critical = append(critical, ids[s.Name])
		}
	}
	if len(critical) > 0 {
		out.WriteString("  classDef critical fill:#f6d9a8,stroke:#44505c\n")
		fmt.Fprintf(&out, "  class %s critical\n", strings.Join(critical, ","))
	}
	return out.String()
}

// quoteMermaid joins lines of a label; what could end the label or start markup
// is written as an entity.
func quoteMermaid(lines []string) string {
	escaped := make([]string, len(lines))
	for i, line := range lines {
		escaped[i] = strings.NewReplacer("&", "#amp;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", "#", "#35;", "\n", " ").Replace(line)
	}
	return strings.Join(escaped, "<br/>")
}
