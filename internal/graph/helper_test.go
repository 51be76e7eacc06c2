package graph_test

import (
	"cmp"
	"flag"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

var update = flag.Bool("update", false, "write the golden files")

func sortGraph(g *api.Graph) {
	slices.SortFunc(g.Services, func(a, b api.Service) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(g.Edges, func(a, b api.Edge) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	slices.SortFunc(g.Targets, func(a, b api.TargetView) int { return a.Target.Compare(b.Target.TargetRef) })
}

// noon and day measure time in tests.
var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour
