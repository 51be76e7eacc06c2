package graph

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/oakumhq/oakum/api"
)

// drawing is a graph prepared for rendering: ratings by service, and whether the
// policies call its targets critical.
type drawing struct {
	graph    api.Graph
	analysis *Analysis
	rated    map[string]api.Criticality
	critical map[string][]api.TargetView // service → its critical targets
	targets  map[string][]api.TargetView // service → all of its targets
}

func draw(g api.Graph) *drawing {
	viewed, analysis := View(g)
	d := &drawing{graph: viewed, analysis: analysis, rated: make(map[string]api.Criticality),
		critical: make(map[string][]api.TargetView), targets: make(map[string][]api.TargetView)}
	if len(g.Criticality) > 0 {
		d.graph.Criticality = g.Criticality // as the server decided by it
	}
	for _, c := range d.graph.Criticality {
		d.rated[c.Service] = c
	}
	views := make(map[api.TargetRef]api.TargetView, len(g.Targets))
	for _, v := range g.Targets {
		views[v.Target.TargetRef] = v
	}
	for _, s := range g.Services {
		for _, ref := range s.Targets {
			v, ok := views[ref]
			if !ok {
				continue
			}
			d.targets[s.Name] = append(d.targets[s.Name], v)
			if v.Critical {
				d.critical[s.Name] = append(d.critical[s.Name], v)
			}
		}
	}
	return d
}

// lineMax is how many characters a line of Table has at most: two such terminals stand
// side by side on a screen.
const lineMax = 100

// Table writes services, edges and sources as text tables for a terminal. Each service
// and each edge has one line of at most 100 characters; names and reasons that are too
// long are cut. With evidence, each evidence of an edge has a line, and nothing is cut.
func Table(g api.Graph, evidence bool) string {
	d := draw(g)
	var out strings.Builder
	d.writeServices(&out, evidence)
	out.WriteString("\n")
	if evidence {
		d.writeEvidence(&out)
	} else {
		d.writeEdges(&out)
	}
	d.writeShared(&out)
	d.writeUnproven(&out)
	d.writeSources(&out)
	return out.String()
}

// table aligns cells in columns. Each row has as many cells as the head.
func table(out *strings.Builder, head []string, rows [][]string) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for _, row := range append([][]string{head}, rows...) {
		// The last cell is not padded, so that no line ends in blanks.
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // out is memory
}

// fit makes the widest of some columns narrower until a row has at most lineMax characters,
// and cuts the cells that are wider. The head keeps its words.
func fit(head []string, rows [][]string, narrower ...int) {
	widths, total := make([]int, len(head)), 2*(len(head)-1)
	for i := range widths {
		for _, row := range append([][]string{head}, rows...) {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		total += widths[i]
	}
	for ; total > lineMax; total-- {
		widest := narrower[0]
		for _, i := range narrower {
			if widths[i]-len(head[i]) > widths[widest]-len(head[widest]) {
				widest = i
			}
		}
		if widths[widest] <= len(head[widest]) {
			return
		}
		widths[widest]--
	}
	for _, row := range rows {
		for i, cell := range row {
			if letters := []rune(cell); len(letters) > widths[i] {
				row[i] = strings.TrimRight(string(letters[:widths[i]-1]), " ,") + "…"
			}
		}
	}
}

func (d *drawing) writeServices(out *strings.Builder, whole bool) {
	rows := make([][]string, 0, len(d.graph.Services))
	for _, s := range d.graph.Services {
		c := d.rated[s.Name]
		rows = append(rows, []string{s.Name, fmt.Sprintf("%d/%d", s.Healthy, s.Instances), d.criticalWord(s.Name),
			radius(c), strconv.FormatFloat(c.Score, 'f', 2, 64), singlePoint(c, whole), d.why(s.Name, c)})
	}
	if len(rows) == 0 {
		out.WriteString("No services are known yet.\n")
		return
	}
	head := []string{"Service", "Healthy", "Critical", "Blast radius", "Score", "Single point", "Why"}
	if !whole {
		fit(head, rows, 0, 5, 6)
	}
	table(out, head, rows)
}

// criticalWord says whether the policies call a service critical. It is empty for
// a service without targets, since such a service can't be patched.
func (d *drawing) criticalWord(service string) string {
	switch {
	case len(d.critical[service]) > 0:
		return "yes"
	case len(d.targets[service]) > 0:
		return "no"
	}
	return "-"
}

// radius is the blast radius, with its upper bound when that is larger.
func radius(c api.Criticality) string {
	if c.BlastRadiusMax > c.BlastRadius {
		return fmt.Sprintf("%d to %d", c.BlastRadius, c.BlastRadiusMax)
	}
	return strconv.Itoa(c.BlastRadius)
}

// singlePoint says for whom a service is one: in whole for three services, else for one.
func singlePoint(c api.Criticality, whole bool) string {
	switch {
	case len(c.Dominates) > 0 && whole:
		return "for " + some(c.Dominates, 3)
	case len(c.Dominates) > 0:
		return "for " + some(c.Dominates, 1)
	case c.SinglePoint:
		return "one instance"
	}
	return "no"
}

// why says why a service is critical: the policy's reason when a policy has one,
// else the parts of the score.
func (d *drawing) why(service string, c api.Criticality) string {
	for _, list := range [...][]api.TargetView{d.critical[service], d.targets[service]} {
		for _, v := range list {
			if v.Why != "" {
				return v.Why
			}
		}
	}
	reasons := make([]string, 0, len(c.Parts))
	for _, p := range c.Parts {
		reasons = append(reasons, p.Reason)
	}
	if len(reasons) == 0 {
		return "no service depends on it"
	}
	return strings.Join(reasons, "; ")
}

// some lists the first names and how many more there are.
func some(names []string, limit int) string {
	if len(names) <= limit {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:limit], ", "), len(names)-limit)
}

