package graph_test

import (
	"flag"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

var plotTo = flag.String("plot", "", "write the growth of time and memory to this SVG file")

// growth is what one size cost.
type growth struct {
	services int
	whole    time.Duration // an analysis from nothing
	step     time.Duration // one changed edge, mean of some
	heap     uint64        // what the analysis keeps
}

// stepsOf is over how many changed edges a step's time is averaged. Above 32,768
// services reachability is not kept, and a step costs as much as the whole.
func stepsOf(services int) int {
	if services > 32_768 {
		return 1
	}
	return 64
}

func grow(services, edges, instances int) growth {
	steps := stepsOf(services)
	list, all := synthetic(services, edges, instances)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	a := graph.Analyse(list, all)
	g := growth{services: services, whole: time.Since(began)}
	runtime.GC()
	runtime.ReadMemStats(&after)
	g.heap = after.HeapAlloc - before.HeapAlloc
	began = time.Now()
	for i := range steps {
		e := all[(i*7919)%len(all)]
		e.State = api.EdgeDenied
		a.Update(api.GraphChange{Edges: []api.Edge{e}})
	}
	g.step = time.Since(began) / time.Duration(steps)
	runtime.KeepAlive(a)
	return g
}

// BenchmarkGraphGrowth measures the analysis at four sizes, up to that of the
// largest published trace. With -plot it draws them.
func BenchmarkGraphGrowth(b *testing.B) {
	var all []growth
	for _, c := range []struct{ services, edges, instances int }{
		{1_000, 10_000, 50_000}, {5_000, 50_000, 250_000}, {20_000, 200_000, 1_000_000}, {67_760, 400_000, 1_866_091},
	} {
		b.Run(fmt.Sprint(c.services), func(b *testing.B) {
			var g growth
			for b.Loop() {
				g = grow(c.services, c.edges, c.instances)
			}
			b.ReportMetric(g.whole.Seconds()*1e3, "whole_ms")
			b.ReportMetric(g.step.Seconds()*1e3, "step_ms")
			b.ReportMetric(float64(g.heap)/1e6, "kept_MB")
			all = append(all, g)
		})
	}
	if *plotTo != "" {
		must.NoError(b, drawGrowth(all, *plotTo))
	}
}

func drawGrowth(all []growth, path string) error {
	p := plot.New()
	p.Title.Text = "Analysis of the graph: time and memory by size"
	p.X.Label.Text, p.Y.Label.Text = "services", "milliseconds, or megabytes"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.LogTicks{Prec: -1}, plot.LogTicks{Prec: -1}
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	line := func(value func(growth) float64) plotter.XYs {
		var out plotter.XYs
		for _, g := range all {
			out = append(out, plotter.XY{X: float64(g.services), Y: value(g)})
		}
		return out
	}
	if err := plotutil.AddLinePoints(p,
		"from nothing, ms", line(func(g growth) float64 { return g.whole.Seconds() * 1e3 }),
		"one changed edge, ms", line(func(g growth) float64 { return g.step.Seconds() * 1e3 }),
		"kept, MB", line(func(g growth) float64 { return float64(g.heap) / 1e6 }),
	); err != nil {
		return err
	}
	return p.Save(16*vg.Centimeter, 11*vg.Centimeter, path)
}
