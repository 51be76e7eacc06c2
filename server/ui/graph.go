package ui

import (
	"net/url"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// graphPage is the graph, and one service of it that was chosen.
type graphPage struct {
	Services, Edges int
	Weak            []api.SourceStatus // sources that are not whole
	Colour          string
	Colours         []chip
	Query           url.Values
	One             *serviceView
}

// serviceView is one service with its edges.
type serviceView struct {
	api.Service
	Criticality   api.Criticality
	Impact        api.GraphImpact
	Needs, NeedIt []api.Edge
	Attempts      []api.Edge // pairs that are refused: no edges
	Shared        []api.Edge // pairs that have a node, a rack or a volume in common
	Rollouts      []api.Rollout
}

func graphView(v *visit) (screen, error) {
	var g api.Graph
	if err := v.ask.get("/v1/graph", nil, &g); err != nil {
		return screen{}, err
	}
	out := graphPage{Services: len(g.Services), Colour: v.query("colour"), Query: v.r.URL.Query()}
	for _, e := range g.Edges {
		if e.State.Possible() {
			out.Edges++
		}
	}
	for _, s := range g.Sources {
		if s.State() != api.SourceWhole {
			out.Weak = append(out.Weak, s)
		}
	}
	if !slices.Contains(colours(), out.Colour) {
		out.Colour = colours()[0]
	}
	for _, c := range colours() {
		out.Colours = append(out.Colours, chip{Name: c, URL: link("/ui/graph", out.Query, "colour", c), On: c == out.Colour})
	}
	shown := screen{page: "graph", title: "Graph", nav: "graph", scripts: []string{"graph.js"}}
	if name := strings.TrimSpace(v.query("service")); name != "" {
		one, err := chosen(v, g, name)
		if err != nil {
			shown.err, shown.status = err, known(err).Code.HTTPStatus()
		}
		out.One = one
		shown.title = name + " · Graph"
	}
	shown.body = out
	return shown, nil
}

// colours are what the services may be coloured by.
func colours() []string { return []string{"criticality", "rollout", "health"} }

func chosen(v *visit, g api.Graph, name string) (*serviceView, error) {
	at := slices.IndexFunc(g.Services, func(s api.Service) bool { return s.Name == name })
	if at < 0 {
		return nil, api.Errorf(api.CodeNotFound, "service %q: the graph has none of that name", name)
	}
	one := &serviceView{Service: g.Services[at]}
	if err := v.ask.get("/v1/graph/impact/"+url.PathEscape(name), nil, &one.Impact); err != nil {
		return nil, err
	}
	one.Criticality = one.Impact.Criticality
	for _, e := range g.Edges {
		mine := e.From == name || e.To == name
		switch {
		case !mine:
		case e.State == api.EdgeShared:
			one.Shared = append(one.Shared, e)
		case !e.State.Possible():
			one.Attempts = append(one.Attempts, e)
		case e.From == name:
			one.Needs = append(one.Needs, e)
		default:
			one.NeedIt = append(one.NeedIt, e)
		}
	}
	var all []api.Rollout
	if err := v.ask.get("/v1/rollouts", nil, &all); err != nil {
		return nil, err
	}
	for _, r := range all {
		if !r.Status.Ended() && slices.Contains(one.Targets, r.Target) {
			one.Rollouts = append(one.Rollouts, r)
		}
	}
	return one, nil
}

// drawing is the graph as the script draws it: short names, since it may have thousands of
// services.
type drawing struct {
	Nodes []drawnNode `json:"nodes"`
	Edges []drawnEdge `json:"edges"`
}

type drawnNode struct {
	ID      string  `json:"id"`
	Kind    string  `json:"kind,omitempty"`
	Score   float64 `json:"score"`
	Blast   int     `json:"blast"`
	Crit    bool    `json:"critical,omitempty"`
	Count   int     `json:"count"`
	Sick    int     `json:"sick,omitempty"`    // instances that are not healthy
	Rollout string  `json:"rollout,omitempty"` // colour of the open rollout's status
}

type drawnEdge struct {
	From  string  `json:"source"`
	To    string  `json:"target"`
	State string  `json:"state"`
	Rate  float64 `json:"rate,omitempty"` // requests/s
}

// graphData is what the script draws.
func graphData(v *visit) (screen, error) {
	var g api.Graph
	if err := v.ask.get("/v1/graph", nil, &g); err != nil {
		return screen{}, err
	}
	var all []api.Rollout
	if err := v.ask.get("/v1/rollouts", nil, &all); err != nil {
		return screen{}, err
	}
	return screen{data: draw(g, all)}, nil
}

func draw(g api.Graph, rollouts []api.Rollout) drawing {
	out := drawing{Nodes: make([]drawnNode, len(g.Services)), Edges: []drawnEdge{}}
	score := map[string]api.Criticality{}
	for _, c := range g.Criticality {
		score[c.Service] = c
	}
	critical, moving := map[api.TargetRef]bool{}, map[api.TargetRef]string{}
	for _, t := range g.Targets {
		critical[t.Target.TargetRef] = t.Critical
	}
	for i := range rollouts {
		if !rollouts[i].Status.Ended() {
			moving[rollouts[i].Target] = markOf(rollouts[i].Status)
		}
	}
	for i, s := range g.Services {
		c := score[s.Name]
		n := drawnNode{ID: s.Name, Kind: s.Kind, Score: c.Score, Blast: c.BlastRadius, Count: s.Instances, Sick: max(s.Instances-s.Healthy, 0)}
		for _, ref := range s.Targets {
			n.Crit = n.Crit || critical[ref]
			if m := moving[ref]; m != "" {
				n.Rollout = m
			}
		}
		out.Nodes[i] = n
	}
	for _, e := range g.Edges {
		if e.State.Possible() {
			out.Edges = append(out.Edges, drawnEdge{e.From, e.To, string(e.State), rate(e)})
		}
	}
	return out
}

// rate is the most that one source has seen of an edge, in requests a second: sources see
// the same requests.
func rate(e api.Edge) (most float64) {
	for _, ev := range e.Evidence {
		most = max(most, ev.RequestsPerSecond)
	}
	return most
}
