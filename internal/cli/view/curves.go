package view

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

const (
	// curveWidth and curveHeight are the size of a plot of both arms, in pixels.
	curveWidth  = 320.0
	curveHeight = 90.0
)

// drawn is a series with the coordinates of its lines. A measure that is missing ends a
// line, and the next one begins another.
type drawn struct {
	api.Series
	Width, Height      float64
	Low, High, Took    string
	Control, Treatment []string
}

// curves scales both arms of a series to one plot, from zero to their maximum.
func curves(s api.Series) drawn {
	top, least := 0.0, math.Inf(1)
	for _, list := range [][]float64{s.Control, s.Treatment} {
		for _, v := range list {
			if v >= 0 {
				top, least = max(top, v), min(least, v)
			}
		}
	}
	if math.IsInf(least, 1) {
		least = 0
	}
	n := max(len(s.Control), len(s.Treatment))
	return drawn{
		Series: s, Width: curveWidth, Height: curveHeight, Low: Amount(least, s.Unit), High: Amount(top, s.Unit),
		Took: Span(s.Every.D() * time.Duration(n)), Control: lines(s.Control, n, top), Treatment: lines(s.Treatment, n, top),
	}
}

// lines are the polylines of one arm: "x,y x,y ..." for each run of measures.
func lines(list []float64, n int, top float64) []string {
	const edge = 4
	var out, points []string
	end := func() {
		if len(points) == 1 {
			points = append(points, points[0]) // a line of no length is drawn as a dot
		}
		if len(points) > 0 {
			out = append(out, strings.Join(points, " "))
			points = nil
		}
	}
	for i, v := range list {
		if v < 0 {
			end()
			continue
		}
		x, y := curveWidth/2, curveHeight-edge
		if n > 1 {
			x = edge + (curveWidth-2*edge)*float64(i)/float64(n-1)
		}
		if top > 0 {
			y = curveHeight - edge - (curveHeight-2*edge)*v/top
		}
		points = append(points, fmt.Sprintf("%.1f,%.1f", x, y))
	}
	end()
	return out
}
