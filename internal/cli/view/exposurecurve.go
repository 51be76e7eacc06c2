package view

import (
	"fmt"
	"html/template"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// Sizes of the drawing of an exposure, in pixels. Around the plot is room for the figures.
const (
	exposurePlotWide = 640.0
	exposurePlotHigh = 260.0
	exposureLeft     = 70.0
	exposureTop      = 46.0
	// exposureLabels is how many waves have their number written at most.
	exposureLabels = 16
)

// mark is a line of the grid with what is written at it.
type mark struct {
	At   float64
	Text string
}

// ExposureCurve draws what is left of the exposure of a plan after each wave, as one SVG
// document. A plan that has none is an error.
func ExposureCurve(w io.Writer, plan api.Plan) error {
	if plan.Exposure == nil || len(plan.Waves) == 0 {
		return api.Errorf(api.CodeInvalid, "draw the exposure: the plan of patch %s has none: the patch does not say whom it affects, or goes to nobody", plan.Patch)
	}
	values := append([]float64{plan.Exposure.Before}, plan.Exposure.Left...)
	step := exposurePlotWide / float64(len(values))
	top := ceiling(plan.Exposure.Before)
	height := func(v float64) float64 { return exposureTop + exposurePlotHigh*(1-v/top) }
	var points []string
	var rows, columns []mark
	every := (len(values) + exposureLabels - 1) / exposureLabels
	for i, v := range values {
		from := exposureLeft + step*float64(i)
		points = append(points, fmt.Sprintf("%.1f,%.1f", from, height(v)), fmt.Sprintf("%.1f,%.1f", from+step, height(v)))
		switch {
		case i == 0:
			columns = append(columns, mark{from + step/2, "now"})
		case i%every == 0:
			columns = append(columns, mark{from + step/2, strconv.Itoa(i)})
		}
	}
	for quarter := range 5 {
		v := top * float64(quarter) / 4
		rows = append(rows, mark{height(v), exposureText(v)})
	}
	right, bottom := exposureLeft+exposurePlotWide, exposureTop+exposurePlotHigh
	return exposureDrawing().Execute(w, map[string]any{
		"Patch": plan.Patch, "Wide": right + 20, "High": bottom + 46, "Left": exposureLeft, "Right": right, "Bottom": bottom, "Middle": (exposureLeft + right) / 2,
		"Rows": rows, "Columns": columns, "Line": strings.Join(points, " "),
		"Area": fmt.Sprintf("%s %.1f,%.1f %.1f,%.1f", strings.Join(points, " "), right, bottom, exposureLeft, bottom),
		"Text": fmt.Sprintf("%s now, %s after %s", exposureText(values[0]), exposureText(values[len(values)-1]), Count(len(plan.Waves), "wave")),
	})
}

// ceiling is the least number of one digit, of 1, 2, 4 and 8 times a power of ten, that is
// not less than v; 1 for nothing.
func ceiling(v float64) float64 {
	if v <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, digit := range []float64{1, 2, 4, 8} {
		if v <= digit*unit {
			return digit * unit
		}
	}
	return 10 * unit
}

func exposureDrawing() *template.Template {
	return template.Must(template.New("exposure").Parse(`<svg xmlns="http://www.w3.org/2000/svg" width="{{.Wide}}" height="{{.High}}" viewBox="0 0 {{.Wide}} {{.High}}" role="img" font-family="sans-serif" font-size="12" fill="#222">
<title>Exposure left by patch {{.Patch}}: {{.Text}}</title>
<rect width="{{.Wide}}" height="{{.High}}" fill="#fff"/>
<text x="{{.Left}}" y="24" font-size="15">Exposure left by patch {{.Patch}}: {{.Text}}</text>
{{- $left := .Left}}{{$right := .Right}}{{$bottom := .Bottom}}
{{- range .Rows}}
<line x1="{{$left}}" y1="{{.At}}" x2="{{$right}}" y2="{{.At}}" stroke="#ddd"/><text x="62" y="{{.At}}" dy="4" text-anchor="end">{{.Text}}</text>
{{- end}}
<polygon points="{{.Area}}" fill="#2a5db0" fill-opacity="0.15"/>
<polyline points="{{.Line}}" fill="none" stroke="#2a5db0" stroke-width="2"/>
{{- range .Columns}}
<text x="{{.At}}" y="{{$bottom}}" dy="18" text-anchor="middle">{{.Text}}</text>
{{- end}}
<text x="{{.Middle}}" y="{{.Bottom}}" dy="38" text-anchor="middle">after wave</text>
</svg>
`))
}