// noEdges is what stands in the place of a table of edges.
const noEdges = "No edges are known yet.\n"

// writeEdges writes one line for each edge: its state, its traffic, and who told of it.
func (d *drawing) writeEdges(out *strings.Builder) {
	var rows [][]string
	for _, e := range d.graph.Edges {
		if e.State == api.EdgeShared {
			continue
		}
		sources := map[string]bool{}
		for _, evidence := range e.Evidence {
			if evidence.Class != api.EvidenceShared {
				sources[evidence.Source] = true
			}
		}
		known := strings.Join(sortedKeys(sources), ", ")
		if len(sources) > 1 {
			known = plural(len(sources), "source", "sources")
		}
		rows = append(rows, []string{e.From, through(e), stateWords(e.State), d.traffic(e), cmp.Or(known, "-")})
	}
	if len(rows) == 0 {
		out.WriteString(noEdges)
		return
	}
	head := []string{"From", "Depends on", "State", "Traffic", "Known by"}
	fit(head, rows, 0, 1, 4)
	table(out, head, rows)
}

// through is what an edge leads to, with the gateways on the way.
func through(e api.Edge) string {
	if len(e.Via) == 0 {
		return e.To
	}
	return e.To + " through " + strings.Join(e.Via, ", ")
}

// traffic is what the source that saw most of an edge's traffic says of it: requests and
// errors where they are counted, else bytes, else when there was any.
func (d *drawing) traffic(e api.Edge) string {
	var most api.Evidence
	for _, evidence := range e.Evidence {
		if evidence.Class != api.EvidenceObserved && !evidence.Attempt {
			continue
		}
		if most.Source == "" || cmp.Or(cmp.Compare(evidence.RequestsPerSecond, most.RequestsPerSecond),
			cmp.Compare(evidence.BytesPerSecond, most.BytesPerSecond), evidence.LastSeen.Compare(most.LastSeen)) > 0 {
			most = evidence
		}
	}
	var figures []string
	if most.RequestsPerSecond > 0 {
		figures = append(figures, rate(most.RequestsPerSecond)+"/s")
	}
	if most.ErrorsPerSecond > 0 {
		figures = append(figures, rate(most.ErrorsPerSecond)+" errors/s")
	}
	switch age := d.graph.At.Sub(most.LastSeen); {
	case len(figures) > 0:
		return strings.Join(figures, ", ")
	case most.BytesPerSecond > 0:
		return bytesPerSecond(most.BytesPerSecond)
	case !most.LastSeen.IsZero() && age > 0:
		return age.Round(time.Second).String() + " ago"
	case most.Source != "":
		return "none now"
	}
	return "-"
}

// rate writes a figure with three digits, or with all of them before the point.
func rate(x float64) string {
	if x >= 1000 {
		return strconv.FormatFloat(x, 'f', 0, 64)
	}
	return fmt.Sprintf("%.3g", x)
}

// writeEvidence writes one line for each evidence of each edge.
func (d *drawing) writeEvidence(out *strings.Builder) {
	var rows [][]string
	for _, e := range d.graph.Edges {
		if e.State == api.EdgeShared {
			continue
		}
		from, to, state := e.From, through(e), stateWords(e.State)
		for _, evidence := range e.Evidence {
			if evidence.Class == api.EvidenceShared {
				continue
			}
			rows = append(rows, []string{from, to, state, d.evidence(evidence)})
			from, to, state = "", "", ""
		}
		if from != "" {
			rows = append(rows, []string{from, to, state, "-"})
		}
	}
	if len(rows) == 0 {
		out.WriteString(noEdges)
		return
	}
	table(out, []string{"From", "Depends on", "State", "Evidence"}, rows)
}

func stateWords(s api.EdgeState) string { return strings.ReplaceAll(string(s), "_", " ") }

