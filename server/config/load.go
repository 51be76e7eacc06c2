package config

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/promql"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/gocty"
)

// find returns the files that paths name; of a folder, its *.hcl by name.
func find(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, api.Errorf(api.CodeInvalid, "read configuration: %v", err)
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		inside, err := filepath.Glob(filepath.Join(path, "*.hcl"))
		if err != nil {
			return nil, api.Errorf(api.CodeInvalid, "read configuration: %v", err)
		}
		if len(inside) == 0 {
			return nil, api.Errorf(api.CodeInvalid, "read configuration: %s holds no *.hcl file", path)
		}
		slices.Sort(inside)
		files = append(files, inside...)
	}
	return files, nil
}

// loader lays files over a configuration and collects what is wrong with them.
type loader struct {
	cfg      *Config
	getenv   func(string) string
	ranges   map[string]hcl.Range // where each field was set last, by its path
	texts    map[string][]byte    // the files, by name
	problems []string
	sections []string // of the file in hand: the names of the blocks around
}

// error makes one error of all problems.
func (l *loader) error() *api.Error {
	return &api.Error{Code: api.CodeInvalid, Message: "the agent's configuration is not valid", Details: l.problems}
}

// problem notes a fault of a field, or of one member of a list (roots[1]). It adds the
// position where the field was set, if the field was set.
func (l *loader) problem(path, format string, args ...any) {
	text := path + ": " + fmt.Sprintf(format, args...)
	field, _, _ := strings.Cut(path, "[")
	if r, ok := l.ranges[field]; ok {
		text = position(r) + ": " + text
	}
	l.problems = append(l.problems, text)
}

// problemIn notes a fault at a byte of a field's text. Where the file does not have the
// text as it is, the fault says where in the text it is.
func (l *loader) problemIn(path string, fault *promql.Fault) {
	set, ok := l.ranges[path]
	if at, in := promql.Place(l.texts[set.Filename], set, fault.Offset); ok && in {
		l.problems = append(l.problems, position(at)+": "+path+": "+fault.Error())
		return
	}
	l.problem(path, "%v", fault)
}

func (l *loader) diagnose(diags hcl.Diagnostics) {
	for _, d := range diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		text := d.Summary
		if d.Detail != "" {
			text += "; " + d.Detail
		}
		if d.Subject != nil {
			text = position(*d.Subject) + ": " + text
		}
		l.problems = append(l.problems, text)
	}
}

func position(r hcl.Range) string {
	return fmt.Sprintf("%s:%d,%d", r.Filename, r.Start.Line, r.Start.Column)
}

// scope is what expressions of the configuration may use: env("NAME").
func (l *loader) scope() *hcl.EvalContext {
	env := function.New(&function.Spec{
		Params: []function.Parameter{{Name: "name", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			value := l.getenv(args[0].AsString())
			if value == "" {
				return cty.NilVal, fmt.Errorf("environment variable %s is not set", args[0].AsString())
			}
			return cty.StringVal(value), nil
		},
	})
	return &hcl.EvalContext{Functions: map[string]function.Function{"env": env}}
}

// file lays one file over the configuration.
func (l *loader) file(name string, text []byte) {
	l.texts[name] = text
	parsed, diags := hclparse.NewParser().ParseHCL(text, name)
	l.diagnose(diags)
	if diags.HasErrors() {
		return
	}
	var f fileBlock
	diags = gohcl.DecodeBody(parsed.Body, l.scope(), &f)
	l.diagnose(diags)
	if diags.HasErrors() {
		return
	}
	l.root(&f)
}

// within runs fn with a block's name added to field paths.
func (l *loader) within(name string, fn func()) {
	l.sections = append(l.sections, name)
	fn()
	l.sections = l.sections[:len(l.sections)-1]
}

// path is the full name of a field of the block in hand.
func (l *loader) path(name string) string {
	return strings.Join(append(slices.Clone(l.sections), name), ".")
}

// begins notes where the block in hand begins: what it lacks has no place of its own.
func (l *loader) begins(at hcl.Range) {
	l.ranges[strings.Join(l.sections, ".")] = at
}

// value evaluates an attribute as a type; false when absent or wrong.
func (l *loader) value(a *hcl.Attribute, want cty.Type, words string) (cty.Value, bool) {
	if a == nil {
		return cty.NilVal, false
	}
	path := l.path(a.Name)
	l.ranges[path] = a.Expr.Range()
	v, diags := a.Expr.Value(l.scope())
	if diags.HasErrors() {
		l.diagnose(diags)
		return cty.NilVal, false
	}
	v, err := convert.Convert(v, want)
	if err != nil || v.IsNull() || !v.IsWhollyKnown() {
		l.problem(path, "want %s", words)
		return cty.NilVal, false
	}
	return v, true
}

func (l *loader) str(a *hcl.Attribute, to *string) {
	if v, ok := l.value(a, cty.String, "a string"); ok {
		*to = v.AsString()
	}
}

func (l *loader) flag(a *hcl.Attribute, to *bool) {
	if v, ok := l.value(a, cty.Bool, "true or false"); ok {
		*to = v.True()
	}
}

func (l *loader) integer(a *hcl.Attribute, to *int) {
	v, ok := l.value(a, cty.Number, "a whole number")
	if !ok {
		return
	}
	var n int
	if err := gocty.FromCtyValue(v, &n); err != nil {
		l.problem(l.path(a.Name), "want a whole number")
		return
	}
	*to = n
}

func (l *loader) number(a *hcl.Attribute, to *float64) {
	v, ok := l.value(a, cty.Number, "a number")
	if !ok {
		return
	}
	n, _ := v.AsBigFloat().Float64()
	if math.IsInf(n, 0) {
		l.problem(l.path(a.Name), "want a number of ordinary size")
		return
	}
	*to = n
}

func (l *loader) duration(a *hcl.Attribute, to *time.Duration) {
	v, ok := l.value(a, cty.String, `a duration such as "5s"`)
	if !ok {
		return
	}
	d, err := time.ParseDuration(v.AsString())
	if err != nil {
		l.problem(l.path(a.Name), "want a duration such as \"5s\", have %q", v.AsString())
		return
	}
	*to = d
}

func (l *loader) strs(a *hcl.Attribute, to *[]string) {
	v, ok := l.value(a, cty.List(cty.String), "a list of strings")
	if !ok {
		return
	}
	out := []string{}
	for _, element := range v.AsValueSlice() {
		if element.IsNull() {
			l.problem(l.path(a.Name), "want a list of strings, one of them is null")
			return
		}
		out = append(out, element.AsString())
	}
	*to = out
}
