package state

import (
	"fmt"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state/levels"
)

// GraphChange stores what the mapper learned: only what is different.
type GraphChange struct {
	api.GraphChange
}

// Type is the command's number.
func (*GraphChange) Type() Type { return TypeGraphChange }

func (g *GraphChange) apply(c *change) error {
	if err := g.check(); err != nil {
		return err
	}
	c.graph = true
	c.touch(api.TopicGraph)
	var text tally
	for _, pair := range g.RemoveEdges {
		text.count("edges gone", c.t.edges.remove(c.txn, edgeKey(pair[0], pair[1])))
	}
	for i := range g.Edges {
		e := &g.Edges[i]
		old := c.t.edges.get(c.txn, edgeKey(e.From, e.To))
		text.count("edges new", old == nil)
		text.count("edges of another state", old != nil && old.State != e.State)
		c.t.edges.put(c.txn, e)
	}
	for _, name := range g.RemoveServices {
		text.count("services gone", c.t.services.remove(c.txn, name))
	}
	for i := range g.Services {
		text.count("services new", c.t.services.get(c.txn, g.Services[i].Name) == nil)
		c.t.services.put(c.txn, &g.Services[i])
	}
	for _, ref := range g.RemoveTargets {
		text.count("targets gone", c.t.targets.remove(c.txn, targetKey(ref)))
	}
	for i := range g.Targets {
		text.count("targets new", c.t.targets.get(c.txn, targetKey(g.Targets[i].TargetRef)) == nil)
		c.t.targets.put(c.txn, &g.Targets[i])
	}
	if words := text.String(); words != "" || g.Delta != nil {
		if words == "" {
			words = "see what it says"
		}
		c.event(api.TopicGraph, "graph_changed", "graph", "the graph changed: "+words, g.delta())
	}
	g.putSources(c)
	for _, name := range g.RemoveSources {
		if c.t.sources.remove(c.txn, name) {
			c.event(api.TopicGraph, "source_removed", name, fmt.Sprintf("source %s is not configured any more and is forgotten", name), nil)
		}
	}
	return nil
}

// delta is the event's payload; a nil pointer in an interface would not be none.
func (g *GraphChange) delta() any {
	if g.Delta == nil {
		return nil
	}
	return g.Delta
}

// check refuses rows without a key.
func (g *GraphChange) check() error {
	for i := range g.Edges {
		if g.Edges[i].From == "" || g.Edges[i].To == "" {
			return api.Errorf(api.CodeInvalid, "graph: edge %d: want the services at both its ends", i)
		}
	}
	for i := range g.Services {
		if err := named("graph: service", g.Services[i].Name); err != nil {
			return err
		}
	}
	for i := range g.Targets {
		if err := checkTarget("graph", g.Targets[i].TargetRef); err != nil {
			return err
		}
	}
	for i := range g.Sources {
		if err := named("graph: source", g.Sources[i].Name); err != nil {
			return err
		}
	}
	return nil
}

// putSources stores how far the sources can be trusted, with an event for each
// that was lost or came back.
func (g *GraphChange) putSources(c *change) {
	for i := range g.Sources {
		s := &g.Sources[i]
		old := c.t.sources.get(c.txn, s.Name)
		c.t.sources.put(c.txn, s)
		switch {
		case s.OK && (old == nil || !old.OK):
			c.event(api.TopicGraph, "source_answers", s.Name, fmt.Sprintf("source %s answers", s.Name), s)
		case !s.OK && (old == nil || old.OK):
			text := fmt.Sprintf("source %s does not answer: %s", s.Name, s.Error)
			if s.Failures > 0 {
				text = "source " + s.String()
			}
			c.event(api.TopicGraph, "source_lost", s.Name, text, s)
		}
	}
}

// tally counts what happened, in the order in which it was first asked.
type tally struct {
	names  []string
	counts []int
}

func (t *tally) count(name string, happened bool) {
	if !happened {
		return
	}
	for i, have := range t.names {
		if have == name {
			t.counts[i]++
			return
		}
	}
	t.names, t.counts = append(t.names, name), append(t.counts, 1)
}

// String lists what happened at least once.
func (t *tally) String() string {
	parts := make([]string, len(t.names))
	for i, name := range t.names {
		parts[i] = fmt.Sprintf("%d %s", t.counts[i], name)
	}
	return strings.Join(parts, ", ")
}

// LevelSet raises the cluster level by one, which lets newer commands in. The
// leader asks for it when every server supports the level.
type LevelSet struct {
	Level int `json:"level"`
}

// Type is the command's number.
func (*LevelSet) Type() Type { return TypeLevelSet }

func (*LevelSet) level() int { return 1 }

func (l *LevelSet) apply(c *change) error {
	if now := c.old.Level; l.Level != now+1 {
		return api.Errorf(api.CodeConflict, "the cluster level is %d and only ever rises by one, not to %d", now, l.Level)
	}
	if l.Level > levels.Supported {
		return &unknownError{fmt.Sprintf("it raises the cluster to level %d", l.Level)}
	}
	c.level = l.Level
	return nil
}