// evidence writes one evidence. Ages count back from the time of the graph.
func (d *drawing) evidence(e api.Evidence) string {
	text := string(e.Class) + " by " + e.Source
	if e.Attempt {
		text = "attempts seen by " + e.Source
	}
	var notes []string
	if e.Detail != "" {
		notes = append(notes, e.Detail)
	}
	if e.Class == api.EvidenceAllowed && !e.Exact {
		notes = append(notes, "not by name")
	}
	if e.Conditional {
		notes = append(notes, "for some requests")
	}
	notes = append(notes, figures(e)...)
	if !e.FirstSeen.IsZero() {
		notes = append(notes, "since "+e.FirstSeen.UTC().Format("2006-01-02 15:04:05"))
	}
	if age := d.graph.At.Sub(e.LastSeen); !e.LastSeen.IsZero() && e.BytesPerSecond == 0 && age > 0 {
		notes = append(notes, "last seen "+age.Round(time.Second).String()+" ago")
	}
	if n := e.Days.Count(); n > 1 {
		notes = append(notes, fmt.Sprintf("on %d days", n))
	}
	if len(notes) == 0 {
		return text
	}
	return text + ": " + strings.Join(notes, ", ")
}

// figures writes the figures of an evidence.
func figures(e api.Evidence) []string {
	var out []string
	if e.BytesPerSecond > 0 {
		out = append(out, bytesPerSecond(e.BytesPerSecond))
	}
	if e.RequestsPerSecond > 0 {
		out = append(out, fmt.Sprintf("%.3g requests/s", e.RequestsPerSecond))
	}
	if e.ErrorsPerSecond > 0 {
		out = append(out, fmt.Sprintf("%.3g errors/s", e.ErrorsPerSecond))
	}
	if e.LatencySeconds > 0 {
		out = append(out, fmt.Sprintf("%.3g ms", e.LatencySeconds*1e3))
	}
	if e.Endpoints > 0 {
		out = append(out, fmt.Sprintf("%d of %d endpoints healthy", e.Healthy, e.Endpoints))
	}
	return out
}

func bytesPerSecond(x float64) string {
	for _, unit := range [...]string{"B/s", "kB/s", "MB/s"} {
		if x < 1000 {
			return strconv.FormatFloat(x, 'f', precision(x), 64) + " " + unit
		}
		x /= 1000
	}
	return strconv.FormatFloat(x, 'f', 1, 64) + " GB/s"
}

// precision is the number of decimals that leaves about three digits.
func precision(x float64) int {
	if x < 10 {
		return 1
	}
	return 0
}

// writeShared lists the services that share a node, one line for each node.
func (d *drawing) writeShared(out *strings.Builder) {
	on := make(map[string]map[string]bool)
	for _, e := range d.graph.Edges {
		for _, evidence := range e.Evidence {
			if evidence.Class == api.EvidenceShared {
				if on[evidence.Detail] == nil {
					on[evidence.Detail] = make(map[string]bool)
				}
				on[evidence.Detail][e.From], on[evidence.Detail][e.To] = true, true
			}
		}
	}
	for i, where := range sortedKeys(on) {
		if i == 0 {
			out.WriteString("\nTogether in one place, with at least half of their instances:\n")
		}
		fmt.Fprintf(out, "  %s: %s\n", where, strings.Join(sortedKeys(on[where]), ", "))
	}
}

// writeUnproven warns when the certain graph lacks edges of the possible graph.
func (d *drawing) writeUnproven(out *strings.Builder) {
	n := 0
	for _, e := range d.graph.Edges {
		if e.State.Possible() && !e.State.Certain() {
			n++
		}
	}
	if n > 0 {
		fmt.Fprintf(out, "\n%s without traffic as proof: the larger figure of a blast radius counts them.\n",
			plural(n, "edge is declared", "edges are declared"))
	}
}

func (d *drawing) writeSources(out *strings.Builder) { writeSources(out, d.graph.Sources) }

func writeSources(out *strings.Builder, sources []api.SourceStatus) {
	if len(sources) == 0 {
		return
	}
	rows := make([][]string, 0, len(sources))
	for _, s := range sources {
		state := string(s.State())
		if s.State() == api.SourceWhole {
			state = "answers"
		}
		note := strings.Join(strings.Fields(s.Error+" "+s.Partial), " ")
		if s.Failures > 0 {
			note = plural(s.Failures, "try failed", "tries failed") + ": " + note
		}
		since := s.Since
		if s.Failures > 0 {
			since = s.Failing
		}
		rows = append(rows, []string{s.Name, state, stampText(since), stampText(s.LastOK), cmp.Or(note, "-")})
	}
	out.WriteString("\n")
	table(out, []string{"Source", "State", "Since", "Last answer", "Note"}, rows)
}

func stampText(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
